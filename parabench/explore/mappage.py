"""The prompt map as a picture, as a table, and as an interactive page.

The page is one file without any network: tokens are data that its own script draws on a canvas,
admitted by hash. Tables below the canvas hold the same for those who cannot see it.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from markupsafe import Markup

from parabench.explore.nearest import Neighbour, PromptPosition
from parabench.explore.promptmap import MappedPrompt, PromptMap, readable_token
from parabench.render.escape import csv_text, visible
from parabench.render.svg import series_colors
from parabench.render.templating import (
    CSP_CLOSED,
    csp_hash,
    load_template,
    script_json,
    template_text,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LANDMARKS = 18
"""Vocabulary tokens that are named on the map."""


def map_to_html(found: PromptMap) -> str:
    """The map as one HTML document; the same data gives the same bytes."""
    style = template_text("parabench.render", "page.css", "map.css")
    script = template_text("parabench.explore", "map.js")
    allowed = [f"style-src {csp_hash(style)}", f"script-src {csp_hash(script)}"]
    page = load_template(
        "parabench.explore",
        "map.html.j2",
        visible=visible,
        near=near_text,
    )
    return page.render(
        found=found,
        colors=len(series_colors()),
        moves=any(len(one.steps) > 1 for one in found.prompts),
        data=Markup(script_json(_data(found))),
        style=Markup(style),
        script=Markup(script),
        policy="; ".join(["default-src 'none'", *allowed, *CSP_CLOSED]),
    )


def near_text(neighbours: tuple[Neighbour, ...]) -> str:
    """``␣su 0.47, er 0.41``: tokens and their cosines."""
    return ", ".join(
        f"{visible(readable_token(near.token))} {near.value:.2f}" for near in neighbours
    )


def _data(found: PromptMap) -> dict[str, Any]:
    return {
        "tokens": [visible(readable_token(token)) for token in found.tokens],
        "anchors": _numbers(found.anchors),
        "landmarks": farthest_points(found.anchors, LANDMARKS),
        "prompts": [_prompt_data(one) for one in found.prompts],
    }


def _prompt_data(one: MappedPrompt) -> dict[str, Any]:
    """What the page's script draws of one prompt: its path stage by stage, and its labels."""
    return {
        "name": visible(one.name),
        "steps": one.steps,
        "path": [_numbers(stage) for stage in one.path],
        "about": [_about(position) for position in one.positions],
    }


def _numbers(places: Float[np.ndarray, "N 2"]) -> list[list[float]]:
    """All x, then all y; the fifth decimal is far below a pixel."""
    axes = []
    for axis in places.T:
        axes.append([round(float(number), 4) for number in axis])
    return axes


def _about(position: PromptPosition) -> str:
    norm = f"norm {position.norm:.2f}, {position.relative_norm:.1f} of the vocabulary's"
    return f"{norm}. Near: {near_text(position.cosine)}"


def map_to_png(found: PromptMap, width: float = 9.0) -> bytes:
    """The map as a picture of ``width`` inches at 160 pixels each.

    The vocabulary is grey, each prompt has a colour and the path of its training.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    # A picture has no light and dark: it takes the page's light colours as they are.
    with mpl.rc_context(
        {
            "text.parse_math": False,
            "font.size": 8.5,
            "axes.edgecolor": "#a9a59b",
        }
    ):
        figure = Figure(figsize=(width, 0.72 * width), layout="constrained", facecolor="#fdfcf9")
        axes = figure.add_subplot(facecolor="#fdfcf9")
        axes.set_aspect("equal", adjustable="datalim")
        axes.plot(
            *found.anchors.T,
            ".",
            color="#b9b4a8",
            markersize=2.2,
            markeredgewidth=0,
            zorder=1,
        )
        _landmarks(axes, found)
        for place, one in enumerate(found.prompts):
            _draw(axes, one, series_colors()[place % len(series_colors())][0])
        for name in ("x", "y"):
            axes.tick_params(axis=name, colors="#69645b", length=2)
        axes.set_xlabel(
            f"first axis of the vocabulary, {found.shares[0]:.0%} of its variance", color="#69645b"
        )
        axes.set_ylabel(f"second axis, {found.shares[1]:.0%}", color="#69645b")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="best", frameon=False)
        stream = io.BytesIO()
        figure.savefig(
            stream,
            format="png",
            dpi=160,
            metadata={"Software": None},
        )
    return stream.getvalue()


def _draw(
    axes: Axes,
    one: MappedPrompt,
    color: str,
) -> None:
    # path is [stages, rows, 2]: transposed, each row of the prompt has its way through the stages.
    for way in one.path.transpose(1, 0, 2):
        axes.plot(
            *way.T,
            color=color,
            lw=0.6,
            alpha=0.3,
            zorder=2,
        )
    label = f"{visible(one.name)}: {len(one.positions)} virtual tokens"
    axes.plot(
        *one.path[-1].T,
        "o",
        color=color,
        markersize=5,
        markeredgecolor="#fdfcf9",
        mew=0.6,
        label=label,
        zorder=4,
    )


def _landmarks(axes: Axes, found: PromptMap) -> None:
    """Name some tokens far from one another, so that a reader knows which region is which."""
    for place in farthest_points(found.anchors, LANDMARKS):
        name = visible(readable_token(found.tokens[place]))
        axes.annotate(
            name,
            found.anchors[place],
            color="#69645b",
            fontsize=7,
            ha="center",
            va="bottom",
            zorder=3,
        )
        axes.plot(
            *found.anchors[place],
            ".",
            color="#69645b",
            markersize=4,
            zorder=3,
        )


def farthest_points(places: Float[np.ndarray, "N 2"], count: int) -> list[int]:
    """Choose ``count`` of the places that are far apart (farthest-point sampling; Gonzalez 1985).

    Returns their indices: the most central one first, then each as far as can be from those before.
    """
    center = np.median(places, axis=0)
    from_center = np.linalg.norm(places - center, axis=1)
    newest = int(from_center.argmin())
    chosen = [newest]
    # Of every place, the distance to the nearest one chosen so far.
    gaps = np.linalg.norm(places - places[newest], axis=1)
    while len(chosen) < min(count, len(places)):
        newest = int(gaps.argmax())
        chosen.append(newest)
        # A place comes nearer to what is chosen by the newest one alone.
        from_newest = np.linalg.norm(places - places[newest], axis=1)
        gaps = np.minimum(gaps, from_newest)
    return chosen


def map_to_csv(found: PromptMap) -> str:
    """The nearest tokens as CSV, one line a position of each prompt.

    Columns: prompt, position, norms, then token and cosine of each neighbour, highest cosine first.
    """
    import csv

    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    # Every position has as many neighbours, but for a vocabulary that is smaller.
    count = max(len(position.cosine) for one in found.prompts for position in one.positions)
    header = ["prompt", "position", "norm", "relative norm"]
    for number in range(1, count + 1):
        header += [f"token {number}", f"cosine {number}"]
    writer.writerow(header)
    for one in found.prompts:
        for row in one.positions:
            norms = [f"{row.norm:.4f}", f"{row.relative_norm:.4f}"]
            cells = [csv_text(one.name), str(row.position), *norms]
            for near in row.cosine:
                cells += [csv_text(readable_token(near.token)), f"{near.value:.4f}"]
            writer.writerow(cells)
    return file.getvalue()
