"""The contract between the core and its plug-ins: example, system, scorer, score, and all that is
asked.

``System`` and ``Scorer`` are what every plug-in is. What the core may ask beyond them is one
optional Protocol each (``HasRole``, ``NamesModels``, …) with a function beside it that gives the
default where a plug-in does not have it; the core asks by these functions alone. The file is longer
than others so that whoever writes a plug-in can read the whole contract in one place.

Axes, used everywhere: N examples, K statistics, C columns; B batch, P prompt length, T tokens, H
hidden, V vocabulary.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    NamedTuple,
    Protocol,
    TypeVar,
    cast,
    runtime_checkable,
)
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

Better = Literal["up", "down", "none"]
Role = Literal["system", "sentinel", "human"]
"""What a row of the table is: a system, a negative control, or what people wrote."""
_Made = TypeVar("_Made")
Against = Literal["reference", "source", "both", "output", "samples"]

NOT_FINITE = "not a finite number"
"""Why a number is undefined where nothing more is known: the scorer gave NaN or an infinity."""
ProgressCallback = Callable[[str, int, int], None]
"""Told what is being done, how many are done, and of how many."""


class UserError(Exception):
    """Something the user can mend: what was asked, what was found, the choices, and the command
    that mends it.
    """

    def __init__(
        self, asked: str, found: str = "", choices: Sequence[str] = (), mend: str = ""
    ) -> None:
        self.asked, self.found, self.choices, self.mend = asked, found, tuple(choices), mend
        lines = [asked]
        lines += [f"  found:   {found}"] if found else []
        lines += [f"  choices: {', '.join(choices)}"] if choices else []
        lines += [f"  mend:    {mend}"] if mend else []
        super().__init__("\n".join(lines))


@dataclass(frozen=True, slots=True)
class Example:
    """A source sentence with the references it is judged by; in one run all examples have equally
    many.

    Examples of one ``cluster`` are not independent of one another, and are drawn and swapped
    together in statistics. ``samples`` are what the same system wrote besides the text that is
    scored, for columns against samples alone.
    """

    id: str
    source: str
    references: tuple[str, ...]
    cluster: str = ""
    samples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Signature:
    """The settings that produced a number, printed as ``name|key:value|key:value`` and parsed back
    from it.

    Values are percent-encoded where they hold ``|``, ``:`` or ``%`` (after sacreBLEU's signatures,
    Post 2018).
    """

    name: str
    items: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return "|".join(
            [_encode(self.name), *(f"{_encode(key)}:{_encode(value)}" for key, value in self.items)]
        )

    @classmethod
    def parse(cls, text: str) -> Signature:
        """Read a printed signature back; raises UserError where an item has no colon."""
        name, *parts = text.split("|")
        if any(part.count(":") != 1 for part in parts):
            raise UserError(f"read the signature {text!r}", "an item that is not key:value")
        pairs = (part.split(":") for part in parts)
        return cls(unquote(name), tuple((unquote(key), unquote(value)) for key, value in pairs))


def _encode(text: str) -> str:
    return re.sub(r"[|:%\s]", lambda match: quote(match.group(), safe=""), text)


@dataclass(frozen=True)
class Decoding:
    """Every setting that decides generated text, always explicit, so that no checkpoint's own
    defaults leak in.

    Lengths count new tokens only. The defaults are greedy search, the same for every system of a
    run. ``samples`` texts are written for every source; UserError where there are several and
    nothing is left to chance.
    """

    max_new_tokens: int = 64
    min_new_tokens: int = 1
    num_beams: int = 1
    do_sample: bool = False
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    length_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    early_stopping: bool = False
    samples: int = 1

    def __post_init__(self) -> None:
        if self.samples != 1 and (self.samples < 1 or not self.do_sample):
            found = (
                "do_sample = false would write one text so often"
                if self.samples > 1
                else "not a positive number"
            )
            mend = "decoding = { do_sample = true, top_p = 0.9, samples = 4 }"
            raise UserError(f"write {self.samples} samples a source", found, mend=mend)


@dataclass(frozen=True)
class Runtime:
    """Where and how models run; ``batch_size`` None means found by probing."""

    device: str = "cpu"
    dtype: str = "float32"
    batch_size: int | None = None
    seed: int = 0


class ModelCache:
    """Cache of the last model loaded; loading another one evicts it first.

    So two systems that stand on one model load it once, and never are two models in memory.
    """

    def __init__(self) -> None:
        self._made: tuple[Any, Any] | None = None

    def get(self, make: Callable[..., _Made], *given: Any) -> _Made:
        """What ``make(*given)`` returns: the cached value if ``make`` and ``given`` are the same as
        in the last call, else a new one.
        """
        if self._made is None or self._made[0] != (make, *given):
            self.clear()
            self._made = (make, *given), make(*given)
        made: _Made = self._made[1]
        return made

    def clear(self) -> None:
        """Free the cached value."""
        self._made = None


@dataclass(frozen=True)
class BuildContext:
    """All that a builder of systems or scorers is handed; nothing is read from globals or the
    environment.

    ``options`` is the suite's table for this plug-in (model paths, templates, layers).
    ``human_answers`` is, for each of ``sources``, what people wrote, one text a turn, for the
    control ``human`` alone; empty where there are no turns. ``key`` is what an endpoint asks for;
    it is never printed and never written. ``models`` is where systems get their model from, so that
    one that several stand on is loaded once.
    """

    runtime: Runtime = Runtime()
    decoding: Decoding = Decoding()
    options: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    sources: Sequence[str] = ()
    human_answers: Sequence[tuple[str, ...]] = ()
    key: str = field(default="", repr=False)
    models: ModelCache = field(default_factory=ModelCache, repr=False, compare=False)


class Paraphrase(NamedTuple):
    """One output: which source it belongs to, its text, and whether it ended by itself (False: cut
    at the limit).

    ``tokens`` are those read and written, where an endpoint charges for them. ``turns`` holds one
    text for each turn of a system that has another one in every turn, as people have; ``samples``
    all that ``Decoding.samples`` asks for, where those are several. ``text`` is then the first.
    ``reason`` says why a row has no answer (a filter, a refusal); ``text`` is then empty, and the
    row is counted as unanswered.
    """

    position: int
    text: str
    finished: bool = True
    tokens: tuple[int, int] | None = None
    turns: tuple[str, ...] = ()
    samples: tuple[str, ...] = ()
    reason: str = ""


class System(Protocol):
    """Anything that paraphrases sentences.

    Building one is free; reading ``signature`` finds and checks every file it needs (UserError if
    one is missing); ``paraphrase`` loads models and yields batches in any order as they finish,
    each position exactly once. What else may be asked of it: ``HasRole``, ``NamesModels``,
    ``HasTrainingRecord``, ``HasRuntime``, ``HasSoftPrompt``, ``EstimatesCost``, ``Releasable``.
    """

    @property
    def signature(self) -> Signature: ...

    def paraphrase(self, sources: Sequence[str]) -> Iterator[Sequence[Paraphrase]]: ...


@dataclass(frozen=True)
class Column:
    """One column of the table: which way is better, and what the hypothesis is compared with.

    A scorer with a column against ``samples`` has no other kind: it is shown every sample in turn
    beside the others.
    """

    name: str
    better: Better
    against: Against
    digits: int = 2
    describe: str = ""


class Scorer(Protocol):
    """Anything that measures paraphrases: expensive statistics first, then cheap columns.

    Building one is free; ``signature`` finds and checks every file; ``measure`` may load models and
    returns one row of K numbers per example; ``combine`` is a pure function of any subset of those
    rows, NaN where undefined. What else may be asked of it: ``NamesModels``, ``HasBatchSize``,
    ``ExplainsUndefined``, ``Releasable``.
    """

    @property
    def columns(self) -> tuple[Column, ...]: ...

    @property
    def signature(self) -> Signature: ...

    def measure(
        self, examples: Sequence[Example], texts: Sequence[str]
    ) -> Float[np.ndarray, "N K"]: ...

    def combine(self, statistics: Float[np.ndarray, "N K"]) -> Float[np.ndarray, " C"]: ...


# What the core may ask beyond `System` and `Scorer`. A plug-in has each of these or has it not;
# none
# is inherited. Facts are read by `getattr`, because a property may raise UserError, which is passed
# on.


class HasRole(Protocol):
    """A system that is a control: it is drawn apart, is not ranked, and columns are held against
    it.
    """

    @property
    def role(self) -> Role: ...


def role_of(system: System) -> Role:
    """The role of a system; ``"system"`` where it declares none.

    Raises UserError where it is none of ``Role``.
    """
    role = getattr(system, "role", "system")
    if role not in ROLES:
        raise UserError(f"use the role {role!r} of {system.signature.name}", "no such role", ROLES)
    return cast(Role, role)


ROLES: tuple[Role, ...] = ("system", "sentinel", "human")


class NamesModels(Protocol):
    """A system or scorer that loads models: they are fetched before a run, and counted in its plan.

    Each is named as in a suite: a folder, or ``org/name@revision`` of a hub.
    """

    @property
    def model_names(self) -> Sequence[str]: ...


def model_names(part: object) -> list[str]:
    """The models that a system or scorer loads on this machine, each once.

    Where it does not declare ``model_names``, they are what its dataclass fields called ``model``
    hold as text, its own and those of its parts (a scorer made of scorers).
    """
    declared = getattr(part, "model_names", None)
    found = _model_fields(part) if declared is None else declared
    return list(dict.fromkeys(found))


def _model_fields(part: Any) -> Iterator[str]:
    if getattr(part, "model_names", None) is not None:
        yield from part.model_names
    elif is_dataclass(part):
        for one in fields(part):
            value = getattr(part, one.name)
            if one.name == "model" and isinstance(value, str):
                yield value
            else:
                yield from _model_fields(value)


class HasTrainingRecord(Protocol):
    """A system that knows what it learned from: test examples among that are told in the table.

    ``trained`` is the folder with ``training-data.json``, as ``parabench train`` writes it.
    """

    @property
    def trained(self) -> Path | None: ...


def training_record(system: System) -> Path | None:
    """The folder with the record of a system's training data; None where it is not known."""
    return cast("Path | None", getattr(system, "trained", None))


