"""Columns that the harness measures on all outputs of a system together.

A scorer sees one output at a time, so it cannot see what a system writes again and again, and it is
given the references without the one that an output equals.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from parabench.contracts import Column, Example, Signature, additive
from parabench.stats.folding import FOLDING, fold

OUTPUT_SCORER = "outputs"
RECYCLED_COLUMN = "recycled"
REF_COPIES_COLUMN = "ref-copies"
OUTPUTS_READ = 5_000
"""Outputs that are compared with one another, from the first on: more would fill the memory."""
_ORDER = 4

_Grams = frozenset[tuple[str, ...]]


@dataclass(frozen=True)
class OutputScorer:
    """``recycled`` and ``ref-copies``, both in percent; see ``output_statistics``."""

    @property
    def columns(self) -> tuple[Column, ...]:
        recycled = f"% of an output's new {_ORDER}-grams that other outputs of the row hold too"
        copies = "% of outputs equal to a reference, but for case and punctuation"
        return (
            Column(RECYCLED_COLUMN, "none", "output", 1, recycled),
            Column(REF_COPIES_COLUMN, "none", "reference", 1, copies),
        )

    @property
    def signature(self) -> Signature:
        items = (("order", str(_ORDER)), ("fold", FOLDING), ("first", str(OUTPUTS_READ)))
        return Signature(OUTPUT_SCORER, items)

    def measure(
        self, examples: Sequence[Example], texts: Sequence[str]
    ) -> Float[np.ndarray, "N 4"]:
        """The statistics of ``texts``, taken as all the outputs of one system."""
        return output_statistics(examples, [[text] for text in texts])

    @additive
    def combine(self, statistics: Float[np.ndarray, "*draws N 4"]) -> Float[np.ndarray, "*draws 2"]:
        """Both shares; 0 where no output has a new n-gram, or none was read."""
        sums = statistics.sum(axis=-2)  # [*draws, 4]
        shared, new, copies, count = np.moveaxis(sums, -1, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            recycled = np.where(new > 0, 100 * shared / new, 0.0)
            copied = np.where(count > 0, 100 * copies / count, 0.0)
        return np.stack([recycled, copied], axis=-1)


class OutputStatistics:
    """Statistics of ``OutputScorer``, of which the first ``OUTPUTS_READ`` rows are held.

    The rows after these are 0. A run may have a million outputs.
    """

    ndim = 2

    def __init__(self, first: Float[np.ndarray, "n 4"], count: int) -> None:
        """``first`` are the rows of the first outputs of ``count``."""
        self._first = first
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, at: Any) -> Float[np.ndarray, "n 4"]:
        # numbers of the rows asked for alone: of all there may be a million
        if isinstance(at, slice):
            start, stop, step = at.indices(self._count)
            places = np.arange(start, stop, step)
        else:
            places = np.asarray(at)
        is_held = places < len(self._first)
        held_places = places[is_held]
        rows = np.zeros((len(places), 4))
        rows[is_held] = self._first[held_places]
        return rows


def output_statistics(
    examples: Sequence[Example], texts: Sequence[Sequence[str]]
) -> Float[np.ndarray, "N 4"]:
    """Statistics of all outputs of one system: what each shares with the others, what it copies.

    Args:
        examples: with their sources and references.
        texts: one text of each example, or one for each turn; each turn is a system by itself.

    Returns:
        For each example the new 4-grams that another output holds too, all new 4-grams, whether the
        text equals a reference (people's always do), and 1 to count it. New is what the source has
        not.
    """
    statistics = np.zeros((len(texts), 4))
    sources = [_grams(example.source) for example in examples]
    turns = min((len(of_turns) for of_turns in texts), default=0)
    for turn in range(turns):
        outputs = [_grams(of_turns[turn]) for of_turns in texts]
        # the mean over the turns
        statistics[:, :2] += _recycling(outputs, sources) / turns
    for place, (example, of_turns) in enumerate(zip(examples, texts, strict=True)):
        is_copy = equals_reference(of_turns[0], example.references)
        statistics[place, 2:] = is_copy, 1
    return statistics


def _recycling(outputs: list[_Grams], sources: list[_Grams]) -> Float[np.ndarray, "N 2"]:
    """Of the n-grams of each output that its source has not: those others hold too, and all."""
    holders = Counter[tuple[str, ...]]()
    for grams in outputs:
        # An output counts once, however often it repeats an n-gram itself.
        holders.update(grams)
    counts = np.zeros((len(outputs), 2))
    for place, (grams, of_source) in enumerate(zip(outputs, sources, strict=True)):
        new = grams - of_source
        shared = sum(holders[gram] > 1 for gram in new)
        counts[place] = shared, len(new)
    return counts


def equals_reference(text: str, references: Sequence[str]) -> bool:
    """Whether a text has the words of a reference, in their order."""
    words = fold(text)
    if not words:
        return False
    return any(words == fold(reference) for reference in references)


def _grams(text: str) -> _Grams:
    """The n-grams of a text's words, folded."""
    words = fold(text).split()
    starts = range(len(words) - _ORDER + 1)
    return frozenset(tuple(words[start : start + _ORDER]) for start in starts)
