"""An index of the runs in a folder: what each found, and a page that opens each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from parabench.contracts import UserError
from parabench.render.escape import visible
from parabench.render.templating import (
    CSP_CLOSED,
    csp_hash,
    load_template,
    script_json,
    template_text,
)
from parabench.report.board import Leaderboard, board_from_json, main_columns, ordered_rows
from parabench.report.cautions import cautions
from parabench.report.comparable import blocking_differences
from parabench.report.verdict import verdict
from parabench.store.files import read_bytes

_VALUE_LENGTH = 40
"""Characters of a value that are shown where two runs differ in it."""
_SPECIFICATION = "spec.json"
"""Every run folder has one, from its first moment on."""


@dataclass(frozen=True)
class RunSummary:
    """A run in the index.

    ``name`` is its path from the indexed folder, ``title`` that of its suite. ``summary`` is the
    verdict, or why there is none; ``cautions`` are the sentences below it. ``link`` leads to its
    page and is empty where there is none. ``board`` is None where it is unfinished or damaged.
    """

    name: str
    title: str
    summary: str
    cautions: tuple[str, ...]
    link: str
    board: Leaderboard | None = None


def find_runs(folder: Path) -> list[RunSummary]:
    """The runs directly in a folder, by name; none where the folder is itself a run."""
    # A run folder is reported as a run, not listed.
    if not folder.is_dir() or (folder / _SPECIFICATION).exists():
        return []
    return [_summary(one) for one in sorted(folder.iterdir()) if (one / _SPECIFICATION).exists()]


def _summary(run: Path) -> RunSummary:
    has_page = (run / "report.html").exists()
    link = f"{quote(run.name)}/report.html" if has_page else ""
    # Without one the run was interrupted: the tables are written last.
    path = run / "leaderboard.json"
    if not path.exists():
        return RunSummary(
            run.name,
            "",
            "not finished: parabench run takes it up again",
            (),
            link,
        )
    try:
        board = board_from_json(read_bytes(path).decode("utf-8", "replace"))
    except UserError as error:
        return RunSummary(
            run.name,
            "",
            f"cannot be read: {error.found}",
            (),
            link,
        )
    summary = " ".join(verdict(board))
    return RunSummary(
        run.name,
        board.title,
        summary,
        tuple(cautions(board)),
        link,
        board,
    )


def index_html(title: str, runs: Sequence[RunSummary]) -> str:
    """A page that lists ``runs``, opens each, and shows any two side by side."""
    # The page may run its own script and style alone, by their hashes.
    style = template_text("parabench.render", "page.css")
    script = template_text("parabench.report", "index.js")
    allowed = [f"style-src {csp_hash(style)}", f"script-src {csp_hash(script)}"]
    page = load_template("parabench.report", "index.html.j2", visible=visible)
    return page.render(
        title=title or "runs",
        runs=runs,
        data=Markup(script_json(index_data(runs))),
        style=Markup(style),
        script=Markup(script),
        policy="; ".join(["default-src 'none'", *allowed, *CSP_CLOSED]),
    )


def index_data(runs: Sequence[RunSummary]) -> dict[str, Any]:
    """What the page's script compares: the main table of each finished run, and reasons against.

    ``blocked`` says, for two places in the list such as ``"0 2"``, in which fields the runs differ
    and may not; pairs that may be compared are left out.
    """
    # Places are those of this list, which the script's two selections hold too.
    finished = [run for run in runs if run.board is not None]
    blocked = {}
    for (place, one), (other_place, other) in combinations(enumerate(finished), 2):
        if one.board is None or other.board is None:
            continue
        fields = blocking_differences(one.board, other.board)
        reasons = [
            f"{visible(field)}: {_short(first)} and {_short(second)}"
            for field, (first, second) in fields.items()
        ]
        if reasons:
            blocked[f"{place} {other_place}"] = reasons
    return {"runs": [_table(run) for run in finished], "blocked": blocked}


def _short(text: str) -> str:
    """A value of the provenance, cut: hashes and versions are long."""
    shown = visible(text)
    if len(shown) <= _VALUE_LENGTH:
        return shown
    return shown[: _VALUE_LENGTH - 1] + "…"


def _table(run: RunSummary) -> dict[str, Any]:
    """The main table of a run as numbers: value, low and high of each cell."""
    board = run.board
    assert board is not None
    columns = main_columns(board)
    rows = []
    for row in ordered_rows(board):
        scores = {}
        for column in columns:
            if score := row.scores.get(column.name):
                scores[visible(column.name)] = [score.value, score.low, score.high]
        rows.append(
            {
                "system": visible(row.system),
                "control": row.control,
                "scores": scores,
            }
        )
    return {
        "name": visible(run.name),
        "link": run.link,
        "columns": [
            {
                "name": visible(column.name),
                "better": column.better,
                "digits": column.digits,
            }
            for column in columns
        ],
        "rows": rows,
    }
