"""Is a longer prompt better? What trials of several lengths and seeds measure, with intervals over the seeds."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import NamedTuple

Point = tuple[int, float]
"""A prompt's length and what one training of that length measures."""


class Summary(NamedTuple):
    """The mean of one length's trials and half the width of its 95 % interval (Student's t); 0 for a single trial."""

    length: int
    mean: float
    half: float


def summaries(points: Sequence[Point]) -> list[Summary]:
    """One for each length, in order."""
    import numpy as np
    from scipy.stats import t

    found = []
    for length in sorted({length for length, _ in points}):
        values = np.array([value for other, value in points if other == length])
        error = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else 0.0
        found.append(Summary(length, float(values.mean()), float(t.ppf(0.975, max(len(values) - 1, 1)) * error)))
    return found


def plot(measures: Mapping[str, Sequence[Point]]) -> bytes:
    """An SVG with a panel for each measure: every trial as a dot, and for each length the mean with its interval.

    The model without a prompt, which is far off, is named above the panel.
    """
    from matplotlib.figure import Figure

    rows = (len(measures) + 1) // 2
    figure = Figure(figsize=(9, 2.6 * rows), layout="constrained")
    for number, (name, points) in enumerate(measures.items(), 1):
        axes = figure.add_subplot(rows, min(2, len(measures)), number, xlabel="virtual tokens", ylabel=name)
        found = summaries(points)
        if found and not found[0].length:
            axes.set_title(f"without a prompt {found.pop(0).mean:.3f}", loc="left", fontsize="small")
        prompted = [point for point in points if point[0]]
        axes.plot([length for length, _ in prompted], [value for _, value in prompted], "o", color="0.6", markersize=3)
        if found:
            lengths, means, halves = zip(*found, strict=True)
            axes.errorbar(lengths, means, halves, capsize=3, marker="s", markersize=4)
    content = io.BytesIO()
    figure.savefig(content, format="svg", metadata={"Date": None})
    return content.getvalue()
