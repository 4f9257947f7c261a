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
from parabench.report.board import Comparison, Leaderboard, LeaderboardRow, board_to_json
from parabench.report.leaderboard import board_to_csv, board_to_markdown
from parabench.report.page import page_html
from parabench.report.pagedata import PageData
from parabench.report.results import RunResults, ScorerResults, load_results
from parabench.stats.arrays import corpus_value, per_example, seed_mean
from parabench.stats.significance import (
    benjamini_hochberg,
    detectable,
    ends,
    holm,
    paired_tests,
    rank_clusters,
)
from parabench.stats.undefined import undefined_counts
from parabench.stats.validity import columns_beaten_by_sentinels, invalid_reason
from parabench.store.files import write_atomically

if TYPE_CHECKING:
    from jaxtyping import Float

CONFIDENCE_LEVEL = 0.95
_MAX_PAGE_EXAMPLES = 2_000
"""Examples that the page holds at most, drawn by the seed."""


def write_reports(folder: Path) -> Leaderboard:
    """Write ``leaderboard.md``, ``.csv``, ``.json`` and ``report.html`` into a run folder, and
    return the board.
    """
    results = load_results(folder, _MAX_PAGE_EXAMPLES)
    compared = pairwise_comparisons(results)
    board = build_leaderboard(results, compared)
    for name, text in (
        ("leaderboard.md", board_to_markdown(board)),
        ("leaderboard.csv", board_to_csv(board)),
        ("leaderboard.json", board_to_json(board)),
        ("report.html", page_html(page_data(results, board, compared))),
    ):
        write_atomically(folder / name, text.encode())
    return board


def build_leaderboard(results: RunResults, compared: tuple[Comparison, ...]) -> Leaderboard:
    """Everything measured as one table, ranked by the suite's headline column."""
    suite, ranks, draws = results.facts["suite"], _ranks(results, compared), results.resamples
    names = {
        column.name: one.signature
        for one in results.measured.values()
        for column in one.scorer.columns
    }
    systems = {f"system {name}": output.signature for name, output in results.outputs.items()}
    sampled = f"clusters:{len(results.clusters)}|draws:{draws}|seed:{results.seed}"
    scores = dict(_scores(results))
    rows = tuple(
        _row(results, name, ranks.get(name), scores.get(name, {})) for name in results.outputs
    )
    broken = invalid_columns(results, {row.system: row for row in rows})
    if results.headline in broken:
        rows = tuple(replace(row, rank=None) for row in rows)
    return Leaderboard(
        title=suite["title"],
        note=suite["note"],
        headline=results.headline,
        main=tuple(suite.get("table", ())),
        columns=results.columns,
        rows=rows,
        invalid=broken,
        signatures=names,
        provenance={
            **results.facts,
            "interval": f"percentile bootstrap|level:{CONFIDENCE_LEVEL}|{sampled}",
            "ranks": f"paired randomisation|holm|{sampled}",
            **systems,
        },
        comparisons=compared,
        detectable=_detectable(results),
    )


def _row(
    results: RunResults, system: str, rank: tuple[int, int] | None, scores: Mapping[str, Score]
) -> LeaderboardRow:
    output, asked = results.outputs[system], len(results.examples)
    if output.role != "system":
        return LeaderboardRow(system, rank, scores, output.answered, asked, control=True)
    known = sum("seen" in facts for facts in output.training)
    seeds = known or len(output.training) * (len(output.training) > 1)
    seen = ", ".join(dict.fromkeys(str(facts.get("seen", "unknown")) for facts in output.training))
    return LeaderboardRow(system, rank, scores, output.answered, asked, False, seeds, seen)


def _scores(results: RunResults) -> Iterator[tuple[str, dict[str, Score]]]:
    """The cells of every row."""
    found: dict[str, dict[str, Score]] = {}
    for name, one in results.measured.items():
        for (system, statistics), draws in zip(
            one.statistics.items(), results.bootstrap_draws[name], strict=True
        ):
            values, lost = (
                corpus_value(one.scorer.combine, statistics),
                undefined_counts(one.scorer, statistics),
            )
            numbers = zip(values, *ends(draws, CONFIDENCE_LEVEL), lost, strict=True)
            why = one.reasons(system)
            cells = [
                Score(float(v), float(a), float(b), one.signature, n, why if n else "")
                for v, a, b, n in numbers
            ]
            found.setdefault(system, {}).update(
                zip((c.name for c in one.scorer.columns), cells, strict=True)
            )
    yield from found.items()


