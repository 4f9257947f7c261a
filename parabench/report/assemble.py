"""From a run folder to its reports: statistics are combined, tested and ranked.

No model is needed: everything is computed from the statistics that the run left behind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from parabench.contracts import Score
from parabench.report.board import (
    CONFIDENCE_LEVEL,
    Comparison,
    Leaderboard,
    LeaderboardRow,
    board_to_json,
)
from parabench.report.comparisons import (
    detectable_difference,
    first_place_repeats,
    headline_swaps,
    pairwise_comparisons,
    system_ranks,
)
from parabench.report.leaderboard import board_to_csv, board_to_markdown
from parabench.report.page import page_html
from parabench.report.pagedata import PageData
from parabench.report.results import RunResults
from parabench.report.rules import invalid_columns, unranked_systems
from parabench.report.run_reader import load_results
from parabench.stats.arrays import corpus_value, per_example, per_seed, seed_mean
from parabench.stats.intervals import FEWEST_CLUSTERS, MOST_CLUSTERS, score_interval
from parabench.stats.undefined import undefined_counts
from parabench.store.files import write_atomically
from parabench.store.seal import seal_reports

_MAX_PAGE_EXAMPLES = 2_000
"""Examples that the page holds at most, drawn by the seed: more make it slow to open."""


def write_reports(folder: Path) -> Leaderboard:
    """Write ``leaderboard.md``, ``.csv``, ``.json`` and ``report.html`` into a run folder.

    Raises:
        UserError: where the folder is no run, or is damaged.
    """
    results = load_results(folder, _MAX_PAGE_EXAMPLES)
    compared = pairwise_comparisons(results)
    board = build_leaderboard(results, compared)
    texts = {
        "leaderboard.md": board_to_markdown(board),
        "leaderboard.csv": board_to_csv(board),
        "leaderboard.json": board_to_json(board),
        "report.html": page_html(page_data(results, board, compared)),
    }
    for name, text in texts.items():
        write_atomically(folder / name, text.encode())
    seal_reports(folder)
    return board


def build_leaderboard(results: RunResults, compared: tuple[Comparison, ...]) -> Leaderboard:
    """Everything measured as one table, ranked by the suite's headline column.

    ``compared`` are the tests of ``results`` that decide the ranks; without them nobody is told
    apart.
    """
    suite = results.facts["suite"]
    unranked = unranked_systems(results)
    # A system that was not measured in the headline has no rank, and may have no score at all.
    ranks = system_ranks(results, compared, unranked)
    scores = _scores(results)
    made = []
    for name in results.outputs:
        made.append(_row(results, name, ranks.get(name), scores.get(name, {})))
    rows = tuple(made)
    not_valid = invalid_columns(results)
    # A column that prefers an attacker to people must not say who is better.
    if results.headline in not_valid:
        rows = tuple(replace(row, rank=None) for row in rows)
    signatures = {}
    for one in results.measured.values():
        for column in one.scorer.columns:
            signatures[column.name] = one.signature
    return Leaderboard(
        title=suite["title"],
        note=suite["note"],
        headline=results.headline,
        main=tuple(suite.get("table", ())),
        columns=results.columns,
        rows=rows,
        invalid=not_valid,
        unranked=unranked,
        first_repeats=first_place_repeats(results, unranked),
        signatures=signatures,
        provenance=_provenance(results),
        comparisons=compared,
        detectable=detectable_difference(results),
    )


def _provenance(results: RunResults) -> dict[str, object]:
    """The facts of the run, how intervals and ranks were drawn, and each system's signature."""
    # Written as signatures are, so that two runs can be compared in them.
    clusters, seed = f"clusters:{len(results.clusters)}", f"seed:{results.seed}"
    sampled = f"{clusters}|draws:{results.resamples}|{seed}"
    swapped = f"{clusters}|draws:{headline_swaps(results)}|{seed}"
    systems = {f"system {name}": output.signature for name, output in results.outputs.items()}
    return {
        **results.facts,
        "interval": f"{_interval_method(results)}|level:{CONFIDENCE_LEVEL}|{sampled}",
        "ranks": f"paired randomisation|holm|{swapped}",
        **systems,
    }


