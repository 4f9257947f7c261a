"""What a training did, from its log: its loss, the held-out loss and the scores of texts, update by
update.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from parabench.contracts import UserError
from parabench.render.figures import MUTED, STYLE, shorten_name
from parabench.render.svg import series_colors, svg_file
from parabench.store.files import read

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOG, FINISHED = Path("training/log.jsonl"), Path("training/finished.json")


@dataclass(frozen=True)
class Course:
    """One training: (update, loss in nats a target token), (update, value) of every held-out
    measure, the step kept.
    """

    name: str
    losses: tuple[tuple[int, float], ...]
    measures: dict[str, list[tuple[int, float]]]
    kept: int | None


def course(folder: Path) -> Course:
    """The course of the training in a checkpoint's folder; UserError where it has no log, or a
    damaged one.
    """
    path = folder / LOG
    if not path.exists():
        raise UserError(
            f"draw the training of {folder}",
            f"no {LOG}",
            mend="name a folder that parabench train made",
        )
    losses: list[tuple[int, float]] = []
    measures: dict[str, list[tuple[int, float]]] = {}
    for number, line in enumerate(read(path).splitlines(), 1):
        try:
            record = json.loads(line)
            step = int(record["step"])
            if "validation" in record:
                for name, value in _numbers(record["validation"]):
                    measures.setdefault(name, []).append((step, value))
            else:
                losses.append((step, float(record["loss"])))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise UserError(
                f"draw the training of {folder}", f"line {number} of {LOG} is damaged"
            ) from None
    return Course(folder.resolve().name, tuple(losses), measures, _kept(folder))


def _numbers(validation: dict[str, Any]) -> list[tuple[str, float]]:
    return [
        (name, float(value))
        for name, value in validation.items()
        if isinstance(value, (int, float))
    ]


def _kept(folder: Path) -> int | None:
    path = folder / FINISHED
    return int(json.loads(read(path))["kept"]) if path.exists() else None


def smooth(values: Float[np.ndarray, " N"], width: int) -> Float[np.ndarray, " N"]:
    """The mean of up to ``width`` values before and with each."""
    sums = np.cumsum(np.concatenate([[0.0], values]))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - width, 0)
    return (sums[ends] - sums[starts]) / (ends - starts)


def draw(courses: Sequence[Course]) -> bytes:
    """An SVG in both colour schemes: a panel for the loss, and one for each measure of the held-out
    pairs' texts.
    """
    names = list(dict.fromkeys(name for one in courses for name in one.measures if name != "loss"))
    columns = 1 if not names else 2
    rows = (1 + len(names) + columns - 1) // columns
    with mpl.rc_context(STYLE):
        figure = Figure(
            figsize=(4.6 * columns + 0.6, 2.9 * rows),
            layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1),
        )
        for place, name in enumerate(["loss", *names], 1):
            axes = figure.add_subplot(rows, columns, place)
            axes.grid(True, linewidth=0.6)
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            axes.set_xlabel("updates")
            axes.set_title(
                f"{shorten_name(name)} (nats a target token)"
                if name == "loss"
                else shorten_name(name),
                loc="left",
            )
            for one, (color, _) in zip(courses, _colors(len(courses)), strict=True):
                _course(axes, one, name, color)
        _key(figure, courses)
        return svg_file(figure, "training", f"Training of {', '.join(one.name for one in courses)}")


def _colors(count: int) -> list[tuple[str, str]]:
    return [series_colors()[place % len(series_colors())] for place in range(count)]


def _course(axes: Axes, one: Course, name: str, color: str) -> None:
    """One training in one panel: the loss of batches as a smoothed line, held-out values as dots,
    the step kept.
    """
    if name == "loss" and one.losses:
        steps, losses = np.array(one.losses).T
        axes.plot(steps, losses, color=color, lw=0.6, alpha=0.25)
        axes.plot(steps, smooth(losses, max(1, len(losses) // 20)), color=color, lw=1.3)
    if points := one.measures.get(name):
        axes.plot(*np.array(points).T, color=color, lw=1, ls=(0, (4, 3)), marker="o", markersize=4)
    if one.kept:
        axes.axvline(one.kept, color=color, lw=1, ls=":", zorder=0)


def _key(figure: Figure, courses: Sequence[Course]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=color, lw=2, label=shorten_name(one.name))
        for one, (color, _) in zip(courses, _colors(len(courses)), strict=True)
    ]
    handles.append(Line2D([], [], color=MUTED, lw=1.3, label="batches, smoothed"))
    handles.append(
        Line2D(
            [], [], color=MUTED, lw=1, ls=(0, (4, 3)), marker="o", markersize=4, label="held out"
        )
    )
    handles.append(Line2D([], [], color=MUTED, lw=1, ls=":", label="kept"))
    figure.legend(handles=handles, loc="outside lower left", ncols=4, frameon=False)