class HasRuntime(Protocol):
    """A system that computes in another arithmetic than its run, as its suite says."""

    @property
    def runtime(self) -> Runtime: ...


def runtime_of(system: System, of_run: Runtime) -> Runtime:
    """Where and how a system's model runs; as the run says where it declares nothing."""
    return cast(Runtime, getattr(system, "runtime", of_run))


class HasSoftPrompt(Protocol):
    """A system with a learned prompt in front of the first of its models, which can be explained.

    ``adapter_folder`` holds it in the PEFT format; None where this one has no prompt.
    """

    @property
    def adapter_folder(self) -> Path | None: ...


def adapter_folder(system: System) -> Path | None:
    """The folder of a system's soft prompt; None where it has none."""
    return cast("Path | None", getattr(system, "adapter_folder", None))


@runtime_checkable
class EstimatesCost(Protocol):
    """A system that can tell what it will take without trying, as an endpoint can."""

    def estimate_cost(self, examples: int) -> str:
        """Time, tokens or money for so many source sentences, as a line for people."""
        ...


def estimated_cost(system: System, examples: int) -> str | None:
    """What a system says that so many sentences will take; None where it does not."""
    return system.estimate_cost(examples) if isinstance(system, EstimatesCost) else None


@runtime_checkable
class Releasable(Protocol):
    """A system or scorer that holds models between calls."""

    def release(self) -> None:
        """Free the models; the next call may load them again."""
        ...


