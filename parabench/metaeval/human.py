"""What people said, as arrays: all that measures and tests need to know, without the texts."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int, UInt64

from parabench.contracts import UserError
from parabench.metaeval.correlation import pearson
from parabench.metaeval.judgments import Judgment, RatedText
from parabench.metaeval.resampled import Vector
from parabench.sequences import text_hash64


@dataclass(frozen=True)
class Authors:
    """Who wrote what: the system ``names[systems[i]]`` wrote the item ``items[i]``."""

    names: tuple[str, ...]
    items: Int[np.ndarray, " A"]
    systems: Int[np.ndarray, " A"]


@dataclass(frozen=True)
class HumanJudgments:
    """What people said of N items.

    ``ratings`` are the means of the raters; None where people preferred one of two texts.
    ``sources`` stands for the source of each item: items of one source are not independent.
    ``ceiling`` is that of ``rater_ceiling``.
    """

    ratings: Float[np.ndarray, " N"] | None
    sources: UInt64[np.ndarray, " N"]
    authors: Authors
    ceiling: float

    @classmethod
    def of(cls, items: Iterable[Judgment]) -> HumanJudgments:
        """Read all items, and keep none.

        Raises:
            UserError: where ratings and preferences are mixed.
        """
        sources, votes, raters = array("Q"), array("d"), array("q")
        written, writers = array("q"), array("q")
        system_numbers: dict[str, int] = {}
        kinds = set()
        for place, item in enumerate(items):
            kinds.add(type(item))
            given = item.ratings if isinstance(item, RatedText) else item.votes
            systems = item.systems if isinstance(item, RatedText) else ()
            sources.append(text_hash64(item.cluster))
            votes.extend(given)
            raters.append(len(given))
            for name in systems:
                written.append(place)
                writers.append(system_numbers.setdefault(name, len(system_numbers)))
        if len(kinds) > 1:
            raise UserError(
                "test scorers against people",
                "ratings and preferences in one file",
                mend="make it two files",
            )
        are_ratings = RatedText in kinds
        given_votes = Votes(np.array(votes), np.array(raters, dtype=int))
        return cls(
            ratings=given_votes.sums() / given_votes.raters if are_ratings else None,
            sources=np.array(sources, dtype=np.uint64),
            authors=Authors(
                tuple(system_numbers), np.array(written, dtype=int), np.array(writers, dtype=int)
            ),
            ceiling=rater_ceiling(given_votes, are_ratings),
        )

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def source_count(self) -> int:
        """How many sources the items are of."""
        return len(np.unique(self.sources))

    def only(self, kept: Bool[np.ndarray, " N"]) -> HumanJudgments:
        """The judgments of the items that are ``kept``; the ceiling stays that of all."""
        if kept.all():
            return self
        new_places = np.cumsum(kept) - 1
        of_kept = kept[self.authors.items]
        authors = Authors(
            self.authors.names,
            new_places[self.authors.items[of_kept]],
            self.authors.systems[of_kept],
        )
        return replace(
            self,
            ratings=None if self.ratings is None else self.ratings[kept],
            sources=self.sources[kept],
            authors=authors,
        )


@dataclass(frozen=True)
class Votes:
    """What all raters gave, V numbers, item after item, and how many raters each item has."""

    given: Float[np.ndarray, " V"]
    raters: Int[np.ndarray, " N"]

    def sums(self) -> Vector:
        """The sum of each item's raters."""
        items = np.repeat(np.arange(len(self.raters)), self.raters)
        return np.bincount(items, self.given, len(self.raters))


def rater_ceiling(votes: Votes, are_ratings: bool) -> float:
    """How well one rater agrees with the others: about what a scorer can hope for.

    Of ratings the mean Pearson correlation of one rater with the mean of the others; of preferences
    the share of one rater's votes that are as most of the others', a tie counting half. NaN where
    no item has two raters.
    """
    is_shared = votes.raters > 1
    if not is_shared.any():
        return np.nan
    first = np.cumsum(votes.raters) - votes.raters
    sums = votes.sums()
    others = votes.raters[is_shared] - 1
    agree = pearson if are_ratings else _same_side
    found = []
    # Raters are told apart by their place in the row alone, so as many can be left out in turn
    # as the item with the fewest raters has.
    for seat in range(votes.raters[is_shared].min()):
        alone = votes.given[first[is_shared] + seat]
        rest = sums[is_shared] - alone
        found.append(agree(alone, rest / others))
    return float(np.mean(found))


def _same_side(votes: Vector, others: Vector) -> float:
    """The share of votes on the same side of .5 as the others' mean, a tie counting half."""
    # 1 on the same side, -1 on opposite ones, 0 where either is undecided: scores of 1, 0 and 1/2.
    agreement = np.sign(votes - 0.5) * np.sign(others - 0.5)
    scores = (1 + agreement) / 2
    return float(scores.mean())
