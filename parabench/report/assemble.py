"""From a run folder to its reports: statistics are combined, tested and ranked; no model is
needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from parabench.contracts import Score
from parabench.report.board import Comparison, Leaderboard, Row, to_json
from parabench.report.leaderboard import to_csv, to_markdown
from parabench.report.page import to_html
from parabench.report.pagedata import PageData
from parabench.report.results import Evidence, Measured, gather
from parabench.stats.arrays import each, pooled, together
from parabench.stats.significance import (
    benjamini_hochberg,
    detectable,
    ends,
    holm,
    paired_tests,
    rank_clusters,
)
from parabench.stats.undefined import counts
from parabench.stats.validity import broken_by, reason
from parabench.store.files import write_atomically

if TYPE_CHECKING:
    from jaxtyping import Float

LEVEL = 0.95
SHOWN = 2_000
"""Examples that the page holds at most, drawn by the seed."""


def write_reports(folder: Path) -> Leaderboard:
    """Write ``leaderboard.md``, ``.csv``, ``.json`` and ``report.html`` into a run folder, and
    return the board.
    """
    evidence = gather(folder, SHOWN)
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
    suite, ranks, draws = evidence.facts["suite"], _ranks(evidence, compared), evidence.resamples
    names = {
        column.name: one.signature
        for one in evidence.measured.values()
        for column in one.scorer.columns
    }
    systems = {f"system {name}": output.signature for name, output in evidence.outputs.items()}
    sampled = f"clusters:{len(evidence.clusters)}|draws:{draws}|seed:{evidence.seed}"
    scores = dict(_scores(evidence))
    rows = tuple(
        _row(evidence, name, ranks.get(name), scores.get(name, {})) for name in evidence.outputs
    )
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
        provenance={
            **evidence.facts,
            "interval": f"percentile bootstrap|level:{LEVEL}|{sampled}",
            "ranks": f"paired randomisation|holm|{sampled}",
            **systems,
        },
        comparisons=compared,
        detectable=_detectable(evidence),
    )


def _row(
    evidence: Evidence, system: str, rank: tuple[int, int] | None, scores: Mapping[str, Score]
) -> Row:
    output, asked = evidence.outputs[system], len(evidence.examples)
    if output.role != "system":
        return Row(system, rank, scores, output.answered, asked, control=True)
    known = sum("seen" in facts for facts in output.training)
    seeds = known or len(output.training) * (len(output.training) > 1)
    seen = ", ".join(dict.fromkeys(str(facts.get("seen", "unknown")) for facts in output.training))
    return Row(system, rank, scores, output.answered, asked, False, seeds, seen)


def _scores(evidence: Evidence) -> Iterator[tuple[str, dict[str, Score]]]:
    """The cells of every row."""
    found: dict[str, dict[str, Score]] = {}
    for name, one in evidence.measured.items():
        for (system, statistics), draws in zip(
            one.statistics.items(), evidence.samples[name], strict=True
        ):
            values, lost = together(one.scorer.combine, statistics), counts(one.scorer, statistics)
            numbers = zip(values, *ends(draws, LEVEL), lost, strict=True)
            why = one.reasons(system)
            cells = [
                Score(float(v), float(a), float(b), one.signature, n, why if n else "")
                for v, a, b, n in numbers
            ]
            found.setdefault(system, {}).update(
                zip((c.name for c in one.scorer.columns), cells, strict=True)
            )
    yield from found.items()


def invalid(evidence: Evidence, rows: Mapping[str, Row]) -> dict[str, str]:
    """The columns in which a sentinel does as well as the human, and which one; none where there is
    no human.
    """
    roles = {name: output.role for name, output in evidence.outputs.items()}
    human = next((rows[name] for name, role in roles.items() if role == "human"), None)
    if human is None:
        return {}
    columns = [column for column in evidence.columns if column.name in human.scores]
    bad = {name: rows[name].scores for name, role in roles.items() if role == "sentinel"}
    bad = {
        name: scores
        for name, scores in bad.items()
        if all(column.name in scores for column in columns)
    }
    sentinels = {
        name: [scores[column.name].value for column in columns] for name, scores in bad.items()
    }
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
    """All pairs of systems, the human among them, in every column that has a better way, the
    headline first.

    Sentinels are left out: they are there to test the columns, not to compete.
    """
    found = [one for name in evidence.measured for one in _compared(evidence, name)]
    headline = [one for one in found if one.column == evidence.headline]
    others = [one for one in found if one.column != evidence.headline]
    return (*_adjusted(headline, holm), *_adjusted(others, benjamini_hochberg))


def _compared(evidence: Evidence, name: str) -> Iterator[Comparison]:
    """Every pair in every column of one scorer, p-values as they are."""
    one, samples = evidence.measured[name], evidence.samples[name]
    systems, order = _competing(evidence, one, "system", "human"), list(one.statistics)
    pairs = list(combinations(range(len(systems)), 2))
    if not pairs or all(column.better == "none" for column in one.scorer.columns):
        return
    rows = [one.statistics[system] for system in systems]
    values = [together(one.scorer.combine, row) for row in rows]
    tests = paired_tests(
        one.scorer.combine, rows, pairs, evidence.seed, evidence.resamples, evidence.clusters
    )
    for (a, b), p in zip(pairs, tests, strict=True):
        drawn = [samples[order.index(systems[place])] for place in (a, b)]
        numbers = zip(
            one.scorer.columns,
            values[a] - values[b],
            *ends(drawn[0] - drawn[1], LEVEL),
            p,
            strict=True,
        )
        for column, *cell in numbers:
            if column.better != "none":
                difference, low, high, p_value = map(float, cell)
                yield Comparison(
                    systems[a], systems[b], difference, low, high, p_value, column.name
                )


def _adjusted(
    found: Sequence[Comparison],
    adjust: Callable[[Float[np.ndarray, " M"]], Float[np.ndarray, " M"]],
) -> list[Comparison]:
    """The comparisons with their p-values adjusted for one another; those that are undefined stay
    so.
    """
    p = np.array([one.p for one in found])
    defined = ~np.isnan(p)
    if defined.any():
        p[defined] = adjust(p[defined])
    return [replace(one, p=float(number)) for one, number in zip(found, p, strict=True)]


def _detectable(evidence: Evidence) -> float | None:
    """The median over pairs of systems of the difference on the headline that would be found four
    times in five.
    """
    if evidence.ranking is None:
        return None
    name, place = evidence.ranking
    one = evidence.measured[name]
    samples = dict(zip(one.statistics, evidence.samples[name], strict=True))
    pairs = combinations(_competing(evidence, one, "system"), 2)
    found = [detectable((samples[a] - samples[b])[:, [place]])[0] for a, b in pairs]
    return float(np.median(found)) if found and np.isfinite(found).all() else None


def _ranks(evidence: Evidence, compared: tuple[Comparison, ...]) -> dict[str, tuple[int, int]]:
    if evidence.ranking is None:
        return {}
    name, place = evidence.ranking
    one = evidence.measured[name]
    systems, better = _competing(evidence, one, "system"), one.scorer.columns[place].better
    values = np.array(
        [together(one.scorer.combine, one.statistics[name])[place] for name in systems]
    )
    worse = np.zeros((len(systems), len(systems)), dtype=bool)
    for pair in compared:
        real = (
            pair.p < 1 - LEVEL and not pair.low <= 0 <= pair.high
        )  # the interval draws training seeds, the test none
        if real and pair.column == evidence.headline and {pair.first, pair.second} <= set(systems):
            first, second = systems.index(pair.first), systems.index(pair.second)
            loses = pair.difference < 0 if better == "up" else pair.difference > 0
            worse[(first, second) if loses else (second, first)] = True
    return dict(zip(systems, rank_clusters(values, worse, better), strict=True))


def _competing(evidence: Evidence, one: Measured, *roles: str) -> list[str]:
    return sorted(name for name in one.statistics if evidence.outputs[name].role in roles)


def page(evidence: Evidence, board: Leaderboard, compared: tuple[Comparison, ...]) -> PageData:
    """What the HTML page shows besides the table: examples, texts, and every column on every
    example.
    """
    examples = tuple(evidence.examples[place] for place in evidence.shown)
    ids = [example.id for example in examples]
    return PageData(
        board=board,
        examples=examples,
        total=len(evidence.examples),
        texts={
            name: [output.shown(key) for key in ids] for name, output in evidence.outputs.items()
        },
        values={name: dict(_values(evidence, name)) for name in evidence.outputs},
        comparisons=tuple(one for one in compared if one.column == evidence.headline),
        anchors=[
            name
            for name, output in evidence.outputs.items()
            if output.role == "human" or name == "copy"
        ],
        cut={
            name: [place for place, key in enumerate(ids) if key in o.cut]
            for name, o in evidence.outputs.items()
        },
    )


def _values(evidence: Evidence, system: str) -> Iterator[tuple[str, list[float]]]:
    for one in evidence.measured.values():
        if system in one.statistics:
            rows = each(one.scorer.combine, pooled(one.statistics[system], evidence.shown))
            yield from (
                (column.name, rows[:, place].tolist())
                for place, column in enumerate(one.scorer.columns)
            )
