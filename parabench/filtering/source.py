"""Rows of a corpus, streamed: a file of predictions as ``parabench score`` reads it, or a corpus in
its own format.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from parabench.contracts import Example, UserError
from parabench.data.corpora import CORPUS_FORMATS
from parabench.data.predictions import stream_predictions
from parabench.data.skipped import SkipCounts
from parabench.data.specs import CorpusSpec, parse_corpora
from parabench.data.text_files import file_digest
from parabench.data.training_set import fingerprint, numbered_pairs

ROWS_PER_BLOCK = 1024
"""Rows measured together, and rows that one of several parts takes at a time."""


class FilterRow(NamedTuple):
    """One row: the example (its id is the line, or the file's own id), and the text beside it."""

    example: Example
    text: str


@dataclass(frozen=True)
class Source:
    """The rows of a file, or every ``parts``-th block of them from ``part`` on; ``tally`` counts
    what is left out.

    ``name`` is ``FORMAT:PATH?options``, whose pairs have no references, or the path of a file of
    predictions.
    """

    name: str
    seed: int = 0
    part: int = 0
    parts: int = 1
    tally: SkipCounts = field(default_factory=SkipCounts, compare=False)

    @property
    def identity(self) -> dict[str, Any]:
        """What the rows are, by content and not by path."""
        spec = self._spec
        content = fingerprint([spec], self.seed) if spec else file_digest(self.name)
        return {"content": content, "part": self.part, "parts": self.parts}

    def rows(self, start: int = 0) -> Iterator[FilterRow]:
        """All rows from ``start`` on, read anew."""
        self.tally.clear()
        return islice(self._own(), start, None)

    def _own(self) -> Iterator[FilterRow]:
        for number, row in enumerate(self._all()):
            if number // ROWS_PER_BLOCK % self.parts == self.part:
                yield row

    def _all(self) -> Iterator[FilterRow]:
        if spec := self._spec:
            for line, (source, text) in numbered_pairs(spec, self.tally, self.seed):
                yield FilterRow(Example(str(line), source, ()), text)
        else:
            yield from map(FilterRow._make, stream_predictions(Path(self.name), self.tally))

    @property
    def _spec(self) -> CorpusSpec | None:
        if self.name.partition(":")[0] not in CORPUS_FORMATS:
            return None
        specs = parse_corpora(self.name)
        if len(specs) > 1:
            raise UserError(
                f"filter {self.name!r}", f"{len(specs)} corpora", mend="filter them one by one"
            )
        return specs[0]


def part_of(text: str) -> tuple[int, int]:
    """``3/8`` as ``(2, 8)``: the third of eight parts."""
    first, _, second = text.partition("/")
    if not (first.isdecimal() and second.isdecimal() and 1 <= int(first) <= int(second)):
        raise UserError(
            f"use --shard {text}", "not of the form K/N with K from 1 to N", mend="--shard 1/8"
        )
    return int(first) - 1, int(second)
