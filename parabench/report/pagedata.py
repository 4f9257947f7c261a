"""All that the report page shows, as one value."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from parabench.contracts import Example
from parabench.report.board import Comparison, Leaderboard, LeaderboardRow


@dataclass(frozen=True)
class PageData:
    """All that the page shows.

    Attributes:
        board: the leaderboard.
        examples: those whose texts are shown.
        texts: for every system what it wrote for each example: one text, one for every turn or
            sample, or none.
        values: for every system and column one number an example (NaN: undefined).
        comparisons: the tests on the headline.
        cut: for every system the places of the outputs that the length limit ended.
        quality: the column of the vertical axis of the plane; the first against references if
            empty.
        change: the column of its horizontal axis; the first against the source if empty.
        anchors: the controls that are in figures and examples beside the systems (None: all); the
            table has every one.
        seed_values: for every training of rows that have several what it reaches alone on the
            headline, by its name.
        total: how many examples were scored, where ``examples`` are a sample of them.
    """

    board: Leaderboard
    examples: tuple[Example, ...]
    texts: Mapping[str, Sequence[Sequence[str]]]
    values: Mapping[str, Mapping[str, Sequence[float]]]
    comparisons: tuple[Comparison, ...] = ()
    cut: Mapping[str, Collection[int]] = field(default_factory=dict)
    quality: str = ""
    change: str = ""
    anchors: Collection[str] | None = None
    total: int = 0
    seed_values: Mapping[str, float] = field(default_factory=dict)

    def shows(self, row: LeaderboardRow) -> bool:
        """Whether a row is in the figures: every system, and the controls among ``anchors``."""
        return not row.control or self.anchors is None or row.system in self.anchors
