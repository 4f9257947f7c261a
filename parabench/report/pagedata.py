"""All that the report page shows, as one value."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from parabench.contracts import Example
from parabench.report.board import Comparison, Leaderboard, LeaderboardRow


@dataclass(frozen=True)
class PageData:
    """All that the page shows.

    ``texts`` holds for every system what it wrote for each example: one text, one for every turn or
    sample, or none; ``values`` for system and column one number per example (NaN: undefined),
    ``cut`` the places of the outputs that the length limit ended. ``quality`` and ``change`` name
    the axes of the plane; when empty, they are the first columns that measure each. ``anchors`` are
    the controls that stand beside the systems in figures and examples (None: all); the table has
    every one. ``total`` is how many examples were scored, where these are a sample of them.
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

    def shows(self, row: LeaderboardRow) -> bool:
        """Whether a system stands in the figures: every one that is no control, and the anchors."""
        return not row.control or self.anchors is None or row.system in self.anchors
