"""Parity: how much of what people reach a system reaches, in the part where it reaches least."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from parabench.contracts import BuildContext, Column, Example, Scorer, Signature
from parabench.stats.folding import FOLDING, fold

from . import scorer_options
from .aggregation import additive, need_references
from .chance import EXAMPLES_READ, ORDERS, Grams, ReferenceFrequency, count_references
from .overlap import BLEU_STATISTICS, bleu_counter, corpus_bleu
from .parallel import CACHED_TEXTS, EXAMPLES_PER_CALL, Count, count_all

_ADDED = 4 * ORDERS
"""Counts of added n-grams of each order: right, added, wanted, and right by chance."""
_COUNTS = _ADDED + 2 * BLEU_STATISTICS
"""Counts of one text: added n-grams, BLEU against the references, BLEU against the source."""
STATISTICS = 2 * _COUNTS + 1
"""Counts of the text, the same of the human's answer, and whether there is a human's answer."""

_WITHOUT_CHANCE = STATISTICS - 2 * ORDERS
"""Counts of runs made before chance was counted."""

_NO_HUMAN = "no reference to spare, so no human's answer to be a share of"

_Sides = Callable[[str, str, str, tuple[str, ...]], tuple[float, ...]]
"""Counts of a text, given its source, the reference left out and the other references."""


@dataclass(frozen=True)
class Parity:
    """``parity`` is ``min(A, R, D)``: three parts, each a share of the human's value, at most 1.

    - ``added``, A: the geometric mean over orders 1 to 4 of the F1 of *added* n-grams, those that
      the source has not (SARI's addition, Xu et al. 2016, against all references together), less
      the matches that would come by chance (``chance``);
    - ``folded-bleu``, R: corpus BLEU against the references;
    - ``change``, D: 100 minus corpus BLEU against the source.

    No part can buy another: a copy has no D, an other sentence no R, deleted or reordered words no
    A. Change beyond the human's is not paid for. The human's values are those of this very data:
    in each turn, the reference that is left out (``Example.left_out``) is counted as the texts are.
    Case and punctuation are folded first. 100 is human parity, 0 lacks at least one part wholly.

    Statistics are counts, so that sums of rows are the counts of a corpus. A single example's value
    is a share of the human's on that very example.

    ``sources`` and ``answers`` are those of all examples, in which chance is counted. Without them
    no chance is known, and the signature says so.
    """

    sources: Sequence[str] = field(default=(), repr=False)
    answers: Sequence[tuple[str, ...]] = field(default=(), repr=False)

    block: ClassVar[int] = EXAMPLES_PER_CALL

    @property
    def columns(self) -> tuple[Column, ...]:
        return (
            Column(
                "parity",
                "up",
                "both",
                1,
                "least of added, folded-bleu and change, as % of the human's",
            ),
            Column(
                "added", "up", "both", 1, "F1 of n-grams that the source has not, orders 1 to 4"
            ),
            Column("folded-bleu", "up", "reference", 1, "BLEU without case and punctuation"),
            Column("change", "up", "source", 1, "100 - BLEU against the source, as in folded-bleu"),
        )

    @property
    def signature(self) -> Signature:
        items = {
            "orders": f"1-{ORDERS}",
            "fold": FOLDING,
            "added": "sets,add-one-above-1",
            "chance": f"other-references,{EXAMPLES_READ}" if self.answers else "none",
            "bleu": "exp",
            "anchor": "left-out",
        }
        return Signature("parity", tuple(items.items()))

    def measure(
        self, examples: Sequence[Example], texts: Sequence[str]
    ) -> Float[np.ndarray, "N 73"]:
        need_references("parity", examples)
        # One tuple of texts an example is what ``count_all`` hands over, on this core or another.
        packed = [
            replace(example, references=(example.source, example.left_out, *example.references))
            for example in examples
        ]
        return count_all(partial(_begin, self._chance), packed, texts)

    @cached_property
    def _chance(self) -> ReferenceFrequency:
        """Counted when first needed, since building a scorer must be free."""
        if not self.answers:
            # one reference: no human, no parity, and so nothing to count
            return count_references([])
        first = zip(self.sources[:EXAMPLES_READ], self.answers[:EXAMPLES_READ], strict=True)
        folded = []
        for source, answers in first:
            references = [_grams(fold(answer)) for answer in answers]
            folded.append((fold(source), references))
        return count_references(folded)

    @additive
    def combine(
        self, statistics: Float[np.ndarray, "*draws N 73"] | Float[np.ndarray, "*draws N 65"]
    ) -> Float[np.ndarray, "*draws 4"]:
        sums = statistics.sum(axis=-2)
        if sums.shape[-1] == _WITHOUT_CHANCE:
            sums = _no_chance(sums)
        parts = _parts(sums[..., :_COUNTS])
        human_parts = _parts(sums[..., _COUNTS:-1])
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = np.minimum(parts / human_parts, 1.0)
        # What people do not reach either, everybody reaches: a part without a human's value is no
        # demand. Where that is so of a whole corpus, sentinels have it too, and the column fails.
        shares = np.where(human_parts > 0, shares, 1.0)
        least = np.where(sums[..., -1] > 0, 100 * shares.min(axis=-1), np.nan)
        return np.concatenate([least[..., None], parts], axis=-1)

    def why(self, example: Example, text: str) -> str:
        """The reason why ``text`` has no parity; empty where it has one."""
        return "" if example.left_out else _NO_HUMAN


def _begin(chance: ReferenceFrequency) -> Count:
    """A counter of texts against ``(source, left_out, *references)``; each text is cut up once."""
    bleu = bleu_counter("none")
    grams = lru_cache(CACHED_TEXTS)(_grams)
    folded = lru_cache(CACHED_TEXTS)(fold)

    def counts(
        text: str, source: str, left_out: str, references: tuple[str, ...]
    ) -> tuple[float, ...]:
        old = grams(source)
        done = grams(text) - old
        asked = list(map(grams, references))
        wanted = frozenset[tuple[str, ...]]().union(*asked) - old
        by_chance = chance.by_chance(done, source, [grams(left_out), *asked])
        added = (*_by_order(done & wanted), *_by_order(done), *_by_order(wanted), *by_chance)
        return (*added, *bleu(text, references), *bleu(text, (source,)))

    # Of one example all systems are held against the same human's answer.
    human_counts: _Sides = lru_cache(CACHED_TEXTS)(counts)

    def count(text: str, packed: Sequence[str]) -> list[float]:
        source, left_out, *references = map(folded, packed)
        given = tuple(references)
        own = counts(folded(text), source, left_out, given)
        if not packed[1]:
            return [*own, *[0.0] * _COUNTS, 0.0]
        return [*own, *human_counts(left_out, source, left_out, given), 1.0]

    return count


def _grams(words: str) -> Grams:
    """All n-grams of folded words, of orders 1 to 4."""
    tokens = words.split()
    spans = (
        tuple(tokens[start : start + order])
        for order in range(1, ORDERS + 1)
        for start in range(len(tokens) - order + 1)
    )
    return frozenset(spans)


def _no_chance(sums: Float[np.ndarray, "*draws 65"]) -> Float[np.ndarray, "*draws 73"]:
    """Sums of a run made before chance was counted, with no match by chance."""
    # Both halves, the text's and the human's, have the new counts after their first twelve.
    after = 3 * ORDERS
    half = _COUNTS - ORDERS
    none = np.zeros((*sums.shape[:-1], ORDERS))
    pieces = [sums[..., :after], none, sums[..., after : half + after], none]
    return np.concatenate([*pieces, sums[..., half + after :]], axis=-1)


def _by_order(grams: Grams) -> list[float]:
    """How many of these n-grams have 1, 2, … words."""
    found = [0.0] * ORDERS
    for gram in grams:
        found[len(gram) - 1] += 1
    return found


def _parts(sums: Float[np.ndarray, "*draws 36"]) -> Float[np.ndarray, "*draws 3"]:
    """``added``, ``folded-bleu`` and ``change`` of summed counts, 0 to 100."""
    right, done, wanted, by_chance = np.moveaxis(
        sums[..., :_ADDED].reshape(*sums.shape[:-1], 4, ORDERS), -2, 0
    )
    # Sums first: one text may well have fewer matches than chance gives on average.
    right = np.maximum(right - by_chance, 0.0)
    # One is added above order 1 (Lin and Och 2004, "ORANGE"), so that a single sentence without a
    # common 4-gram is not 0; over a corpus one is next to nothing.
    extra = np.array([0.0, 1.0, 1.0, 1.0])
    with np.errstate(divide="ignore", invalid="ignore"):
        f1 = np.nan_to_num((2 * right + extra) / (done + wanted + extra))
        added = 100 * np.exp(np.log(f1).mean(axis=-1))
    near = corpus_bleu(sums[..., _ADDED : _ADDED + BLEU_STATISTICS])
    copied = corpus_bleu(sums[..., _ADDED + BLEU_STATISTICS :])
    return np.stack([added, near, 100 - copied], axis=-1)


def build(variant: str, setting: BuildContext) -> Scorer:
    """Build ``parity``; it has no options."""
    scorer_options.no_variant("parity", variant)
    scorer_options.checked_options("parity", setting)
    return Parity(setting.sources, setting.human_answers)
