"""From statistics to the board: clusters and training seeds in intervals, tests in every column,
what is told apart.
"""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest

from parabench.contracts import Column, Example, Score, Signature, UserError, additive
from parabench.report import assemble, board, cells, comparisons, notes, results
from parabench.report.results import RunResults, ScorerResults, SystemOutput
from parabench.report.truncation import TruncationScorer
from parabench.stats import seeds

COUNT = 120


class Means:
    """Two columns, each the mean of its statistic."""

    columns = (Column("quality", "up", "reference", 2), Column("change", "up", "source", 2))
    signature = Signature("means")

    def measure(self, examples, texts):
        raise NotImplementedError

    @additive
    def combine(self, statistics):
        sums = statistics.sum(axis=-2)
        return sums[..., :2] / sums[..., 2:]


def rows(values) -> np.ndarray:
    """Statistics of two equal columns."""
    return np.column_stack([values, values, np.ones_like(values)])


def run_results(statistics, cluster=lambda n: str(n), **changes) -> RunResults:
    """A run of systems whose statistics are given, by name."""
    facts = {
        "suite": {"title": "T", "note": "", "headline": "quality"},
        "runtime": {"seed": 0},
        "decoding": {"max_new_tokens": 64, "num_beams": 4},
    }
    examples = tuple(Example(str(n), f"s{n}", (f"r{n}",), cluster(n)) for n in range(COUNT))
    texts = {one.id: ["text"] for one in examples}
    outputs = {name: SystemOutput(texts, frozenset(), "system", name, ({},)) for name in statistics}
    outputs |= changes.pop("outputs", {})
    return RunResults(
        facts | changes, examples, outputs, {"means": ScorerResults(Means(), "means", statistics)}
    )


def control_outputs(*names: str) -> dict[str, SystemOutput]:
    """Outputs of the human and of sentinels, by name."""
    texts = {str(n): ["text"] for n in range(COUNT)}
    roles = {name: "human" if name == "human" else "sentinel" for name in names}
    return {
        name: SystemOutput(texts, frozenset(), role, name, ({},)) for name, role in roles.items()
    }


def made(found: RunResults) -> board.Leaderboard:
    return assemble.build_leaderboard(found, comparisons.pairwise_comparisons(found))


def draws(seed: int = 0, shift: float = 0.0, size: int = COUNT) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=size) + shift


