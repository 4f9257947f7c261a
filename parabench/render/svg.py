"""A figure as an SVG file of its own, in the page's colours, light or dark as its viewer is set."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from parabench.render.figures import SVG, figure_to_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', Arial, sans-serif"
_PAIR = re.compile(r"--(\w+): light-dark\((#\w+), (#\w+)\)")
_OWN = re.compile(r"\.color\d+ { --own: light-dark\((#\w+), (#\w+)\)")


@cache
def series_colors() -> tuple[tuple[str, str], ...]:
    """Colours of the series of a figure, each as a pair: on a light and on a dark background."""
    return tuple(_OWN.findall(_stylesheet("map.css")))


def svg_file(figure: Figure, salt: str, title: str) -> bytes:
    """Render a figure as a complete SVG file; the same figure gives the same bytes.

    Args:
        figure: drawn in the stand-in colours of ``figures`` and the light ones of
            ``series_colors``; a dark viewer shows the partners of both.
        salt: makes ids of elements differ between figures.
        title: text for those who cannot see the figure.
    """
    root = ElementTree.fromstring(figure_to_svg(figure, salt))
    width, height = root.attrib["viewBox"].split()[2:]
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "width": width,
        "height": height,
        "role": "img",
    }
    background = ElementTree.Element(f"{{{SVG}}}rect")
    background.attrib = {"width": width, "height": height, "fill": "var(--paper)"}
    heading = ElementTree.Element(f"{{{SVG}}}title")
    heading.text = title
    style = ElementTree.Element(f"{{{SVG}}}style")
    style.text = _color_schemes()
    # The title must be the first child to count as the file's own (SVG 2, 5.7); the background
    # comes before everything drawn, since later elements are painted over earlier ones.
    for place, element in enumerate((heading, style, background)):
        root.insert(place, element)
    text = ElementTree.tostring(root, encoding="unicode")
    for number, (light, _) in enumerate(series_colors()):
        text = re.sub(rf'"{light}"', f'"var(--series{number})"', text)
    return f"{text}\n".encode()


def _color_schemes() -> str:
    """CSS variables for a light and for a dark viewer.

    The page writes ``light-dark()``, which few viewers of SVG files know, so here each scheme has
    its own rule.
    """
    pairs = _PAIR.findall(_stylesheet("page.css"))
    pairs += [(f"series{number}", *pair) for number, pair in enumerate(series_colors())]
    light = " ".join(f"--{name}: {color};" for name, color, _ in pairs)
    dark = " ".join(f"--{name}: {color};" for name, _, color in pairs)
    return (
        f"svg {{ {light} font-family: {FONT}; }} "
        f"@media (prefers-color-scheme: dark) {{ svg {{ {dark} }} }}"
    )


def _stylesheet(name: str) -> str:
    return (files("parabench.render") / "templates" / name).read_text("utf-8")
