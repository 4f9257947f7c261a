"""Figures for a paper: true colours, fonts that publishers take, the same bytes again."""

import re
import zlib

import pytest

from parabench.contracts import Column, Score
from parabench.render.figures import VARIABLES, PlanePoint, distribution_figure, plane_figure
from parabench.render.pdf import pdf_file
from parabench.render.svg import page_colors

CHANGE = Column("self-bleu", "down", "source", 1)
QUALITY = Column("bleu", "up", "reference", 1)


def plane():
    def point(name: str, x: float, y: float, **kind: bool) -> PlanePoint:
        return PlanePoint(name, Score(x, x - 1, x + 1, ""), Score(y, y - 1, y + 1, ""), **kind)

    points = [
        point("front", 20.0, 40.0, control=False),
        point("beaten", 30.0, 30.0, control=False),
        point("human", 10.0, 60.0, control=True),
        point("shuffled", 8.0, 2.0, control=True, attacker=True),
    ]
    return plane_figure(points, CHANGE, QUALITY, 5.5)


def spread():
    values = {"system": [1.0, 2.0, 4.0, 8.0], "copy": [3.0, 3.5, 3.0, 2.0]}
    return distribution_figure(QUALITY, values, frozenset({"copy"}))


def operators(pdf: bytes) -> str:
    """The drawing operators of all streams that are compressed text."""
    found = []
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", pdf, re.DOTALL):
        try:
            found.append(zlib.decompress(stream).decode("latin-1"))
        except zlib.error:
            continue
    return "\n".join(found)


def colors(pdf: bytes) -> set[str]:
    """Colours that anything is filled or stroked with, as ``#1b5c9e``."""
    found = set()
    for numbers in re.findall(r"([\d.]+ [\d.]+ [\d.]+) (?:rg|RG)\b", operators(pdf)):
        found.add("#" + "".join(f"{round(255 * float(one)):02x}" for one in numbers.split()))
    for gray in re.findall(r"([\d.]+) [gG]\b", operators(pdf)):
        found.add("#" + 3 * f"{round(255 * float(gray)):02x}")
    return found


@pytest.mark.parametrize("draw", [plane, spread])
def test_colours_are_the_light_ones_of_the_page(draw):
    found = colors(pdf_file(draw()))
    light = {name: color for name, color, _ in page_colors()}
    assert light["accent"] in found
    assert light["muted"] in found
    assert not found & set(VARIABLES)


def test_fonts_are_embedded_as_truetype_and_bytes_are_the_same():
    pdf = pdf_file(plane())
    assert pdf.startswith(b"%PDF-")
    assert b"/Type3" not in pdf
    assert b"/FontFile2" in pdf
    assert b"CreationDate" not in pdf
    assert pdf_file(plane()) == pdf
