"""The rule that a column must earn: on this data, people are above every sentinel, and surely.

Five demands, told in this order: people above each sentinel; so in the interval of the difference;
less the more of people's answers are replaced by a sentinel's; half of people's answers above every
sentinel; and enough room between the best sentinel and people. A column that fails one does not
rank.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite, isnan

import numpy as np
from jaxtyping import Float

from parabench.contracts import Column, is_additive
from parabench.stats.arrays import (
    ROWS_AT_ONCE,
    ColumnValues,
    Combine,
    SeedMean,
    StatisticsArray,
    SystemStatistics,
    row_slices,
)
from parabench.stats.resampling import percentile_ends

MIXED_SENTINELS = ("copy", "empty", "shuffled")
"""Sentinels whose texts replace a part of people's answers."""
MIXED_SHARES = (0.25, 0.5, 0.75)
"""How much of people's answers is replaced."""
HEADROOM = 3
"""People must be so many widths of the interval above the best sentinel."""
_MASKS = 8
"""Random choices of the replaced answers that a mixture is the mean of, where sums do not do."""
_SIGNS = {"up": 1, "down": -1, "none": 0}


def columns_beaten_by_sentinels(
    columns: Sequence[Column], human: Sequence[float], sentinels: Mapping[str, Sequence[float]]
) -> dict[str, tuple[str, ...]]:
    """For every column that is not valid here, the sentinels that it does not put below the human.

    Values are in the order of ``columns``; the worst offender comes first. A tie breaks a column,
    an undefined sentinel does not, and where the human is undefined all sentinels do. Columns that
    rank nowhere (``better`` is none) are left out.
    """
    found = {}
    for place, column in enumerate(columns):
        sign = _SIGNS[column.better]
        values = {
            name: sign * row[place] for name, row in sentinels.items() if not isnan(row[place])
        }
        bar = sign * human[place]
        ordered = sorted(values, key=lambda name: -values[name])
        offenders = [name for name in ordered if not values[name] < bar]
        if offenders and sign:
            found[column.name] = tuple(offenders)
    return found


def invalid_reason(
    column: Column, human: float, sentinels: Mapping[str, float], offenders: Sequence[str]
) -> str:
    """One line for a reader: ``copy 50.3, near-copy 43.0 are not below human 40.0``."""
    better = "below" if column.better == "up" else "above"
    named = ", ".join(f"{name} {sentinels[name]:.{column.digits}f}" for name in offenders)
    verb = "is" if len(offenders) == 1 else "are"
    return f"{named} {verb} not {better} human {human:.{column.digits}f}"


# ---- people replaced by sentinels


def mixtures(
    combine: Combine,
    human: SystemStatistics,
    sentinel: SystemStatistics,
    shares: Sequence[float] = MIXED_SHARES,
    seed: int = 0,
) -> Float[np.ndarray, "M C"]:
    """The columns of people's answers of which a random share is replaced by a sentinel's.

    Nothing is measured again. The row of an example is the human's or the sentinel's. Where columns
    are a function of sums, the sums have their expectation, so that chance has no part in it; else
    they are the mean over some random choices, in which a larger share replaces what a smaller one
    does and more. NaN where there are too many rows for that.

    Args:
        combine: of the scorer.
        human: statistics of people.
        sentinel: statistics of a sentinel, of the same examples.
        shares: how much is replaced, each from 0 to 1.
        seed: of the random choices.
    """
    people = SeedMean(human)
    others = SeedMean(sentinel)
    if is_additive(combine):
        kept = _sum(people)
        put = _sum(others)
        sums = [(1 - share) * kept + share * put for share in shares]
        return combine(np.array(sums)[:, None])
    count = len(people)
    if count > ROWS_AT_ONCE:
        columns = combine(people[:1]).shape[-1]
        return np.full((len(shares), columns), np.nan)
    generator = np.random.default_rng(seed)
    drawn = []
    for _ in range(_MASKS):
        order = generator.permutation(count)
        replaced = [order < round(share * count) for share in shares]
        rows = [np.where(one[:, None], others[:], people[:]) for one in replaced]
        drawn.append(np.stack([combine(one) for one in rows]))
    return np.mean(drawn, axis=0)


def _sum(rows: StatisticsArray) -> Float[np.ndarray, " K"]:
    return np.asarray(sum(rows[part].sum(axis=0) for part in row_slices(len(rows))))


# ---- the rule


@dataclass(frozen=True)
class ControlValues:
    """A control's columns on all examples, and on each bootstrap sample of them.

    All controls of a run are sampled alike, so that differences of draws are draws of the
    difference.
    """

    values: ColumnValues
    draws: Float[np.ndarray, "R C"]


