"""Is a longer prompt better? What trials of several lengths and seeds measure, with intervals over
the seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

Point = tuple[int, float]
"""A prompt's length and what one training of that length measures."""


class Summary(NamedTuple):
    """The mean of one length's trials and half the width of its 95 % interval (Student's t); 0 for
    a single trial.
    """

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
        found.append(
            Summary(
                length, float(values.mean()), float(t.ppf(0.975, max(len(values) - 1, 1)) * error)
            )
        )
    return found


def plot(measures: Mapping[str, Sequence[Point]]) -> bytes:
    """An SVG with a panel for each measure: every trial as a dot, and for each length the mean with
    its interval.

    The model without a prompt, which is far off, is named above the panel.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from parabench.render.figures import ACCENT, MUTED, STYLE
    from parabench.render.svg import svg_file

    rows = (len(measures) + 1) // 2
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 2.6 * rows), layout="constrained")
        for number, (name, points) in enumerate(measures.items(), 1):
            axes = figure.add_subplot(
                rows, min(2, len(measures)), number, xlabel="virtual tokens", ylabel=name
            )
            found = summaries(points)
            if found and not found[0].length:
                axes.set_title(
                    f"without a prompt {found.pop(0).mean:.3f}", loc="left", fontsize="small"
                )
            if prompted := [point for point in points if point[0]]:
                axes.plot(*zip(*prompted, strict=True), "o", color=MUTED, markersize=2.5, zorder=3)
            if found:
                lengths, means, halves = zip(*found, strict=True)
                axes.errorbar(
                    lengths,
                    means,
                    halves,
                    color=ACCENT,
                    lw=1.2,
                    capsize=3,
                    marker="s",
                    markersize=4,
                )
        return svg_file(figure, "lengths", "What trials measure against the length of the prompt")
