"""An index of the runs in a folder: what each found, and a page that opens each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
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
from parabench.report.board import board_from_json
from parabench.report.verdict import cautions, verdict
from parabench.store.files import read_bytes

_SPECIFICATION = "spec.json"
"""Every run folder has one, from its first moment on."""


@dataclass(frozen=True)
class RunSummary:
    """A run in the index.

    ``name`` is its path from the indexed folder, ``title`` that of its suite. ``summary`` is the
    verdict, or why there is none; ``cautions`` are the sentences below it. ``link`` leads to its
    page and is empty where there is none.
    """

    name: str
    title: str
    summary: str
    cautions: tuple[str, ...]
    link: str


def find_runs(folder: Path) -> list[RunSummary]:
    """The runs directly in a folder, by name; none where the folder is itself a run."""
    if not folder.is_dir() or (folder / _SPECIFICATION).exists():
        return []
    return [_summary(one) for one in sorted(folder.iterdir()) if (one / _SPECIFICATION).exists()]


def _summary(run: Path) -> RunSummary:
    has_page = (run / "report.html").exists()
    link = f"{quote(run.name)}/report.html" if has_page else ""
    path = run / "leaderboard.json"
    if not path.exists():
        return RunSummary(run.name, "", "not finished: parabench run takes it up again", (), link)
    try:
        board = board_from_json(read_bytes(path).decode("utf-8", "replace"))
    except UserError as error:
        return RunSummary(run.name, "", f"cannot be read: {error.found}", (), link)
    return RunSummary(run.name, board.title, " ".join(verdict(board)), tuple(cautions(board)), link)


def index_html(title: str, runs: Sequence[RunSummary]) -> str:
    """A page that lists ``runs``, opens each, and gives the command that compares any two."""
    style = template_text("parabench.render", "page.css")
    script = template_text("parabench.report", "index.js")
    allowed = [f"style-src {csp_hash(style)}", f"script-src {csp_hash(script)}"]
    page = load_template("parabench.report", "index.html.j2", visible=visible)
    return page.render(
        title=title or "runs",
        runs=runs,
        names=Markup(script_json([visible(run.name) for run in runs])),
        style=Markup(style),
        script=Markup(script),
        policy="; ".join(["default-src 'none'", *allowed, *CSP_CLOSED]),
    )
