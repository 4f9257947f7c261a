"""What is known of the trainings behind each system: seeds, data, and how far the seeds differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from parabench.report.board import Leaderboard, headline_column, ordered_rows
from parabench.report.cells import number_text
from parabench.stats.seeds import row_name

if TYPE_CHECKING:
    from parabench.report.pagedata import PageData


@dataclass(frozen=True)
class Training:
    """One training of a row of the table, as texts.

    Attributes:
        system: name of the training, ``softprompt-111-s2``.
        row: that it is part of.
        seed: of the training; empty where it is not known.
        headline: what the training alone reaches on the headline; empty for a single one.
        seen: how much of the test set it was trained on.
        data: what it was trained on, as its record says.
    """

    system: str
    row: str
    seed: str
    headline: str
    seen: str
    data: str


def known_trainings(data: PageData) -> list[Training]:
    """All trainings that left a record, in the order of the leaderboard; empty without any."""
    board = data.board
    records = board.provenance.get("training")
    if not isinstance(records, Mapping):
        return []
    found = []
    # By row, so that the seeds of a row stand together in the order of the table.
    for row in ordered_rows(board):
        names = [name for name in records if row_name(name) == row.system]
        for name in sorted(names, key=_by_seed):
            value = data.seed_values.get(name)
            headline = "" if value is None else _headline_text(board, value)
            # Provenance is a file: what is no record is passed over.
            if isinstance(records[name], Mapping):
                found.append(
                    _training(
                        name,
                        row.system,
                        headline,
                        records[name],
                    )
                )
    return found


def _by_seed(name: str) -> tuple[int, str]:
    """``-s2`` before ``-s10``."""
    return len(name), name


def _headline_text(board: Leaderboard, value: float) -> str:
    column = headline_column(board)
    return number_text(value, column.digits) if column else ""


def _training(
    name: str,
    row: str,
    headline: str,
    record: Mapping[str, Any],
) -> Training:
    def text(key: str) -> str:
        return str(record[key]) if key in record else ""

    return Training(
        name,
        row,
        text("seed"),
        headline,
        text("seen"),
        text("data"),
    )
