"""A figure as an SVG file of its own, which takes light or dark from whoever looks at it; colours
are the page's.
"""

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
    """The colours of things that stand beside one another, on a light ground and on a dark one."""
    return tuple(_OWN.findall(_template("map.css")))


def svg_file(figure: Figure, salt: str, title: str) -> bytes:
    """The figure with its ground, a title for those who cannot see it, and both colour schemes;
    deterministic.

    Lines in the light colours of ``series`` get their partners in the dark.
    """
    root = ElementTree.fromstring(figure_to_svg(figure, salt))
    width, height = root.attrib["viewBox"].split()[2:]
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "width": width,
        "height": height,
        "role": "img",
    }
    ground = ElementTree.Element(
        f"{{{SVG}}}rect", {"width": width, "height": height, "fill": "var(--paper)"}
    )
    named, style = ElementTree.Element(f"{{{SVG}}}title"), ElementTree.Element(f"{{{SVG}}}style")
    named.text, style.text = title, _style()
    for place, element in enumerate((named, style, ground)):
        root.insert(place, element)
    text = ElementTree.tostring(root, encoding="unicode")
    for number, (light, _) in enumerate(series_colors()):
        text = re.sub(rf'"{light}"', f'"var(--series{number})"', text)
    return f"{text}\n".encode()


def _style() -> str:
    pairs = _PAIR.findall(_template("page.css"))
    pairs += [(f"series{number}", *pair) for number, pair in enumerate(series_colors())]
    light, dark = (" ".join(f"--{pair[0]}: {pair[which]};" for pair in pairs) for which in (1, 2))
    return f"svg {{ {light} font-family: {FONT}; }} @media (prefers-color-scheme: dark) {{ svg {{ {dark} }} }}"


def _template(name: str) -> str:
    return (files("parabench.render") / "templates" / name).read_text("utf-8")
