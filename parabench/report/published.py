"""Numbers that others printed, shown beside a run's own."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from parabench.contracts import Score, UserError
from parabench.render.escape import markdown
from parabench.report.board import Leaderboard, ordered_rows, score_text

LAYOUT = "column,SYSTEM,…  then  examples,N,…  then one line a column, its values as printed"


@dataclass(frozen=True)
class PublishedTable:
    """A printed table: its systems, how many examples each was scored on, and each column's values
    as printed.
    """

    source: str
    systems: tuple[str, ...]
    examples: tuple[str, ...]
    columns: Mapping[str, tuple[str, ...]]


def read_published(path: Path) -> PublishedTable:
    """Read a CSV file laid out as ``LAYOUT``; raises UserError where it is something else."""
    try:
        (head, *systems), (_, *examples), *lines = list(
            csv.reader(path.read_text(encoding="utf-8").splitlines())
        )
        columns = {name: tuple(values) for name, *values in lines}
        numbers = [
            *map(int, examples),
            *(float(value) for row in columns.values() for value in row),
        ]
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(
            f"read published numbers from {path}", str(error), mend=f"lay it out as {LAYOUT}"
        ) from None
    if head != "column" or len(numbers) != len(systems) * (1 + len(columns)):
        found = "lines of unequal length, or another layout"
        raise UserError(
            f"read published numbers from {path}", found, mend=f"lay it out as {LAYOUT}"
        )
    return PublishedTable(path.name, tuple(systems), tuple(examples), columns)


def published_comparison(board: Leaderboard, published: PublishedTable) -> str:
    """A Markdown table of every published column that the run has: the published systems, then the
    run's rows.
    """
    from tabulate import tabulate

    if not any(column.name in published.columns for column in board.columns):
        raise UserError(
            f"show {published.source} beside {board.title}",
            "the run has none of its columns",
            sorted(published.columns),
            "parabench run --scorers paraphrase-opt",
        )
    rows = ordered_rows(board)
    names = [
        *(f"{name} ‡" for name in published.systems),
        *(row.system + " †" * row.control for row in rows),
    ]
    counts = ["examples", *published.examples, *(str(row.scored) for row in rows)]
    align = ["left", *["right"] * len(names)]
    lines = [counts, *_lines(board, published)]
    table = tabulate(
        lines, ["", *map(markdown, names)], "pipe", colalign=align, disable_numparse=True
    )
    note = f"‡ as published ({markdown(published.source)}), on other examples than these; † a control. Nothing here ranks."
    return f"# {markdown(board.title)}, beside {markdown(published.source)}\n\n{table}\n\n{note}\n"


def _lines(board: Leaderboard, published: PublishedTable) -> Iterator[list[str]]:
    for column in board.columns:
        if column.name in published.columns:
            printed = [
                Score(float(value), float("nan"), float("nan"), "")
                for value in published.columns[column.name]
            ]
            scores = [*printed, *(row.scores.get(column.name) for row in ordered_rows(board))]
            yield [markdown(column.name), *(score_text(score, column)[0] for score in scores)]
