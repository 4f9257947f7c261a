"""Rows counted by the reason why they were left out, with the first few line numbers of each."""

from __future__ import annotations

from collections import Counter, defaultdict

SHOWN = 5


class Tally:
    """Counts by reason; ``kept`` counts what was left in."""

    def __init__(self) -> None:
        """Nothing counted yet."""
        self.reasons: Counter[str] = Counter()
        self.lines: defaultdict[str, list[int]] = defaultdict(list)
        self.kept = 0

    def count(self, reason: str, line: int) -> None:
        """One row left out."""
        self.reasons[reason] += 1
        if len(self.lines[reason]) < SHOWN:
            self.lines[reason].append(line)

    def clear(self) -> None:
        """Begin anew, for another pass over the same rows."""
        self.reasons.clear()
        self.lines.clear()
        self.kept = 0
