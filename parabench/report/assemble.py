"""From a run folder to its reports: statistics are combined, tested and ranked; no model is needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from parabench.contracts import Score, Scorer
from parabench.disk import write_atomically
from parabench.report.evidence import Evidence, Measured, gather
from parabench.report.leaderboard import Leaderboard, Row, to_csv, to_json, to_markdown
from parabench.report.page import Comparison, PageData, to_html
from parabench.significance import difference, holm, interval, paired_test, rank_clusters
from parabench.validity import broken_by, reason

if TYPE_CHECKING:
    from jaxtyping import Float

LEVEL, RESAMPLES, DRAWS = 0.95, 1000, 5000


def write_reports(folder: Path) -> Leaderboard:
    """Write ``leaderboard.md``, ``.csv``, ``.json`` and ``report.html`` into a run folder, and return the board."""
    evidence = gather(folder)
    compared = comparisons(evidence)
    board = leaderboard(evidence, compared)
    for name, text in (
        ("leaderboard.md", to_markdown(board)),
        ("leaderboard.csv", to_csv(board)),
        ("leaderboard.json", to_json(board)),
        ("report.html", to_html(page(evidence, board, compared))),
    ):
        write_atomically(folder / name, text.encode())
    return board


def leaderboard(evidence: Evidence, compared: tuple[Comparison, ...]) -> Leaderboard:
    """Everything measured as one table, ranked by the suite's headline column."""
    suite, ranks = evidence.facts["suite"], _ranks(evidence, compared)
    names = {column.name: one.signature for one in evidence.measured.values() for column in one.scorer.columns}
    systems = {f"system {name}": output.signature for name, output in evidence.outputs.items()}
    interval_signature = f"percentile bootstrap|level:{LEVEL}|resamples:{RESAMPLES}|seed:{evidence.seed}"
    rank_signature = f"paired randomisation|draws:{DRAWS}|holm|seed:{evidence.seed}"
    rows = tuple(_row(evidence, name, ranks) for name in evidence.outputs)
    broken = invalid(evidence, {row.system: row for row in rows})
    if evidence.headline in broken:
        rows = tuple(replace(row, rank=None) for row in rows)
    return Leaderboard(
        title=suite["title"],
        note=suite["note"],
        headline=evidence.headline,
        main=tuple(suite.get("table", ())),
        columns=evidence.columns,
        rows=rows,
        invalid=broken,
        signatures=names,
        provenance={**evidence.facts, "interval": interval_signature, "ranks": rank_signature, **systems},
    )


def _row(evidence: Evidence, system: str, ranks: Mapping[str, tuple[int, int]]) -> Row:
    scores: dict[str, Score] = {}
    for one in evidence.measured.values():
        if system in one.statistics:
            scores |= _scores(one, system, evidence.seed)
    output = evidence.outputs[system]
    return Row(system, ranks.get(system), scores, len(output.texts), len(evidence.examples), output.role != "system")


def _scores(one: Measured, system: str, seed: int) -> dict[str, Score]:
    statistics, combine = one.statistics[system], one.scorer.combine
    low, high = interval(combine, statistics, seed, RESAMPLES, LEVEL)
    numbers = zip(one.scorer.columns, combine(statistics), low, high, undefined(one.scorer, statistics), strict=True)
    return {column.name: Score(float(v), float(a), float(b), one.signature, n) for column, v, a, b, n in numbers}


def undefined(scorer: Scorer, statistics: Float[np.ndarray, "N K"]) -> list[int]:
    """How many examples have no value in each column; 0 for a column that only many examples together have."""
    missing = np.isnan(each(scorer, statistics))
    together = missing.all(axis=0) & np.isfinite(scorer.combine(statistics))
    return [int(count) for count in np.where(together, 0, missing.sum(axis=0))]


