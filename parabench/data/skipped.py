"""Rows of a corpus that were left out, counted by reason."""

from __future__ import annotations

from collections import Counter, defaultdict

_SHOWN = 5
"""Line numbers that are kept for each reason."""


class SkipCounts:
    """Rows left out, counted by reason, with the first lines of each; ``kept`` counts the rest."""

    def __init__(self) -> None:
        """Begin with nothing counted."""
        self.reasons: Counter[str] = Counter()
        self.lines: defaultdict[str, list[int]] = defaultdict(list)
        self.kept = 0

    def count(self, reason: str, line: int) -> None:
        """Count one row that is left out.

        ``reason``: a phrase that names the fault, the same for every row of its kind.
        ``line``: where the row ends in its file, from 1.
        """
        self.reasons[reason] += 1
        # a few lines are enough to look at; all of a large corpus would fill the memory
        lines = self.lines[reason]
        if len(lines) < _SHOWN:
            lines.append(line)

    def clear(self) -> None:
        """Forget all counts, for another pass over the same rows."""
        self.reasons.clear()
        self.lines.clear()
        self.kept = 0
