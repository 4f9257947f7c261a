"""The picture of a committed table: quality against change, as one SVG file of some 30 kB.

``python -m benchmarks.pictures results/smollm2`` reads ``leaderboard.json`` there and writes
``plane.svg`` beside it, in light and dark colours; no run folder and no model is needed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from parabench.render.figures import plane_figure
from parabench.render.svg import svg_file
from parabench.report.board import Leaderboard, board_from_json
from parabench.report.pagedata import PageData
from parabench.report.pagefigures import find_plane

ANCHORS = ("human", "copy")
"""Controls that are drawn as marks to compare with; the others are crosses."""
WIDTH = 6.6
"""Inches: the README enlarges it to 760 pixels."""


def picture(board: Leaderboard) -> bytes:
    """The plane of a board as an SVG file. Raises SystemExit where nothing can be drawn."""
    plane = find_plane(PageData(board, (), {}, {}, anchors=ANCHORS))
    if plane is None:
        raise SystemExit(f"{board.title}: no row has a value on both axes")
    figure = plane_figure(plane.points, plane.change, plane.quality, WIDTH)
    title = (
        f"{board.title}: {plane.quality.name} against {plane.change.name}, "
        "better towards the upper right"
    )
    return svg_file(figure, "plane", title)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pictures", description=__doc__)
    parser.add_argument("folder", type=Path, help="that holds leaderboard.json")
    folder = parser.parse_args(arguments).folder
    board = board_from_json((folder / "leaderboard.json").read_text(encoding="utf-8"))
    (folder / "plane.svg").write_bytes(picture(board))
    print(folder / "plane.svg")


if __name__ == "__main__":
    main(sys.argv[1:])