def invalid(evidence: Evidence, rows: Mapping[str, Row]) -> dict[str, str]:
    """The columns in which a sentinel does as well as the human, and which one; none where there is no human."""
    roles = {name: output.role for name, output in evidence.outputs.items()}
    human = next((rows[name] for name, role in roles.items() if role == "human"), None)
    if human is None:
        return {}
    columns = [column for column in evidence.columns if column.name in human.scores]
    bad = {name: rows[name].scores for name, role in roles.items() if role == "sentinel"}
    bad = {name: scores for name, scores in bad.items() if all(column.name in scores for column in columns)}
    sentinels = {name: [scores[column.name].value for column in columns] for name, scores in bad.items()}
    broken = broken_by(columns, [human.scores[column.name].value for column in columns], sentinels)
    return {
        column.name: reason(
            column,
            human.scores[column.name].value,
            {name: scores[column.name].value for name, scores in bad.items()},
            broken[column.name],
        )
        for column in columns
        if column.name in broken
    }


def comparisons(evidence: Evidence) -> tuple[Comparison, ...]:
    """All pairs of systems, the human among them, on the headline: paired randomisation, Holm (1979).

    Sentinels are left out: they are there to test the column, not to compete.
    """
    if evidence.ranking is None:
        return ()
    one, place = evidence.ranking
    pairs = list(combinations(_competing(evidence, one, "system", "human"), 2))
    combine, seed = one.scorer.combine, evidence.seed
    tests = [paired_test(combine, one.statistics[a], one.statistics[b], seed, DRAWS)[place] for a, b in pairs]
    adjusted = holm(np.array(tests))
    return tuple(_comparison(one, place, a, b, seed, p) for (a, b), p in zip(pairs, adjusted, strict=True))


def _comparison(one: Measured, place: int, first: str, second: str, seed: int, p: float) -> Comparison:
    arrays = one.statistics[first], one.statistics[second]
    found, low, high = difference(one.scorer.combine, *arrays, seed, RESAMPLES, LEVEL)
    return Comparison(first, second, float(found[place]), float(low[place]), float(high[place]), float(p))


def _ranks(evidence: Evidence, compared: tuple[Comparison, ...]) -> dict[str, tuple[int, int]]:
    if evidence.ranking is None:
        return {}
    one, place = evidence.ranking
    systems, better = _competing(evidence, one, "system"), one.scorer.columns[place].better
    values = np.array([one.scorer.combine(one.statistics[name])[place] for name in systems])
    worse = np.zeros((len(systems), len(systems)), dtype=bool)
    for pair in compared:
        if pair.p < 1 - LEVEL and {pair.first, pair.second} <= set(systems):
            first, second = systems.index(pair.first), systems.index(pair.second)
            loses = pair.difference < 0 if better == "up" else pair.difference > 0
            worse[(first, second) if loses else (second, first)] = True
    return dict(zip(systems, rank_clusters(values, worse, better), strict=True))


def _competing(evidence: Evidence, one: Measured, *roles: str) -> list[str]:
    return sorted(name for name in one.statistics if evidence.outputs[name].role in roles)


def page(evidence: Evidence, board: Leaderboard, compared: tuple[Comparison, ...]) -> PageData:
    """What the HTML page shows besides the table: examples, texts, and every column on every example."""
    ids = [example.id for example in evidence.examples]
    return PageData(
        board=board,
        examples=evidence.examples,
        texts={name: [output.texts.get(key, ()) for key in ids] for name, output in evidence.outputs.items()},
        values={name: dict(_values(evidence, name)) for name in evidence.outputs},
        comparisons=compared,
        anchors=[name for name, output in evidence.outputs.items() if output.role == "human" or name == "copy"],
        cut={name: [place for place, key in enumerate(ids) if key in o.cut] for name, o in evidence.outputs.items()},
    )


def _values(evidence: Evidence, system: str) -> Iterator[tuple[str, list[float]]]:
    for one in evidence.measured.values():
        if system in one.statistics:
            rows = each(one.scorer, one.statistics[system])
            yield from ((column.name, rows[:, place].tolist()) for place, column in enumerate(one.scorer.columns))


def each(scorer: Scorer, statistics: Float[np.ndarray, "N K"]) -> Float[np.ndarray, "N C"]:
    """Every example's own columns: ``combine`` of each row by itself."""
    return np.stack([scorer.combine(row[None]) for row in statistics])