def release_models(*parts: object) -> None:
    """Free the models held by these systems and scorers."""
    for part in parts:
        if isinstance(part, Releasable):
            part.release()


class HasBatchSize(Protocol):
    """A scorer whose rows do not depend on one another's, so that it may be given more at once."""

    @property
    def block(self) -> int: ...


def examples_per_call(scorer: Scorer, default: int) -> int:
    """Examples that ``measure`` is given in one call."""
    return int(getattr(scorer, "block", default))


@runtime_checkable
class ExplainsUndefined(Protocol):
    """A scorer that leaves examples out on purpose."""

    def why(self, example: Example, text: str) -> str:
        """The reason why the text has no value; empty where the scorer knows of none."""
        ...


def undefined_reason(scorer: Scorer, example: Example, text: str) -> str:
    """Why a scorer gives a text no value, in its own words; empty where it does not say."""
    return scorer.why(example, text) if isinstance(scorer, ExplainsUndefined) else ""


_Combine = TypeVar("_Combine", bound=Callable[..., Any])


def additive(combine: _Combine) -> _Combine:
    """Promise that a combine reads only ``statistics.sum(axis=-2)`` and keeps any axes before the
    last two.

    Then ten thousand samples of the rows cost one matrix product and one call, instead of ten
    thousand calls.
    """
    combine.additive = True  # type: ignore[attr-defined]
    return combine


def is_additive(combine: Callable[..., Any]) -> bool:
    """Whether ``additive`` marks a combine, so that sums of rows may be added up."""
    return bool(getattr(combine, "additive", False))


@dataclass(frozen=True)
class Score:
    """One cell: the value and its 95 % bootstrap interval, on all examples but the ``undefined``
    ones and why those.
    """

    value: float
    low: float
    high: float
    signature: str
    undefined: int = 0
    why: str = ""


SystemBuilder = Callable[[str, BuildContext], System]
"""Called with the variant, ``"111"`` of ``softprompt-111`` (empty when there is none)."""

ScorerBuilder = Callable[[str, BuildContext], Scorer]
