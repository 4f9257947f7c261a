"""Numbers that others published, shown beside a run's own."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from parabench.contracts import Score, UserError
from parabench.data.text_files import read_whole
from parabench.render.escape import markdown
from parabench.report.board import Leaderboard, ordered_rows
from parabench.report.cells import score_text

_LARGEST = 1 << 20
"""Bytes of a file of published numbers."""

LAYOUT = "column,SYSTEM,…  then  examples,N,…  then one line a column, its values as printed"


@dataclass(frozen=True)
class PublishedTable:
    """A published table; ``examples`` and ``columns`` have one text for each of ``systems``."""

    source: str
    systems: tuple[str, ...]
    examples: tuple[str, ...]
    columns: Mapping[str, tuple[str, ...]]


def read_published(path: Path) -> PublishedTable:
    """Read a CSV file laid out as ``LAYOUT``.

    Raises:
        UserError: where the file cannot be read or has another layout.
    """
    mend = f"lay it out as {LAYOUT}"
    try:
        text = read_whole(path, _LARGEST).decode()
        lines = list(csv.reader(text.splitlines()))
        # First the names of systems, then how many examples each was scored on, then columns.
        (head, *systems), (_, *examples), *rest = lines
        columns = {name: tuple(values) for name, *values in rest}
        # Reading them as numbers proves that they are; what is shown are the texts as printed.
        numbers: list[float] = [*map(int, examples)]
        for values in columns.values():
            numbers += map(float, values)
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"read published numbers from {path}", str(error), mend=mend) from None
    # One number of examples a system, and one value in every column.
    expected = len(systems) * (1 + len(columns))
    if head != "column" or len(numbers) != expected:
        found = "lines of unequal length, or another layout"
        raise UserError(f"read published numbers from {path}", found, mend=mend)
    return PublishedTable(
        path.name,
        tuple(systems),
        tuple(examples),
        columns,
    )


def published_comparison(board: Leaderboard, published: PublishedTable) -> str:
    """A Markdown table of the published systems and the run's rows.

    It has every column of ``published`` that ``board`` has too.

    Raises:
        UserError: where they have no column in common.
    """
    if not any(column.name in published.columns for column in board.columns):
        raise UserError(
            f"show {published.source} beside {board.title}",
            "the run has none of its columns",
            sorted(published.columns),
            "parabench run --scorers paraphrase-opt",
        )
    rows = ordered_rows(board)
    names = [f"{name} ‡" for name in published.systems]
    names += [row.system + (" †" if row.control else "") for row in rows]
    counts = ["examples", *published.examples, *(str(row.scored) for row in rows)]
    lines = [counts, *_lines(board, published)]
    # Here a system is a column and a metric a row, as papers print them.
    heads = ["", *map(markdown, names)]
    align = ["left", *["right"] * len(names)]
    table = tabulate(
        lines,
        heads,
        "pipe",
        colalign=align,
        disable_numparse=True,
    )
    source = markdown(published.source)
    note = (
        f"‡ as published ({source}), on other examples than these; † a control. Nothing here ranks."
    )
    return f"# {markdown(board.title)}, beside {source}\n\n{table}\n\n{note}\n"


def _lines(board: Leaderboard, published: PublishedTable) -> Iterator[list[str]]:
    for column in board.columns:
        if column.name not in published.columns:
            continue
        # Published values go through the same rounding as the run's; they have no interval.
        printed = published.columns[column.name]
        scores: list[Score | None] = [
            Score(
                float(value),
                math.nan,
                math.nan,
                "",
            )
            for value in printed
        ]
        scores += [row.scores.get(column.name) for row in ordered_rows(board)]
        yield [markdown(column.name), *(score_text(score, column)[0] for score in scores)]