def boards_of_repeated(times: int) -> list[board.Leaderboard]:
    """Two systems on sentences that stand several times: each copy by itself, and as clusters."""
    repeated = {
        name: rows(np.repeat(draws(seed, shift, COUNT // times), times))
        for seed, (name, shift) in enumerate([("a", 0), ("b", 0.5)])
    }
    return [made(run_results(repeated, cluster)) for cluster in (str, lambda n: str(n // times))]


def headline_test(found: board.Leaderboard) -> board.Comparison:
    return next(one for one in found.comparisons if one.column == "quality")


def test_intervals_of_differences_go_by_clusters():
    """Four copies of thirty sentences carry the information of thirty: intervals are twice as
    wide.
    """
    singly, together = boards_of_repeated(4)
    width = [one.high - one.low for one in map(headline_test, (singly, together))]
    assert width[1] / width[0] == pytest.approx(2, rel=0.1)
    assert together.detectable / singly.detectable == pytest.approx(2, rel=0.1)


def test_of_few_clusters_there_is_a_test_and_no_interval():
    """Twelve copies of ten sentences: a swap of whole clusters is right for ten, intervals not."""
    singly, together = boards_of_repeated(12)
    assert headline_test(singly).p < 0.01 < 0.1 < headline_test(together).p <= 1
    assert np.isfinite([headline_test(singly).low, singly.detectable]).all()
    assert np.isnan([headline_test(together).low, headline_test(together).high]).all()
    assert together.detectable is None
    told = " ".join(notes.reader_notes(together))
    assert "truly differ" not in told
    assert "too few for an interval, of a score or of a difference" in told


def test_few_clusters_are_told_apart_by_the_test_alone():
    """Fifteen clusters, one system 1 better in each: of 2**15 swaps two are as far apart."""
    base = np.repeat(draws(size=15), 8)
    found = made(run_results({"a": rows(base + 1), "b": rows(base)}, lambda n: str(n // 8)))
    one = headline_test(found)
    assert one.is_real
    assert np.isnan(one.low)
    assert not replace(one, draws_hold_zero=True).is_real


def test_the_smallest_difference_is_that_of_theory():
    """Standard deviation of the difference 1 over 120 examples: 2.80 x 1 / sqrt(120) = 0.256 (z
    .975 + z .8).
    """
    noise = draws(1)
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    found = made(run_results({"a": rows(draws()), "b": rows(draws() + noise)}))
    assert found.detectable == pytest.approx(0.256, rel=0.05)
    assert "truly differ by 0.2" in " ".join(notes.reader_notes(found))
    assert "corrected" not in " ".join(notes.reader_notes(found))
    assert made(run_results({"a": rows(draws())})).detectable is None


def test_with_more_systems_more_is_needed_to_be_told_apart():
    """Of 3 systems 3 pairs: (z of 1 - .025 / 3, 2.394, + z .8, .842) / 2.802 = 1.155 times."""
    same = [draws() + draws(seed) for seed in (1, 2, 3)]
    two = made(run_results({"a": rows(same[0]), "b": rows(same[1])}))
    of_pairs = []
    for one, other in ((0, 1), (0, 2), (1, 2)):
        pair = made(run_results({"a": rows(same[one]), "b": rows(same[other])}))
        of_pairs.append(pair.detectable)
    three = made(run_results(dict(zip("abc", map(rows, same), strict=True))))
    assert three.detectable == pytest.approx(1.155 * np.median(of_pairs), rel=0.02)
    assert "corrected for all 3 pairs" in " ".join(notes.reader_notes(three))
    assert len(two.comparisons) == 2


def test_training_seeds_are_one_row_and_drawn_in_its_interval():
    """Seeds a standard deviation of 1 apart hide in no sample of 120 examples: a tenth of it
    without them.
    """
    spread = np.stack([rows(draws() + shift) for shift in (-1.0, 0.0, 1.0)])
    found = {"prompt": spread, "other": rows(draws(5))}
    output = SystemOutput(
        {str(n): ["x", "y", "z"] for n in range(COUNT)}, frozenset(), "system", "", ({}, {}, {})
    )
    both = {row.system: row for row in made(run_results(found, outputs={"prompt": output})).rows}
    wide, narrow = (both[name].scores["quality"] for name in ("prompt", "other"))
    assert (both["prompt"].seeds, both["other"].seeds) == (3, 0)
    assert wide.value == pytest.approx(draws().mean())
    assert (wide.high - wide.low) > 3 * (narrow.high - narrow.low)


def test_what_the_seeds_leave_open_is_not_ranked_apart():
    """The mean of the seeds is 0.3 above the other system on every example; the seeds themselves
    differ by 2.
    """
    base = draws()
    spread = np.stack([rows(base + 0.3 + shift) for shift in (-1.0, 0.0, 1.0)])
    controls = {"human": rows(base + 10), "copy": rows(base - 10)}
    outputs = control_outputs("human", "copy")
    one, several = (
        made(run_results({"a": a, "b": rows(base), **controls}, outputs=outputs))
        for a in (spread[1], spread)
    )
    assert [row.rank for row in one.rows][:2] == [(1, 1), (2, 2)]
    assert [row.rank for row in several.rows][:2] == [(1, 2), (1, 2)]
    assert next(c for c in several.comparisons if c.column == "quality").p < 0.05


def test_names_that_end_in_a_seed_are_one_row():
    assert seeds.row_name("softprompt-111-s2") == "softprompt-111"
    assert [seeds.row_name(name) for name in ("bart", "bart-s", "-s1", "s1")] == [
        "bart",
        "bart-s",
        "-s1",
        "s1",
    ]
    seeds.check_seed_groups(
        {"p-20-s1": "p|adapter:a|P:20", "p-20-s2": "p|adapter:b|P:20", "q-s1": "q|x:1"}
    )
    with pytest.raises(UserError, match=r"P:20 and p\|P:21"):
        seeds.check_seed_groups({"p-s1": "p|adapter:a|P:20", "p-s2": "p|adapter:b|P:21"})


def test_directed_columns_are_tested_the_headline_by_itself():
    """Holm over three pairs of the headline; Benjamini-Hochberg over the other column's three
    (hand-worked orders).
    """
    found = made(
        run_results(
            {
                name: rows(draws(seed, shift))
                for seed, (name, shift) in enumerate([("a", 0), ("b", 0), ("c", 0.4)])
            }
        )
    )
    p = {
        column: sorted(c.p for c in found.comparisons if c.column == column)
        for column in ("quality", "change")
    }
    assert [len(several) for several in p.values()] == [3, 3]
    assert all(holm >= bh for holm, bh in zip(p["quality"], p["change"], strict=True))
    assert p["quality"] != p["change"]


def test_outputs_that_the_limit_ended_are_a_column():
    cut = TruncationScorer({"1", "3"})
    statistics = cut.measure(tuple(Example(str(n), "s", ()) for n in range(8)), ())
    assert cut.combine(statistics) == pytest.approx([25.0])


def test_cuts_and_reference_counts_stand_above_the_table():
    found = made(run_results({"a": rows(draws())}, data={"references": 3}))
    told = " ".join(notes.reader_notes(found))
    assert "Scored against 2 of 3 references, each left out in turn." in told
    assert "length limit" not in told
    (row,) = found.rows
    cut = replace(row, scores={**row.scores, "cut-off": Score(12.5, 0.0, 20.0, "")})
    assert "The length limit ended some of them: a 12.5 %." in notes.reader_notes(
        replace(found, rows=(cut,))
    )


def test_the_table_says_how_texts_were_made():
    found = made(run_results({"a": rows(draws())}))
    assert "Texts: beam 4, at most 64 new tokens, seed 0." in notes.reader_notes(found)
    apart = replace(
        found, provenance={**found.provenance, "system a": "bart|model:x@1|dtype:float16"}
    )
    assert "Texts: beam 4, at most 64 new tokens, seed 0, a in float16." in notes.reader_notes(
        apart
    )


@pytest.mark.parametrize(
    ("training", "seen", "seeds_shown", "column"),
    [
        (({"seed": 1, "seen": "clean"},), "clean", "1*", True),
        (({"seed": 1, "seen": "0/9"}, {"seed": 2, "seen": "2/9"}), "0/9, 2/9", "2", True),
        (({},), "unknown", "", False),
    ],
)
def test_what_is_known_of_the_training_stands_in_the_row(training, seen, seeds_shown, column):
    output = SystemOutput(
        {str(n): ["x"] for n in range(COUNT)}, frozenset(), "system", "", training
    )
    found = made(run_results({"a": rows(draws())}, outputs={"a": output}))
    (row,) = found.rows
    assert (row.seen, cells.seeds_text(row)) == (seen, seeds_shown)
    assert ("seen" in cells.row_facts(found)) == column
    assert ("Whether these examples were trained on is unknown." in notes.reader_notes(found)) == (
        not column
    )


def test_a_board_with_comparisons_reads_back():
    text = board.board_to_json(made(run_results({"a": rows(draws()), "b": rows(draws(1))})))
    assert board.board_to_json(board.board_from_json(text)) == text


def test_a_direction_chosen_in_the_suite_outlives_the_run():
    """The option is not in the folder; the signature that it made is."""
    from parabench.report.run_reader import _with_chosen_direction

    class Undirected(Means):
        columns = (Column("foreign", "none", "reference"),)

    scorer = Undirected()
    directed = _with_chosen_direction(scorer, "foreign|better:down|version:1")
    assert directed.columns == (Column("foreign", "down", "reference"),)
    assert directed.combine(np.ones((4, 3)))[0] == scorer.combine(np.ones((4, 3)))[0]
    assert directed.combine.__func__ is scorer.combine.__func__
    assert _with_chosen_direction(scorer, "foreign|version:1") is scorer
    assert _with_chosen_direction(scorer, "foreign|better:sideways") is scorer
    assert _with_chosen_direction(Means(), "means|better:down").columns == Means.columns


def test_the_detectable_difference_is_corrected_for_all_pairs():
    """Ten systems are 45 pairs: z(1 - .05 / 90) + z(.8) standard errors in the place of 2.80."""
    found = {f"s{n}": rows(draws(n)) for n in range(10)}
    two = {name: found[name] for name in ("s0", "s1")}
    alone, many = (made(run_results(some)).detectable for some in (two, found))
    normal = NormalDist()
    factor = (normal.inv_cdf(1 - 0.05 / 90) + normal.inv_cdf(0.8)) / (
        normal.inv_cdf(0.975) + normal.inv_cdf(0.8)
    )
    assert many / alone == pytest.approx(factor, rel=0.15)
    assert factor > 1.4


@pytest.mark.parametrize(("shift", "low", "high"), [(0.0, 45, 55), (0.2, 65, 95), (3, 100, 100)])
def test_how_often_the_first_place_repeats(shift, low, high):
    """Two means of 120 values whose difference has an error of 1.41 / sqrt(120) = 0.13."""
    base = {"human": rows(draws(1, 10)), "copy": rows(draws(2, -10))}
    one = draws(3) - draws(3).mean()
    other = draws(4) - draws(4).mean() + shift
    results = run_results(
        {**base, "a": rows(one), "b": rows(other)}, outputs=control_outputs("human", "copy")
    )
    found = made(results)
    assert low <= found.first_repeats <= high
    assert "first again" in " ".join(notes.reader_notes(found))


def test_the_first_place_repeats_as_often_as_is_said():
    """Two means whose true difference is unknown: what is said is on average what happens."""
    generator = np.random.default_rng(0)
    count, said, happened = 120, [], []
    base = {"human": rows(draws(1, 10)), "copy": rows(draws(2, -10))}
    for _ in range(60):
        shift = generator.uniform(-0.6, 0.6)
        one = generator.normal(size=(2, count))
        results = run_results(
            {**base, "a": rows(one[0]), "b": rows(one[1] + shift)},
            outputs=control_outputs("human", "copy"),
        )
        # both are paired differences of means with the error sqrt(2 / n)
        first_is_b = one[1].mean() + shift > one[0].mean()
        said.append(made(results).first_repeats)
        chance = NormalDist().cdf(shift / np.sqrt(2 / count))
        happened.append(100 * (chance if first_is_b else 1 - chance))
    assert np.mean(said) == pytest.approx(np.mean(happened), abs=5)


def test_below_30_examples_the_table_says_no_interval():
    few = run_results({"a": rows(draws())}, cluster=lambda n: str(n // 6))
    found = made(few)
    assert np.isnan(found.rows[0].scores["quality"].low)
    assert "too few for an interval" in " ".join(notes.reader_notes(found))
    assert found.first_repeats is None


@pytest.mark.parametrize(("count", "is_large"), [(30, False), (12, True)])
def test_many_systems_that_plainly_differ_are_told_apart(count, is_large, monkeypatch):
    """Holm multiplies the first p-value by the number of pairs, 435 and 66: of 10,000 and of 1,000
    swaps none could be small enough.
    """
    if is_large:
        monkeypatch.setattr(results, "ROWS_AT_ONCE", COUNT - 1)
    systems = {f"s{n}": rows(draws(n, shift=10 * n)) for n in range(count)}
    found = made(run_results(systems))
    of_headline = [one for one in found.comparisons if one.column == "quality"]
    assert all(one.is_real for one in of_headline)
    tests = len(of_headline)
    assert f"draws:{max(100 * tests, 1_000)}|" in found.provenance["ranks"]
