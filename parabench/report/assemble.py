"""From a run folder to its leaderboard: statistics are combined and tested, no model is needed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parabench import registry
from parabench.contracts import Score, Scorer, Setting, UserError
from parabench.report.leaderboard import Leaderboard, Row, to_csv, to_json, to_markdown
from parabench.store import load_statistics, log_names, read_log, write_atomically

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

LEVEL, RESAMPLES, DRAWS = 0.95, 1000, 5000


@dataclass(frozen=True)
class Measured:
    """What one scorer left in a run: its arrays by system, and the settings that made them."""

    scorer: Scorer
    signature: str
    statistics: Mapping[str, Float[np.ndarray, "N K"]]


def write_reports(folder: Path) -> Leaderboard:
    """Write ``leaderboard.md``, ``.csv`` and ``.json`` into a run folder, and return the board."""
    board = leaderboard(folder)
    for suffix, render in ((".md", to_markdown), (".csv", to_csv), (".json", to_json)):
        write_atomically(folder / f"leaderboard{suffix}", render(board).encode())
    return board


def leaderboard(folder: Path) -> Leaderboard:
    """Everything measured in a run folder as one table, ordered and ranked by the suite's headline column."""
    facts, asked = _facts(folder), _asked(folder)
    measured = {name: _measured(folder, name) for name in _scorers(folder)}
    columns = tuple(column for one in measured.values() for column in one.scorer.columns)
    systems = [names[0] for names in log_names(folder, "predictions")]
    ranks = _ranks(measured, facts["suite"]["headline"], facts["runtime"]["seed"])
    rows = tuple(_row(folder, name, measured, ranks, asked, facts["runtime"]["seed"]) for name in systems)
    return Leaderboard(
        title=facts["suite"]["title"],
        note=facts["suite"]["note"],
        headline=facts["suite"]["headline"],
        columns=columns,
        rows=rows,
        invalid={},
        signatures={column.name: one.signature for one in measured.values() for column in one.scorer.columns},
        provenance=facts | {"interval": f"percentile bootstrap|level:{LEVEL}|resamples:{RESAMPLES}"},
    )


def _facts(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"report {folder}", "no provenance.json", mend="finish it with: parabench run") from None


def _asked(folder: Path) -> int:
    return int(_facts(folder)["data"]["examples"])


def _scorers(folder: Path) -> list[str]:
    return list(dict.fromkeys(names[1] for names in log_names(folder, "statistics")))


def _measured(folder: Path, name: str) -> Measured:
    arrays, signature = {}, ""
    for system, scorer in log_names(folder, "statistics"):
        if scorer == name and (folder / "statistics").exists():
            key, arrays[system] = load_statistics(folder, system, scorer)
            signature = key["signature"]
    family, variant = registry.split("scorer", name)
    return Measured(registry.builder("scorer", family)(variant, Setting()), signature, arrays)


def _row(
    folder: Path,
    system: str,
    measured: Mapping[str, Measured],
    ranks: Mapping[str, tuple[int, int]],
    asked: int,
    seed: int,
) -> Row:
    key, records = read_log(folder, "predictions", system)
    scores: dict[str, Score] = {}
    for one in measured.values():
        if system in one.statistics:
            scores |= _scores(one, one.statistics[system], seed)
    return Row(system, ranks.get(system), scores, len(records), asked, key["control"])


def _scores(one: Measured, statistics: Float[np.ndarray, "N K"], seed: int) -> dict[str, Score]:
    from parabench.significance import interval

    values = one.scorer.combine(statistics)
    low, high = interval(one.scorer.combine, statistics, seed, RESAMPLES, LEVEL)
    numbers = zip(values.tolist(), low.tolist(), high.tolist(), strict=True)
    return {
        column.name: Score(*triple, one.signature) for column, triple in zip(one.scorer.columns, numbers, strict=True)
    }


def _ranks(measured: Mapping[str, Measured], headline: str, seed: int) -> dict[str, tuple[int, int]]:
    """Rank ranges by the headline column: paired randomisation tests over all pairs, corrected after Holm (1979)."""
    import numpy as np

    from parabench.significance import holm, paired_test, rank_clusters

    found = [
        (one, position)
        for one in measured.values()
        for position, column in enumerate(one.scorer.columns)
        if column.name == headline
    ]
    if not found:
        return {}
    one, position = found[0]
    systems = sorted(one.statistics)
    values = np.array([one.scorer.combine(one.statistics[name])[position] for name in systems])
    pairs = [(i, j) for i in range(len(systems)) for j in range(i)]
    tests = [
        paired_test(one.scorer.combine, one.statistics[systems[i]], one.statistics[systems[j]], seed, DRAWS)[position]
        for i, j in pairs
    ]
    direction = one.scorer.columns[position].better
    worse = np.zeros((len(systems), len(systems)), dtype=bool)
    for (i, j), p in zip(pairs, holm(np.array(tests)), strict=True):
        if p < 1 - LEVEL:
            lower = values[i] < values[j] if direction == "up" else values[i] > values[j]
            worse[(i, j) if lower else (j, i)] = True
    return dict(zip(systems, rank_clusters(values, worse, direction), strict=True))
