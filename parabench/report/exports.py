"""The same results in the forms of other programs: lm-evaluation-harness JSON, a LaTeX table,
Parquet.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parabench.contracts import Score, UserError
from parabench.render.escape import latex
from parabench.render.templating import json_ready
from parabench.report.board import (
    Leaderboard,
    LeaderboardRow,
    count_text,
    is_top,
    main_columns,
    ordered_rows,
    rank_text,
    reader_notes,
    score_text,
)
from parabench.stats.arrays import SystemStatistics, seed_mean

if TYPE_CHECKING:
    from parabench.report.pagedata import PageData

Z = 1.959964
"""Half a 95 % interval in standard errors."""


def to_lm_eval(
    board: Leaderboard, system: str, task: str = "paraphrase", date: float | None = None
) -> str:
    """One system's results in the layout of lm-evaluation-harness 0.4 (``results_*.json``),
    undefined scores left out.

    A standard error is the half width of the bootstrap interval over 1.96. ``date`` in seconds
    since 1970.
    """
    row = next((row for row in board.rows if row.system == system), None)
    if row is None:
        raise UserError(
            f"export {system!r}", "no such system in the table", [row.system for row in board.rows]
        )
    better = {c.name: c.better == "up" for c in board.columns if c.better != "none"}
    content: dict[str, Any] = {
        "results": {task: {"alias": task, **dict(_lm_eval_metrics(row))}},
        "group_subtasks": {task: []},
        "configs": {
            task: {"task": task, "generation_kwargs": board.provenance.get("decoding", {})}
        },
        "versions": {task: 1},
        "n-shot": {task: 0},
        "higher_is_better": {task: better},
        "n-samples": {task: {"original": row.asked, "effective": row.scored}},
        "config": {
            "model": system,
            "model_args": "",
            "signatures": dict(board.signatures),
            "provenance": board.provenance,
        },
        "git_hash": (board.provenance.get("git") or {}).get("commit"),
        "model_name": system,
        "model_name_sanitized": "".join(c if c.isalnum() or c in "-_." else "__" for c in system),
        **({} if date is None else {"date": date}),
    }
    return json.dumps(json_ready(content), indent=2, sort_keys=True, allow_nan=False) + "\n"


def _lm_eval_metrics(row: LeaderboardRow) -> Iterator[tuple[str, float]]:
    for name, score in row.scores.items():
        if math.isfinite(score.value):
            yield f"{name},none", score.value
            error = (score.high - score.low) / (2 * Z)
            if math.isfinite(error):
                yield f"{name}_stderr,none", error


FITTED = r"""\footnotesize\setlength{\tabcolsep}{2pt}
\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%%
%s}"""
"""A table no wider than the page."""


def to_latex(board: Leaderboard) -> str:
    """The main table, intervals under values, the first cluster bold; for the packages booktabs,
    graphicx, textcomp.
    """
    import pandas

    columns = main_columns(board)
    arrows = {"up": r" $\uparrow$", "down": r" $\downarrow$", "none": ""}
    heads = [
        "rank",
        "system",
        "n",
        *(latex(column.name) + arrows[column.better] for column in columns),
    ]
    rows = [
        [rank_text(row).replace("-", "--"), _latex_name(row), count_text(row)]
        + [
            _latex_score(
                row.scores.get(c.name),
                *score_text(row.scores.get(c.name), c),
                is_top(board, row, c),
            )
            for c in columns
        ]
        for row in ordered_rows(board)
    ]
    frame = pandas.DataFrame(rows, columns=range(len(heads))).set_axis(heads, axis=1)
    told = ["Values with 95 % bootstrap intervals.", *reader_notes(board)]
    caption = latex(" ".join([f"{board.title}. {board.note}", *told]))
    alignment = "rlr" + "r" * len(columns)
    table = frame.style.hide(axis="index").to_latex(
        hrules=True, column_format=alignment, caption=caption, environment="table*"
    )
    return re.sub(
        r"\\begin\{tabular\}.*\\end\{tabular\}",
        lambda found: FITTED % found[0],
        table,
        flags=re.DOTALL,
    )


def _latex_name(row: LeaderboardRow) -> str:
    return rf"\textit{{{latex(row.system)}}}" if row.control else latex(row.system)


def _latex_score(score: Score | None, value: str, interval: str, top: bool) -> str:
    shown = "--" if score is None or value == "–" else f"${value}$"
    shown = rf"$\mathbf{{{value}}}$" if top and score else shown
    return rf"\shortstack[r]{{{shown}\\{{\tiny [${interval[1:-1]}$]}}}}" if interval else shown


def to_parquet(
    data: PageData,
    path: Path,
    statistics: Mapping[str, Mapping[str, SystemStatistics]] | None = None,
) -> None:
    """All samples, one row per system and example, with the value of every column and, if given,
    the raw statistics.

    ``statistics`` maps scorer and system to rows, of which the mean over training seeds is written.
    The signatures and the provenance are in the file's metadata under ``parabench``. Texts are as
    the system wrote them; an undefined number is null.
    """
    import pyarrow
    import pyarrow.parquet

    parts = [
        pyarrow.Table.from_pydict(_columns(data, row, statistics or {}))
        for row in ordered_rows(data.board)
        if row.system in data.texts
    ]
    facts = {"signatures": dict(data.board.signatures), "provenance": data.board.provenance}
    metadata = {"parabench": json.dumps(json_ready(facts), sort_keys=True, allow_nan=False)}
    table = pyarrow.concat_tables(parts, promote_options="permissive").replace_schema_metadata(
        metadata
    )
    pyarrow.parquet.write_table(table, path, compression="zstd")


def _columns(
    data: PageData, row: LeaderboardRow, statistics: Mapping[str, Mapping[str, SystemStatistics]]
) -> dict[str, Sequence[Any]]:
    count, values = len(data.examples), data.values.get(row.system, {})
    found: dict[str, Sequence[Any]] = {
        "id": [example.id for example in data.examples],
        "system": [row.system] * count,
        "control": [row.control] * count,
        "source": [example.source for example in data.examples],
        "references": [list(example.references) for example in data.examples],
        "outputs": [list(texts) for texts in data.texts[row.system]],
        "cut": [place in data.cut.get(row.system, ()) for place in range(count)],
    }
    for column in data.board.columns:
        found[column.name] = _nulls(values.get(column.name, [math.nan] * count))
    for scorer, arrays in statistics.items():
        if row.system in arrays:
            found[f"statistics.{scorer}"] = [
                _nulls(line) for line in seed_mean(arrays[row.system]).tolist()
            ]
    return found


def _nulls(numbers: Sequence[float]) -> list[float | None]:
    return [float(number) if math.isfinite(number) else None for number in numbers]
