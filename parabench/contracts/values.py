"""Values that travel between the core and its plug-ins: examples, settings, signatures, scores."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple
from urllib.parse import quote, unquote

Better = Literal["up", "down", "none"]
"""Which direction of a column is better."""
Against = Literal["reference", "source", "both", "output", "samples"]
"""What a column compares the hypothesis with."""
Role = Literal["system", "sentinel", "human"]
"""What a row of the table is: a system, a negative control, or what people wrote."""

NOT_FINITE = "not a finite number"
"""Why a number is undefined where nothing more is known: the scorer gave NaN or an infinity."""

ProgressCallback = Callable[[str, int, int], None]
"""Called with what is being done, how many are done, and of how many."""
Notice = Callable[[str], None]
"""Called with a sentence for the user: what was left out or set aside, and why."""


class UserError(Exception):
    """An error that the user can mend.

    ``asked``: what was asked for. ``found``: what is wrong. ``choices``: what could be given
    instead. ``mend``: the command or the change that mends it.
    """

    def __init__(
        self,
        asked: str,
        found: str = "",
        choices: Sequence[str] = (),
        mend: str = "",
    ) -> None:
        self.asked = asked
        self.found = found
        self.choices = tuple(choices)
        self.mend = mend
        lines = [asked]
        if found:
            lines.append(f"  found:   {found}")
        if choices:
            lines.append(f"  choices: {', '.join(choices)}")
        if mend:
            lines.append(f"  mend:    {mend}")
        super().__init__("\n".join(lines))


@dataclass(frozen=True, slots=True)
class Example:
    """A source sentence with the references it is judged by.

    In one run all examples have equally many references. Examples of one ``cluster`` are not
    independent of one another, and are drawn and swapped together in statistics. ``samples`` are
    what the same system wrote besides the text that is scored, for columns against samples alone.
    ``left_out`` is the reference that this turn leaves out, empty where none is: the human's answer
    here, for scorers whose scale is the human's. A scored text must not be compared with it.
    """

    id: str
    source: str
    references: tuple[str, ...]
    cluster: str = ""
    samples: tuple[str, ...] = ()
    left_out: str = ""


@dataclass(frozen=True)
class Signature:
    """The settings that produced a number, as ``name|key:value|key:value``.

    The printed form parses back. Names, keys and values are percent-encoded where they hold ``|``,
    ``:``, ``%`` or white space (after sacreBLEU's signatures, Post 2018).
    """

    name: str
    # Pairs and no dict: their order is part of what is printed, and the class can be hashed.
    items: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        parts = [_percent_encode(self.name)]
        for key, value in self.items:
            pair = (_percent_encode(key), _percent_encode(value))
            parts.append(":".join(pair))
        return "|".join(parts)

    @classmethod
    def parse(cls, text: str) -> Signature:
        """Read a printed signature.

        Raises UserError where an item does not have exactly one colon.
        """
        name, *parts = text.split("|")
        items = []
        for part in parts:
            if part.count(":") != 1:
                raise UserError(f"read the signature {text!r}", "an item that is not key:value")
            key, value = part.split(":")
            items.append((unquote(key), unquote(value)))
        return cls(unquote(name), tuple(items))


def _percent_encode(text: str) -> str:
    return re.sub(r"[|:%\s]", lambda match: quote(match.group(), safe=""), text)


@dataclass(frozen=True)
class Decoding:
    """Every setting that decides generated text.

    All of them are explicit, so that no checkpoint's own defaults leak in. Lengths count new tokens
    only. The defaults are greedy search, the same for every system of a run. ``samples`` texts are
    written for every source.

    Raises UserError where several samples are asked for and nothing is left to chance.
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
        if self.samples == 1 or (self.samples > 1 and self.do_sample):
            return
        if self.samples > 1:
            found = "do_sample = false would write one text so often"
        else:
            found = "not a positive number"
        mend = "decoding = { do_sample = true, top_p = 0.9, samples = 4 }"
        raise UserError(f"write {self.samples} samples a source", found, mend=mend)


@dataclass(frozen=True)
class Runtime:
    """Where and how models run; ``batch_size`` None means found by probing.

    Raises UserError for a ``dtype`` that is not among ``DTYPES``, and a ``seed`` below 0.
    """

    device: str = "cpu"
    dtype: str = "float32"
    batch_size: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            asked = f"compute in {self.dtype!r}"
            raise UserError(asked, choices=DTYPES, mend="use --dtype float32")
        # not every generator takes a negative one: NumPy's does not
        if self.seed < 0:
            raise UserError(f"draw with the seed {self.seed}", mend="a seed of 0 or more")


DTYPES = ("float32", "bfloat16", "float16")
"""Arithmetic that a model can be loaded in."""


class Paraphrase(NamedTuple):
    """One output of a system.

    ``position``: of its source among those given. ``finished``: whether the text ended by itself
    (False: it was cut at the limit). ``tokens``: how many were read and written, where an endpoint
    charges for them. ``turns``: one text for each turn, of a system that has another one in every
    turn, as people have. ``samples``: all texts that ``Decoding.samples`` asks for, where those are
    several; ``text`` is then the first. ``reason``: why a row has no answer (a filter, a refusal);
    ``text`` is then empty, and the row is counted as unanswered.
    """

    position: int
    text: str
    finished: bool = True
    tokens: tuple[int, int] | None = None
    turns: tuple[str, ...] = ()
    samples: tuple[str, ...] = ()
    reason: str = ""


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


@dataclass(frozen=True)
class Score:
    """One cell of the table: the value and its 95 % bootstrap interval.

    ``undefined`` examples are left out of both, for the reason ``why``.
    """

    value: float
    low: float
    high: float
    signature: str
    undefined: int = 0
    why: str = ""
