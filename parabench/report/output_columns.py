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
        shared, new, copies, count = np.moveaxis(statistics.sum(axis=-2), -1, 0)
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
        self._first, self._count = first, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, at: Any) -> Float[np.ndarray, "n 4"]:
        # numbers of the rows asked for alone: of all there may be a million
        places = np.arange(*at.indices(self._count)) if isinstance(at, slice) else np.asarray(at)
        held = places < len(self._first)
        rows = np.zeros((len(places), 4))
        rows[held] = self._first[places[held]]
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
    found = np.zeros((len(texts), 4))
    turns = min((len(several) for several in texts), default=0)
    sources = [_grams(fold(example.source)) for example in examples]
    for turn in range(turns):
        outputs = [_grams(fold(several[turn])) for several in texts]
        # An output counts once, however often it repeats an n-gram itself.
        holders = Counter(gram for grams in outputs for gram in grams)
        for place, (grams, old) in enumerate(zip(outputs, sources, strict=True)):
            new = grams - old
            shared = sum(holders[gram] > 1 for gram in new)
            found[place, :2] += np.array([shared, len(new)]) / turns
    for place, (example, several) in enumerate(zip(examples, texts, strict=True)):
        found[place, 2:] = equals_reference(several[0], example.references), 1
    return found


def equals_reference(text: str, references: Sequence[str]) -> bool:
    """Whether a text has the words of a reference, in their order."""
    words = fold(text)
    return bool(words) and any(words == fold(reference) for reference in references)


def _grams(words: str) -> _Grams:
    tokens = words.split()
    starts = range(len(tokens) - _ORDER + 1)
    return frozenset(tuple(tokens[start : start + _ORDER]) for start in starts)
