"""The nouns of parabench: what an example, a system, a scorer and a score are.

Axes, used everywhere: N examples, K statistics, C columns; B batch, P prompt length, T tokens, H
hidden, V vocabulary.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeVar
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

Better = Literal["up", "down", "none"]
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
    """One dear thing at a time, such as a model: kept for whoever wants it next, let go of before
    another comes.
    """

    def __init__(self) -> None:
        self._made: tuple[Any, Any] | None = None

    def get(self, make: Callable[..., _Made], *given: Any) -> _Made:
        """``make(*given)``, or what that gave before if nothing else was asked for since."""
        if self._made is None or self._made[0] != (make, *given):
            self.clear()
            self._made = (make, *given), make(*given)
        made: _Made = self._made[1]
        return made

    def clear(self) -> None:
        """Let go of it."""
        self._made = None


@dataclass(frozen=True)
class BuildContext:
    """All that a builder of systems or scorers is handed; nothing is read from globals or the
    environment.

    ``options`` is the suite's table for this plug-in (model paths, templates, layers). ``human_answers``
    is, for each of ``sources``, what people wrote, one text a turn, for the control ``human``
    alone; empty where there are no turns. ``key`` is what an endpoint asks for; it is never printed
    and never written. ``models`` is where systems get their model from, so that one that several
    stand on is loaded once.
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
    """

    position: int
    text: str
    finished: bool = True
    tokens: tuple[int, int] | None = None
    turns: tuple[str, ...] = ()
    samples: tuple[str, ...] = ()


class System(Protocol):
    """Anything that paraphrases sentences.

    Building one is free; reading ``signature`` finds and checks every file it needs (UserError if
    one is missing); ``paraphrase`` loads models and yields batches in any order as they finish,
    each position exactly once. One that holds them may have ``release()``, which lets go of them.
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
    """Anything that measures paraphrases: dear statistics first, then cheap columns.

    Building one is free; ``signature`` finds and checks every file; ``measure`` may load models and
    returns one row of K numbers per example; ``combine`` is a pure function of any subset of those
    rows, NaN where undefined. One that leaves examples out on purpose may have ``why(example, text)
    -> str``, which says for what reason, and one that holds models ``release()``.
    """

    @property
    def columns(self) -> tuple[Column, ...]: ...

    @property
    def signature(self) -> Signature: ...

    def measure(
        self, examples: Sequence[Example], texts: Sequence[str]
    ) -> Float[np.ndarray, "N K"]: ...

    def combine(self, statistics: Float[np.ndarray, "N K"]) -> Float[np.ndarray, " C"]: ...


def release_models(*parts: object) -> None:
    """Let systems and scorers go of the models that they hold."""
    for part in parts:
        if let_go := getattr(part, "release", None):
            let_go()


_Combine = TypeVar("_Combine", bound=Callable[..., Any])


def additive(combine: _Combine) -> _Combine:
    """Promise that a combine reads only ``statistics.sum(axis=-2)`` and keeps any axes before the
    last two.

    Then ten thousand samples of the rows cost one matrix product and one call, instead of ten
    thousand calls.
    """
    combine.additive = True  # type: ignore[attr-defined]
    return combine


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
