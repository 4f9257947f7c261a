"""Figures as SVG: as an element of a page, or as a file of its own, in the page's colours.

Text stays text, so that it can be selected and read aloud.
"""

from __future__ import annotations

import io
import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import matplotlib as mpl

from parabench.render.figures import VARIABLES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SVG = "http://www.w3.org/2000/svg"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', Arial, sans-serif"
_PAIR = re.compile(r"--(\w+): light-dark\((#\w+), (#\w+)\)")
_OWN = re.compile(r"\.color\d+ { --own: light-dark\((#\w+), (#\w+)\)")


@cache
def series_colors() -> tuple[tuple[str, str], ...]:
    """Colours of the series of a figure, each as a pair: on a light and on a dark background."""
    return tuple(_OWN.findall(_stylesheet("map.css")))


def page_colors() -> list[tuple[str, str, str]]:
    """The colours of the page: name, colour on a light and on a dark background."""
    return _PAIR.findall(_stylesheet("page.css"))


def svg_file(
    figure: Figure,
    salt: str,
    title: str,
) -> bytes:
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
    background.attrib = {
        "width": width,
        "height": height,
        "fill": "var(--paper)",
    }
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
    pairs = page_colors()
    pairs += [(f"series{number}", *pair) for number, pair in enumerate(series_colors())]
    light = " ".join(f"--{name}: {color};" for name, color, _ in pairs)
    dark = " ".join(f"--{name}: {color};" for name, _, color in pairs)
    return (
        f"svg {{ {light} font-family: {FONT}; }} "
        f"@media (prefers-color-scheme: dark) {{ svg {{ {dark} }} }}"
    )


def _stylesheet(name: str) -> str:
    return (files("parabench.render") / "templates" / name).read_text("utf-8")


def figure_to_svg(figure: Figure, salt: str) -> str:
    """Turn a figure into an SVG element that its page sizes and colours.

    It has no style element, no script and no link; the same figure and ``salt`` (which makes ids
    differ between the figures of a page) give the same text.
    """
    stream = io.StringIO()
    no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        figure.savefig(
            stream,
            format="svg",
            transparent=True,
            metadata=no_metadata,
        )
    root = ElementTree.fromstring(stream.getvalue())
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style"):
                parent.remove(child)
        _restyle(parent)
    # What the figure says stands in the page's text too: screen readers pass over it.
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "aria-hidden": "true",
        "focusable": "false",
    }
    ElementTree.register_namespace("", SVG)
    return ElementTree.tostring(root, encoding="unicode")


def _restyle(element: ElementTree.Element) -> None:
    """Turn styles into attributes and stand-in colours into the page's variables.

    A content-security policy without ``unsafe-inline`` forbids style attributes, but allows
    presentation attributes such as ``fill``.
    """
    for pair in element.attrib.pop("style", "").split(";"):
        name, _, value = pair.partition(":")
        name = name.strip()
        if name == "font":
            size = re.search(r"[\d.]+px", value)
            assert size, value  # matplotlib always writes a size
            element.set("font-size", size.group())
        elif name and name != "font-family":
            element.set(name, value.strip())
    for name, value in list(element.attrib.items()):
        if name in ("fill", "stroke") and value in VARIABLES:
            element.set(name, f"var(--{VARIABLES[value]})")
        if name.startswith("{"):
            # A namespaced attribute, such as xlink:href: within HTML it has a plain name.
            element.attrib.pop(name)
            element.set(name.rpartition("}")[2], value)
    if element.tag == f"{{{SVG}}}g":
        element.attrib.pop("id", None)  # several figures are on one page
