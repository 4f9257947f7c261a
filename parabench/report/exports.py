"""The same results in the forms of other programs: lm-evaluation-harness JSON and Parquet."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parabench.contracts import UserError
from parabench.render.templating import json_ready
from parabench.report.board import Leaderboard, LeaderboardRow, ordered_rows
from parabench.stats.arrays import SystemStatistics, seed_mean

if TYPE_CHECKING:
    from parabench.report.pagedata import PageData

_HALF_WIDTH = 1.959964
"""Half a 95 % interval in standard errors."""


def to_lm_eval(
    board: Leaderboard,
    system: str,
    task: str = "paraphrase",
    date: float | None = None,
) -> str:
    """One system's results in the layout of lm-evaluation-harness 0.4 (``results_*.json``).

    Undefined scores are left out. A standard error is half the width of the bootstrap interval over
    1.96.

    Args:
        board: that has the system.
        system: whose row is exported.
        task: name of the task in the file.
        date: seconds since 1970; left out where None, so that the same board gives the same bytes.

    Raises:
        UserError: where the board has no such system.
    """
    row = next((row for row in board.rows if row.system == system), None)
    if row is None:
        known = [row.system for row in board.rows]
        raise UserError(f"export {system!r}", "no such system in the table", known)
    content = _lm_eval_content(board, row, task)
    if date is not None:
        content["date"] = date
    text = json.dumps(
        json_ready(content),
        indent=2,
        sort_keys=True,
        allow_nan=False,
    )
    return f"{text}\n"


def _lm_eval_content(board: Leaderboard, row: LeaderboardRow, task: str) -> dict[str, Any]:
    """The fields that the harness writes, in which each is named by its task."""
    decoding = board.provenance.get("decoding", {})
    better = {}
    for column in board.columns:
        if column.better != "none":
            better[column.name] = column.better == "up"
    # As the harness makes file names of models.
    letters = [letter if letter.isalnum() or letter in "-_." else "__" for letter in row.system]
    safe_name = "".join(letters)
    return {
        "results": {task: {"alias": task, **dict(_lm_eval_metrics(row))}},
        "group_subtasks": {task: []},
        "configs": {task: {"task": task, "generation_kwargs": decoding}},
        "versions": {task: 1},
        "n-shot": {task: 0},
        "higher_is_better": {task: better},
        "n-samples": {task: {"original": row.asked, "effective": row.scored}},
        "config": {
            "model": row.system,
            "model_args": "",
            "signatures": dict(board.signatures),
            "provenance": board.provenance,
        },
        "git_hash": (board.provenance.get("git") or {}).get("commit"),
        "model_name": row.system,
        "model_name_sanitized": safe_name,
    }


def _lm_eval_metrics(row: LeaderboardRow) -> Iterator[tuple[str, float]]:
    for name, score in row.scores.items():
        if not math.isfinite(score.value):
            continue
        # Behind the comma stands the harness's filter, of which there is none.
        yield f"{name},none", score.value
        error = (score.high - score.low) / (2 * _HALF_WIDTH)
        if math.isfinite(error):
            yield f"{name}_stderr,none", error


def to_parquet(
    data: PageData,
    path: Path,
    statistics: Mapping[str, Mapping[str, SystemStatistics]] | None = None,
) -> None:
    """Write all samples, one row per system and example, with the value of every column.

    Texts are as the system wrote them; an undefined number is null. Signatures and provenance are
    in the file's metadata under ``parabench``.

    Args:
        data: whose examples and texts are written.
        path: of the file.
        statistics: raw statistics by scorer and system, written too where given: the mean over
            training seeds.
    """
    import pyarrow
    import pyarrow.parquet

    # A table a system, joined: at no time are there columns of all systems in Python objects.
    parts = []
    for row in ordered_rows(data.board):
        if row.system in data.texts:
            columns = _parquet_columns(data, row, statistics or {})
            parts.append(pyarrow.Table.from_pydict(columns))
    facts = {"signatures": dict(data.board.signatures), "provenance": data.board.provenance}
    metadata = json.dumps(json_ready(facts), sort_keys=True, allow_nan=False)
    # Permissive: a column that is all null for one system has no type of its own there.
    table = pyarrow.concat_tables(parts, promote_options="permissive")
    table = table.replace_schema_metadata({"parabench": metadata})
    pyarrow.parquet.write_table(table, path, compression="zstd")


def _parquet_columns(
    data: PageData,
    row: LeaderboardRow,
    statistics: Mapping[str, Mapping[str, SystemStatistics]],
) -> dict[str, Sequence[Any]]:
    """The columns of one system's part of the table, by name."""
    count = len(data.examples)
    values = data.values.get(row.system, {})
    was_cut = data.cut.get(row.system, ())
    found: dict[str, Sequence[Any]] = {
        "id": [example.id for example in data.examples],
        "system": [row.system] * count,
        "control": [row.control] * count,
        "source": [example.source for example in data.examples],
        "references": [list(example.references) for example in data.examples],
        "outputs": [list(texts) for texts in data.texts[row.system]],
        "cut": [place in was_cut for place in range(count)],
    }
    for column in data.board.columns:
        # Parquet has null for what is undefined; a NaN would be a number to its readers.
        found[column.name] = _nulls(values.get(column.name, [math.nan] * count))
    for scorer, arrays in statistics.items():
        if row.system in arrays:
            lines = seed_mean(arrays[row.system]).tolist()
            found[f"statistics.{scorer}"] = [_nulls(line) for line in lines]
    return found


def _nulls(numbers: Sequence[float]) -> list[float | None]:
    return [float(number) if math.isfinite(number) else None for number in numbers]