def column_faults(
    columns: Sequence[Column],
    human: ControlValues,
    sentinels: Mapping[str, ControlValues],
    mixed: Mapping[str, Float[np.ndarray, "M C"]],
    level: float = 0.95,
) -> dict[str, str]:
    """Why columns may not rank here: the first demand of the rule that each fails, with numbers.

    Args:
        columns: of one scorer.
        human: what people reach.
        sentinels: what each sentinel reaches.
        mixed: for sentinels by name, ``mixtures`` at ``MIXED_SHARES``.
        level: of the intervals of differences.

    Returns:
        A reason by column; columns that pass, or whose ``better`` is none, are left out.
    """
    rows = {name: one.values.tolist() for name, one in sentinels.items()}
    beaten = columns_beaten_by_sentinels(columns, human.values.tolist(), rows)
    found = {}
    for place, column in enumerate(columns):
        if column.better == "none" or not sentinels:
            continue
        if column.name in beaten:
            values = {name: row[place] for name, row in rows.items()}
            offenders = beaten[column.name]
            found[column.name] = invalid_reason(
                column, float(human.values[place]), values, offenders
            )
            continue
        judge = _ColumnJudge(column, place, human, sentinels, level)
        if reason := judge.uncertain() or judge.not_monotone(mixed) or judge.no_headroom():
            found[column.name] = reason
    return found


@dataclass(frozen=True)
class _ColumnJudge:
    """The demands on one column, in the direction in which more is better."""

    column: Column
    place: int
    human: ControlValues
    sentinels: Mapping[str, ControlValues]
    level: float

    def uncertain(self) -> str:
        """The sentinel whose distance from people may be none, by its interval."""
        for name in self._from_best():
            distance, low, high = self._distance(name)
            if not low > 0:
                return (
                    f"{self._named(name)} is not surely {self._below} human "
                    f"{self._text(self._human)}: the distance is {self._text(distance)} "
                    f"[{self._text(low)}, {self._text(high)}]"
                )
        return ""

    def not_monotone(self, mixed: Mapping[str, Float[np.ndarray, "M C"]]) -> str:
        """A mixture of people and a sentinel that is as good as one with more of people in it."""
        best = next(iter(self._from_best()), None)
        for name, rows in mixed.items():
            if name not in self.sentinels:
                continue
            ladder = [self._human, *rows[:, self.place], self._value(name)]
            if not all(map(isfinite, ladder)):
                continue
            signed = [self._sign * value for value in ladder]
            if any(not after < before for before, after in pairwise(signed)):
                steps = ", ".join(map(self._text, ladder))
                return f"it does not fall steadily as {name} replaces people: {steps}"
            half = ladder[1 + MIXED_SHARES.index(0.5)]
            if best and not self._sign * half > self._sign * self._value(best):
                return (
                    f"people with half of their answers replaced by {name} get {self._text(half)}, "
                    f"which is not {self._above} {self._named(best)}"
                )
        return ""

    def no_headroom(self) -> str:
        """The best sentinel, where it leaves less room than ``HEADROOM`` intervals."""
        best = next(iter(self._from_best()), None)
        if best is None:
            return ""
        distance, low, high = self._distance(best)
        if distance >= HEADROOM * (high - low):
            return ""
        return (
            f"human {self._text(self._human)} is {self._text(distance)} from {self._named(best)}, "
            f"less than {HEADROOM} times the interval of that distance, {self._text(high - low)}: "
            "more examples are needed"
        )

    # ---- words and numbers

    @property
    def _sign(self) -> int:
        return _SIGNS[self.column.better]

    @property
    def _below(self) -> str:
        return "below" if self._sign > 0 else "above"

    @property
    def _above(self) -> str:
        return "above" if self._sign > 0 else "below"

    @property
    def _human(self) -> float:
        return float(self.human.values[self.place])

    def _value(self, name: str) -> float:
        return float(self.sentinels[name].values[self.place])

    def _from_best(self) -> list[str]:
        """The sentinels that have a value, the best first."""
        defined = [name for name in self.sentinels if isfinite(self._value(name))]
        return sorted(defined, key=lambda name: (-self._sign * self._value(name), name))

    def _distance(self, name: str) -> tuple[float, float, float]:
        """How far people are ahead of a sentinel, and the interval of that."""
        of_sentinel = self.sentinels[name].draws[:, self.place]
        draws = self._sign * (self.human.draws[:, self.place] - of_sentinel)
        low, high = percentile_ends(draws[:, None], self.level)
        return self._sign * (self._human - self._value(name)), float(low[0]), float(high[0])

    def _text(self, number: float) -> str:
        return f"{number:.{self.column.digits}f}"

    def _named(self, name: str) -> str:
        return f"{name} {self._text(self._value(name))}"
