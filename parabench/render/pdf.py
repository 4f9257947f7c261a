"""A figure as a PDF file for a paper, in the light colours of the page."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.colors import to_hex, to_rgba

from parabench.render.figures import STYLE, VARIABLES
from parabench.render.svg import page_colors

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLORED = ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor")
"""Properties of matplotlib's artists that hold a colour, or an array of them."""


def pdf_file(figure: Figure) -> bytes:
    """Render a figure as PDF; the same figure gives the same bytes.

    Args:
        figure: drawn in the stand-in colours of ``figures``, which are replaced in it.
    """
    light = {name: light for name, light, _ in page_colors()}
    replaced = {stand_in: light[name] for stand_in, name in VARIABLES.items()}
    for artist in figure.findobj():
        for name in _COLORED:
            _recolor(artist, name, replaced)
    stream = io.BytesIO()
    no_metadata = dict.fromkeys(("Creator", "Producer", "CreationDate"))
    # Type 42 embeds fonts as TrueType: many publishers refuse matplotlib's default, Type 3.
    with mpl.rc_context({**STYLE, "pdf.fonttype": 42}):
        figure.savefig(stream, format="pdf", metadata=no_metadata)
    return stream.getvalue()


def _recolor(
    artist: Any,
    name: str,
    replaced: dict[str, str],
) -> None:
    """Give one property of an artist its true colour, where it holds a stand-in."""
    getter = getattr(artist, f"get_{name}", None)
    setter = getattr(artist, f"set_{name}", None)
    if getter is None or setter is None:
        return
    found = getter()
    # Collections of lines and bodies of violins hold an array, one row of RGBA for each element.
    is_array = hasattr(found, "ndim") and found.ndim == 2
    if is_array and len(found) != 1:
        return
    single = found[0] if is_array else found
    if isinstance(single, str) and single.lower() in ("none", "auto", "inherit"):
        return
    color = replaced.get(to_hex(single))
    if color is not None:
        # The transparency of a violin's body is its own.
        setter(to_rgba(color, to_rgba(single)[3]))
