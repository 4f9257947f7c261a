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
    """The rows of a file, or one shard of them.

    ``name``: ``FORMAT:PATH?options``, whose pairs have no references, or the path of a file of
    predictions. ``seed``: decides what a corpus draws at random. ``part``, ``parts``: every
    ``parts``-th block of rows from ``part`` on, counted from 0. ``tally``: counts what is left out.
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
        """All rows from ``start`` on, read again."""
        # what a pass before this one counted would be counted twice
        self.tally.clear()
        return islice(self._own(), start, None)

    def _own(self) -> Iterator[FilterRow]:
        """The rows of this shard: whole blocks in turn, so that any number of shards is even."""
        for number, row in enumerate(self._all()):
            block = number // ROWS_PER_BLOCK
            if block % self.parts == self.part:
                yield row

    def _all(self) -> Iterator[FilterRow]:
        spec = self._spec
        if spec is None:
            for example, text in stream_predictions(Path(self.name), self.tally):
                yield FilterRow(example, text)
            return
        for line, (source, text) in numbered_pairs(spec, self.tally, self.seed):
            yield FilterRow(Example(str(line), source, ()), text)

    @property
    def _spec(self) -> CorpusSpec | None:
        form = self.name.partition(":")[0]
        if form not in CORPUS_FORMATS:
            return None
        specs = parse_corpora(self.name)
        # a mix has no end
        if len(specs) > 1:
            found = f"{len(specs)} corpora"
            raise UserError(
                f"filter {self.name!r}",
                found,
                mend="filter them one by one",
            )
        return specs[0]


def part_of(text: str) -> tuple[int, int]:
    """Read ``3/8`` as ``(2, 8)``: the third of eight parts.

    Raises UserError for anything else.
    """
    first, _, second = text.partition("/")
    are_numbers = first.isdecimal() and second.isdecimal()
    if not are_numbers or not 1 <= int(first) <= int(second):
        found = "not of the form K/N with K from 1 to N"
        raise UserError(
            f"use --shard {text}",
            found,
            mend="--shard 1/8",
        )
    return int(first) - 1, int(second)