def invalid_columns(results: RunResults, rows: Mapping[str, LeaderboardRow]) -> dict[str, str]:
    """The columns in which a sentinel does as well as the human, and which one; none where there is
    no human.
    """
    roles = {name: output.role for name, output in results.outputs.items()}
    human = next((rows[name] for name, role in roles.items() if role == "human"), None)
    if human is None:
        return {}
    columns = [column for column in results.columns if column.name in human.scores]
    bad = {name: rows[name].scores for name, role in roles.items() if role == "sentinel"}
    bad = {
        name: scores
        for name, scores in bad.items()
        if all(column.name in scores for column in columns)
    }
    sentinels = {
        name: [scores[column.name].value for column in columns] for name, scores in bad.items()
    }
    broken = columns_beaten_by_sentinels(
        columns, [human.scores[column.name].value for column in columns], sentinels
    )
    return {
        column.name: invalid_reason(
            column,
            human.scores[column.name].value,
            {name: scores[column.name].value for name, scores in bad.items()},
            broken[column.name],
        )
        for column in columns
        if column.name in broken
    }


def pairwise_comparisons(results: RunResults) -> tuple[Comparison, ...]:
    """All pairs of systems, the human among them, in every column that has a better way, the
    headline first.

    Sentinels are left out: they are there to test the columns, not to compete.
    """
    found = [one for name in results.measured for one in _compared(results, name)]
    headline = [one for one in found if one.column == results.headline]
    others = [one for one in found if one.column != results.headline]
    return (*_adjusted(headline, holm), *_adjusted(others, benjamini_hochberg))


def _compared(results: RunResults, name: str) -> Iterator[Comparison]:
    """Every pair in every column of one scorer, p-values as they are."""
    one, bootstrap = results.measured[name], results.bootstrap_draws[name]
    systems, order = _competing(results, one, "system", "human"), list(one.statistics)
    pairs = list(combinations(range(len(systems)), 2))
    if not pairs or all(column.better == "none" for column in one.scorer.columns):
        return
    rows = [one.statistics[system] for system in systems]
    values = [corpus_value(one.scorer.combine, row) for row in rows]
    tests = paired_tests(
        one.scorer.combine, rows, pairs, results.seed, results.resamples, results.clusters
    )
    for (a, b), p in zip(pairs, tests, strict=True):
        drawn = [bootstrap[order.index(systems[place])] for place in (a, b)]
        numbers = zip(
            one.scorer.columns,
            values[a] - values[b],
            *ends(drawn[0] - drawn[1], CONFIDENCE_LEVEL),
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


def _detectable(results: RunResults) -> float | None:
    """The median over pairs of systems of the difference on the headline that would be found four
    times in five.
    """
    if results.ranking is None:
        return None
    name, place = results.ranking
    one = results.measured[name]
    bootstrap = dict(zip(one.statistics, results.bootstrap_draws[name], strict=True))
    pairs = combinations(_competing(results, one, "system"), 2)
    found = [detectable((bootstrap[a] - bootstrap[b])[:, [place]])[0] for a, b in pairs]
    return float(np.median(found)) if found and np.isfinite(found).all() else None


def _ranks(results: RunResults, compared: tuple[Comparison, ...]) -> dict[str, tuple[int, int]]:
    if results.ranking is None:
        return {}
    name, place = results.ranking
    one = results.measured[name]
    systems, better = _competing(results, one, "system"), one.scorer.columns[place].better
    values = np.array(
        [corpus_value(one.scorer.combine, one.statistics[name])[place] for name in systems]
    )
    worse = np.zeros((len(systems), len(systems)), dtype=bool)
    for pair in compared:
        real = (
            pair.p < 1 - CONFIDENCE_LEVEL and not pair.low <= 0 <= pair.high
        )  # the interval draws training seeds, the test none
        if real and pair.column == results.headline and {pair.first, pair.second} <= set(systems):
            first, second = systems.index(pair.first), systems.index(pair.second)
            loses = pair.difference < 0 if better == "up" else pair.difference > 0
            worse[(first, second) if loses else (second, first)] = True
    return dict(zip(systems, rank_clusters(values, worse, better), strict=True))


def _competing(results: RunResults, one: ScorerResults, *roles: str) -> list[str]:
    return sorted(name for name in one.statistics if results.outputs[name].role in roles)


def page_data(
    results: RunResults, board: Leaderboard, compared: tuple[Comparison, ...]
) -> PageData:
    """What the HTML page shows besides the table: examples, texts, and every column on every
    example.
    """
    examples = tuple(results.examples[place] for place in results.shown)
    ids = [example.id for example in examples]
    return PageData(
        board=board,
        examples=examples,
        total=len(results.examples),
        texts={
            name: [output.shown(key) for key in ids] for name, output in results.outputs.items()
        },
        values={name: dict(_values(results, name)) for name in results.outputs},
        comparisons=tuple(one for one in compared if one.column == results.headline),
        anchors=[
            name
            for name, output in results.outputs.items()
            if output.role == "human" or name == "copy"
        ],
        cut={
            name: [place for place, key in enumerate(ids) if key in o.cut]
            for name, o in results.outputs.items()
        },
    )


def _values(results: RunResults, system: str) -> Iterator[tuple[str, list[float]]]:
    for one in results.measured.values():
        if system in one.statistics:
            rows = per_example(one.scorer.combine, seed_mean(one.statistics[system], results.shown))
            yield from (
                (column.name, rows[:, place].tolist())
                for place, column in enumerate(one.scorer.columns)
            )
