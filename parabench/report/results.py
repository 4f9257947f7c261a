"""The results of a run: facts, examples, texts and statistics, and what is drawn from them once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from parabench.contracts import Column, Example, Scorer
from parabench.scratch import scratch_copy
from parabench.sequences import text_hash64
from parabench.stats.arrays import ROWS_AT_ONCE, SystemStatistics
from parabench.stats.clusters import ClusterIndex
from parabench.stats.resampling import bootstraps

SWAPS_A_TEST = 100
MOST_SWAPS = 100_000


@dataclass(frozen=True)
class SystemOutput:
    """What one row of the table wrote, and what it is.

    Attributes:
        texts: by example id, one text, or one for each turn or training seed.
        cut: ids of the outputs that the length limit ended.
        role: ``system``, ``sentinel`` or ``human``.
        signature: of the system; of several training seeds joined.
        training: what is known of the data that each of the row's systems learned from.
        sampled_texts: all texts of an example where there are several samples; the first of each
            system is its text.
        systems: names of the row's systems, one for each training seed, in the order of its
            statistics.
        count: how many examples were answered, where ``texts`` holds some of them only.
    """

    texts: Mapping[str, Sequence[str]]
    cut: frozenset[str]
    role: str
    signature: str
    training: tuple[Mapping[str, Any], ...] = ()
    sampled_texts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    count: int | None = None
    systems: tuple[str, ...] = ()

    @property
    def answered(self) -> int:
        """How many examples have an answer."""
        return len(self.texts) if self.count is None else self.count

    def shown(self, example: str) -> Sequence[str]:
        """All that was written for an example; nothing where it has not been reached."""
        return self.sampled_texts.get(example) or self.texts.get(example, ())


@dataclass(frozen=True)
class ScorerResults:
    """What one scorer measured, and under which settings.

    ``statistics`` has an array for each row of the table, or one for each training seed of the row;
    ``why`` has, for each row, the reasons why examples have no value.
    """

    scorer: Scorer
    signature: str
    statistics: Mapping[str, SystemStatistics]
    why: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def reasons(self, row: str) -> str:
        """``"not a finite number"``, or several with their counts."""
        counts = Counter(self.why.get(row, ()))
        # One reason alone needs no count: the number of undefined cells stands beside it.
        if len(counts) < 2:
            return next(iter(counts), "")
        return ", ".join(f"{count} {reason}" for reason, count in counts.most_common())


@dataclass(frozen=True)
class RunResults:
    """The results of a run: everything reported is a function of this alone.

    Examples and statistics may be lazy views of files. At most ``max_texts`` examples have their
    texts in ``outputs``; None is all.
    """

    facts: Mapping[str, Any]
    examples: Sequence[Example]
    outputs: Mapping[str, SystemOutput]
    measured: Mapping[str, ScorerResults]
    max_texts: int | None = None

    @cached_property
    def shown(self) -> Int[np.ndarray, " S"]:
        """Positions of the examples whose texts are held, in order."""
        return shown_positions(len(self.examples), self.max_texts, self.seed)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of all scorers, in order."""
        return tuple(column for one in self.measured.values() for column in one.scorer.columns)

    @property
    def seed(self) -> int:
        """The run's seed, which draws all samples of the report too."""
        return int(self.facts["runtime"]["seed"])

    @cached_property
    def headline(self) -> str:
        """The column that ranks: the suite's, or else its first gate, or else the first column."""
        names = [column.name for column in self.columns]
        suite = self.facts["suite"]
        # Scorers may have been chosen by hand, without the suite's own headline.
        for wanted in (suite["headline"], *suite.get("gates", ())):
            if wanted in names:
                return wanted
        return names[0] if names else suite["headline"]

    @cached_property
    def clusters(self) -> ClusterIndex:
        """The cluster of every example; an example without one is a cluster by itself."""
        count = len(self.examples)
        names = (example.cluster or f"example {example.id}" for example in self.examples)
        # Hashes, because a million names would fill the memory.
        hashes = scratch_copy(map(text_hash64, names), count, np.uint64)
        return ClusterIndex(count, hashes)

    @property
    def resamples(self) -> int:
        """How many bootstrap samples are drawn.

        Fewer for many examples, whose intervals are so narrow that the error of 1,000 draws is
        far below what is printed.
        """
        if len(self.examples) <= ROWS_AT_ONCE:
            return 10_000
        return 1_000

    def swaps(self, tests: int) -> int:
        """How many swaps each of so many paired tests draws.

        No p-value is below 1 / (swaps + 1), and the first step of Holm's procedure multiplies it
        by the number of tests: with too few swaps nothing could ever be significant. A hundred a
        test leave it a fifth of the level. The most allowed do for a hundred systems.
        """
        wanted = min(SWAPS_A_TEST * tests, MOST_SWAPS)
        return max(self.resamples, wanted)

    @cached_property
    def bootstrap_draws(self) -> Mapping[str, Float[np.ndarray, "S R C"]]:
        """Every scorer's columns on bootstrap samples: S rows of the table, R samples, C columns.

        All rows are sampled alike, so that differences of draws are draws of the difference; rows
        are in the order of the scorer's statistics.
        """
        how = self.seed, self.resamples, self.clusters
        found = {}
        for name, one in self.measured.items():
            # All systems of a scorer in one pass, so that a draw of examples is made once for all.
            arrays = list(one.statistics.values())
            found[name] = bootstraps(one.scorer.combine, arrays, *how)
        return found

    @cached_property
    def ranking(self) -> tuple[str, int] | None:
        """The scorer of the headline and the column's place in it.

        None where no column of that name has a better direction.
        """
        return self._directed(self.headline)

    @property
    def gates(self) -> list[tuple[str, int]]:
        """Scorers and places of the columns in which a ranked system is above every control.

        The headline is the first; of the suite's other gates those that were measured.
        """
        others = self.facts["suite"].get("gates", ())
        names = dict.fromkeys([self.headline, *others])
        found = (self._directed(name) for name in names)
        return [one for one in found if one is not None]

    def _directed(self, wanted: str) -> tuple[str, int] | None:
        """The scorer and the place of a column that has a better direction."""
        for name, one in self.measured.items():
            for place, column in enumerate(one.scorer.columns):
                if column.name == wanted and column.better != "none":
                    return name, place
        return None


def shown_positions(
    count: int,
    max_texts: int | None,
    seed: int,
) -> Int[np.ndarray, " S"]:
    """Which of ``count`` examples are shown, in order: all, or ``max_texts`` drawn by ``seed``."""
    if max_texts is None or count <= max_texts:
        return np.arange(count)
    generator = np.random.default_rng(seed)
    drawn = generator.choice(count, max_texts, replace=False)
    return np.sort(drawn)
