"""Figures of trainings: loss curves read from a loss log, and quality against prompt length."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from parabench.contracts import UserError
from parabench.prompts.snapshots import kept_step
from parabench.render.figures import ACCENT, MUTED, STYLE, shorten_name
from parabench.render.svg import series_colors, svg_file
from parabench.store.files import read_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LOG = Path("training/log.jsonl")
_HELD_OUT_LINE: dict[str, Any] = {"ls": (0, (4, 3)), "marker": "o", "markersize": 4}
_PANEL_WIDTH, _PANEL_HEIGHT = 4.6, 2.9  # inches
_LENGTH_PANEL_HEIGHT = 2.6  # inches

LengthPoint = tuple[int, float]
"""The length of a prompt in virtual tokens, and what one training of that length measures."""


@dataclass(frozen=True)
class TrainingCurves:
    """What one training measured, update by update.

    ``losses`` are (update, loss in nats a target token) of every update; ``measures`` has the
    (update, value) pairs of every held-out measure by its name; ``kept`` is the update whose state
    was exported, None while the training is unfinished.
    """

    name: str
    losses: tuple[tuple[int, float], ...]
    measures: dict[str, list[tuple[int, float]]]
    kept: int | None


def read_curves(folder: Path) -> TrainingCurves:
    """Read the curves of the training in a checkpoint's folder from its loss log.

    Raises UserError where the folder has no log, or a damaged one.
    """
    asked = f"draw the training of {folder}"
    path = folder / _LOG
    if not path.exists():
        raise UserError(asked, f"no {_LOG}", mend="name a folder that parabench train made")
    losses: list[tuple[int, float]] = []
    measures: dict[str, list[tuple[int, float]]] = {}
    for number, line in enumerate(read_bytes(path).splitlines(), 1):
        try:
            record = json.loads(line)
            step = int(record["step"])
            if "validation" in record:
                for name, value in _numbers(record["validation"]):
                    of_measure = measures.setdefault(name, [])
                    of_measure.append((step, value))
            else:
                losses.append((step, float(record["loss"])))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise UserError(asked, f"line {number} of {_LOG} is damaged") from None
    name = folder.resolve().name
    return TrainingCurves(name, tuple(losses), measures, kept_step(folder))


def _numbers(validation: dict[str, Any]) -> list[tuple[str, float]]:
    return [
        (name, float(value))
        for name, value in validation.items()
        if isinstance(value, (int, float))
    ]


def moving_average(values: Float[np.ndarray, " N"], width: int) -> Float[np.ndarray, " N"]:
    """The mean of each value and of those before it, ``width`` values at most."""
    # sums[i] is the sum of the first i values, so a window's sum is one subtraction.
    sums = np.cumsum([0.0, *values])
    ends = np.arange(1, len(values) + 1)
    # The first windows have fewer values than ``width``.
    starts = np.maximum(ends - width, 0)
    totals = sums[ends] - sums[starts]
    counts = ends - starts
    return totals / counts


def draw_training(curves: Sequence[TrainingCurves]) -> bytes:
    """Draw trainings as an SVG in both colour schemes.

    There is a panel for the loss, and one for each measure of the texts generated from held-out
    sources.
    """
    measures: dict[str, None] = {}  # an ordered set
    for one in curves:
        measures.update(dict.fromkeys(one.measures))
    measures.pop("loss", None)
    panels = ["loss", *measures]
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)  # rounded up
    size = (_PANEL_WIDTH * columns + 0.6, _PANEL_HEIGHT * rows)
    colors = _colors(len(curves))
    with mpl.rc_context(STYLE):
        layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1)
        figure = Figure(figsize=size, layout=layout)
        for place, name in enumerate(panels, 1):
            axes = figure.add_subplot(rows, columns, place)
            _style_panel(axes, name)
            for one, color in zip(curves, colors, strict=True):
                _draw_curves(axes, one, name, color)
        _add_legend(figure, curves)
        names = ", ".join(one.name for one in curves)
        return svg_file(figure, "training", f"Training of {names}")


def _style_panel(axes: Axes, name: str) -> None:
    title = shorten_name(name)
    if name == "loss":
        title += " (nats a target token)"
    axes.grid(True, linewidth=0.6)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("updates")
    axes.set_title(title, loc="left")


def _colors(count: int) -> list[str]:
    in_light = [light for light, _ in series_colors()]
    # More trainings than colours begin with the first colour again.
    repeated = itertools.cycle(in_light)
    return list(itertools.islice(repeated, count))


def _draw_curves(axes: Axes, one: TrainingCurves, name: str, color: str) -> None:
    """Draw one training in one panel: smoothed losses, held-out values, the step that was kept."""
    if name == "loss" and one.losses:
        steps, losses = np.array(one.losses).T
        width = max(1, len(losses) // 20)
        axes.plot(steps, losses, color=color, lw=0.6, alpha=0.25)
        axes.plot(steps, moving_average(losses, width), color=color, lw=1.3)
    points = one.measures.get(name)
    if points:
        steps, values = np.array(points).T
        axes.plot(steps, values, color=color, lw=1, **_HELD_OUT_LINE)
    if one.kept:
        axes.axvline(one.kept, color=color, lw=1, ls=":", zorder=0)


def _add_legend(figure: Figure, curves: Sequence[TrainingCurves]) -> None:
    handles = []
    for one, color in zip(curves, _colors(len(curves)), strict=True):
        name = shorten_name(one.name)
        handles.append(Line2D([], [], color=color, lw=2, label=name))
    smoothed = Line2D([], [], color=MUTED, lw=1.3, label="batches, smoothed")
    held_out = Line2D([], [], color=MUTED, lw=1, label="held out", **_HELD_OUT_LINE)
    kept = Line2D([], [], color=MUTED, lw=1, ls=":", label="kept")
    handles += [smoothed, held_out, kept]
    figure.legend(handles=handles, loc="outside lower left", ncols=4, frameon=False)


class LengthSummary(NamedTuple):
    """The trials of one prompt length: their mean, and half the width of its 95 % interval.

    The interval is Student's t over the trials; ``half_width`` is 0 for a single trial.
    """

    length: int
    mean: float
    half_width: float


def summarise_lengths(points: Sequence[LengthPoint]) -> list[LengthSummary]:
    """Summarise trials by prompt length, one summary for each length, in order."""
    from scipy.stats import t

    values_of: dict[int, list[float]] = {}
    for length, value in points:
        values_of.setdefault(length, []).append(value)
    summaries = []
    for length in sorted(values_of):
        values = np.array(values_of[length])
        count = len(values)
        half_width = 0.0
        if count > 1:
            standard_error = values.std(ddof=1) / count**0.5
            # The quantile that leaves 2.5 % on each side.
            quantile = t.ppf(0.975, count - 1)
            half_width = float(quantile * standard_error)
        mean = float(values.mean())
        summaries.append(LengthSummary(length, mean, half_width))
    return summaries


def draw_lengths(measures: Mapping[str, Sequence[LengthPoint]]) -> bytes:
    """Draw quality against prompt length as an SVG with a panel for each of ``measures``.

    Every trial is a dot, and each length has its mean with the interval over trials. The model
    without a prompt is far off, so its mean is written above the panel.
    """
    columns = min(2, len(measures))
    rows = (len(measures) + 1) // 2  # rounded up
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, _LENGTH_PANEL_HEIGHT * rows), layout="constrained")
        for number, (name, points) in enumerate(measures.items(), 1):
            axes = figure.add_subplot(rows, columns, number, xlabel="virtual tokens", ylabel=name)
            _draw_lengths(axes, points)
        return svg_file(figure, "lengths", "What trials measure against the length of the prompt")


def _draw_lengths(axes: Axes, points: Sequence[LengthPoint]) -> None:
    summaries = summarise_lengths(points)
    # The bare model is no prompt of length 0, and no point of the line: the title tells it.
    if summaries and summaries[0].length == 0:
        bare_model = summaries.pop(0)
        title = f"without a prompt {bare_model.mean:.3f}"
        axes.set_title(title, loc="left", fontsize="small")
    prompted = [(length, value) for length, value in points if length]
    if prompted:
        lengths, values = zip(*prompted, strict=True)
        axes.plot(lengths, values, "o", color=MUTED, markersize=2.5, zorder=3)
    if summaries:
        lengths, means, half_widths = zip(*summaries, strict=True)
        line: dict[str, Any] = {"color": ACCENT, "lw": 1.2, "marker": "s", "markersize": 4}
        axes.errorbar(lengths, means, half_widths, capsize=3, **line)