def _interval_method(results: RunResults) -> str:
    """How the intervals of scores were made, as the provenance names it."""
    count = len(results.clusters)
    if count < FEWEST_CLUSTERS:
        return f"none below {FEWEST_CLUSTERS} examples"
    if count > MOST_CLUSTERS:
        return "percentile bootstrap"
    return "hull of percentile and studentised bootstrap, Blaker for shares"


def _row(
    results: RunResults,
    system: str,
    rank: tuple[int, int] | None,
    scores: Mapping[str, Score],
) -> LeaderboardRow:
    output, asked = results.outputs[system], len(results.examples)
    if output.role != "system":
        return LeaderboardRow(
            system,
            rank,
            scores,
            output.answered,
            asked,
            control=True,
        )
    # A training that left a record counts as a seed even where it is alone; where there is no
    # record, several trainings of one row are seeds, but a single one may be no training at all.
    trainings = output.training
    recorded = sum("seen" in facts for facts in trainings)
    unrecorded = len(trainings) if len(trainings) > 1 else 0
    seen = dict.fromkeys(str(facts.get("seen", "unknown")) for facts in trainings)
    return LeaderboardRow(
        system=system,
        rank=rank,
        scores=scores,
        scored=output.answered,
        asked=asked,
        control=False,
        seeds=recorded or unrecorded,
        seen=", ".join(seen),
    )


def _scores(results: RunResults) -> dict[str, dict[str, Score]]:
    """The cells of every row: row, then column."""
    found: dict[str, dict[str, Score]] = {}
    for name, one in results.measured.items():
        all_draws = results.bootstrap_draws[name]
        for (system, statistics), draws in zip(one.statistics.items(), all_draws, strict=True):
            values = corpus_value(one.scorer.combine, statistics)
            low, high = score_interval(
                one.scorer.combine,
                one.scorer.columns,
                statistics,
                draws,
                results.clusters,
                results.seed,
                CONFIDENCE_LEVEL,
            )
            undefined = undefined_counts(one.scorer, statistics)
            # A scorer gives one reason a text, whichever of its columns are undefined.
            why = one.reasons(system)
            cells = found.setdefault(system, {})
            for place, column in enumerate(one.scorer.columns):
                cells[column.name] = Score(
                    float(values[place]),
                    float(low[place]),
                    float(high[place]),
                    one.signature,
                    undefined[place],
                    why if undefined[place] else "",
                )
    return found


def page_data(
    results: RunResults,
    board: Leaderboard,
    compared: tuple[Comparison, ...],
) -> PageData:
    """What the page shows: the table, texts, and every column on every example.

    Args:
        results: of the run.
        board: its leaderboard.
        compared: its tests, of which the page shows those on the headline.
    """
    examples = tuple(results.examples[position] for position in results.shown)
    ids = [example.id for example in examples]
    texts, values, cut, anchors = {}, {}, {}, []
    for name, output in results.outputs.items():
        texts[name] = [output.shown(key) for key in ids]
        values[name] = dict(_values(results, name))
        cut[name] = [place for place, key in enumerate(ids) if key in output.cut]
        # In figures and examples the two ends are enough: people, and the source itself.
        if output.role == "human" or name == "copy":
            anchors.append(name)
    return PageData(
        board=board,
        examples=examples,
        total=len(results.examples),
        texts=texts,
        values=values,
        comparisons=tuple(one for one in compared if one.column == results.headline),
        anchors=anchors,
        cut=cut,
        seed_values=_seed_values(results),
    )


def _seed_values(results: RunResults) -> dict[str, float]:
    """What each training of rows with several reaches on the headline, by its name."""
    if results.ranking is None:
        return {}
    name, place = results.ranking
    one = results.measured[name]
    found = {}
    for row, statistics in one.statistics.items():
        arrays = per_seed(statistics)
        systems = results.outputs[row].systems
        if len(arrays) > 1:
            for system, array in zip(systems, arrays, strict=True):
                values = corpus_value(one.scorer.combine, array)
                found[system] = float(values[place])
    return found


def _values(results: RunResults, system: str) -> Iterator[tuple[str, list[float]]]:
    """Every column of a system on each example that is shown."""
    for one in results.measured.values():
        if system in one.statistics:
            statistics = seed_mean(one.statistics[system], results.shown)
            rows = per_example(one.scorer.combine, statistics)
            for place, column in enumerate(one.scorer.columns):
                yield column.name, rows[:, place].tolist()
