"""Scorers against people: published values on published judgments, the right call and a famous
wrong one.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from parabench.contracts import Column, Example, UserError
from parabench.metaeval import agreement, correlation, resampled, soft_pairs, within_sources
from parabench.metaeval.human import HumanJudgments
from parabench.metaeval.judgment_files import JudgmentFile
from parabench.metaeval.judgments import Preference, RatedText
from parabench.metaeval.table import agreement_table
from parabench.stats.clusters import ClusterIndex

DATA = Path(__file__).parents[2] / "../shared/data"


class Lengths:
    """A scorer of two columns, the number of characters with and against the grain."""

    columns = (Column("long", "up", "output"), Column("short", "down", "output"))

    def measure(self, examples, texts):
        return np.array([[len(text), -len(text)] for text in texts], dtype=float)

    def combine(self, statistics):
        return statistics.mean(axis=-2)


def judged(lengths, ratings, clusters):
    return [
        RatedText(Example(str(i), c, ()), "x" * n, (r,), c)
        for i, (n, r, c) in enumerate(zip(lengths, ratings, clusters, strict=True))
    ]


def scorer_agreement(scorer, items, seed, resamples):
    """The agreement of each column of a scorer, as the table takes them one by one."""
    values = agreement.judgment_values(scorer, items)
    people = HumanJudgments.of(items)
    return [
        agreement.column_agreement(column.name, row, people, seed, resamples)
        for column, row in zip(scorer.columns, values.T, strict=True)
    ]


def correlations(values, people, clusters, seed, resamples):
    index = ClusterIndex(len(values), clusters)
    pairs = within_sources.PairsOfSources.of(values, people, index)
    return correlation.correlations(values, people, index, pairs, seed, resamples)


def spearman(a, b):
    return scipy.stats.spearmanr(a, b).statistic


def fleiss_kappa(counts):
    """Agreement beyond chance (Fleiss 1971) of raters who gave each of N items one of L labels."""
    raters = counts.sum(axis=1)
    agreed = ((counts * (counts - 1)).sum(axis=1) / (raters * (raters - 1))).mean()
    expected = ((counts.sum(axis=0) / counts.sum()) ** 2).sum()
    return (agreed - expected) / (1 - expected)


def test_correlations_are_scipys():
    draw = np.random.default_rng(0)
    a, b = draw.normal(size=80), draw.integers(0, 5, 80).astype(float)
    found = correlations(a, b, [str(i // 4) for i in range(80)], 0, 50)
    assert found["pearson"].value == pytest.approx(scipy.stats.pearsonr(a, b).statistic)
    assert found["spearman"].value == pytest.approx(scipy.stats.spearmanr(a, b).statistic)
    assert found["kendall"].value == pytest.approx(scipy.stats.kendalltau(a, b).statistic)
    assert all(estimate.low <= estimate.value <= estimate.high for estimate in found.values())


def test_resampled_correlations_are_scipys_of_the_drawn_items():
    draw = np.random.default_rng(1)
    # tied values and ratings, as people give them
    a, b = draw.integers(0, 12, 90) / 3, draw.integers(1, 6, 90).astype(float)
    sampled = resampled.ResampledCorrelations(a, b)
    for _ in range(5):
        rows = draw.integers(90, size=90)
        x, y = a[rows], b[rows]
        found = sampled.correlations(np.bincount(rows, minlength=90), correlation.MEASURES)
        expected = [scipy.stats.pearsonr(x, y), scipy.stats.spearmanr(x, y)]
        expected.append(scipy.stats.kendalltau(x, y))
        np.testing.assert_allclose(found, [one.statistic for one in expected], rtol=1e-12)
    only_one = np.bincount([3], minlength=90)
    assert np.isnan(sampled.correlations(only_one, correlation.MEASURES)).all()


def test_correlations_within_sources_are_scipys():
    draw = np.random.default_rng(2)
    a, b = draw.integers(0, 6, 200).astype(float), draw.integers(1, 4, 200).astype(float)
    names = draw.integers(0, 40, 200)
    index = ClusterIndex(200, names)
    pairs = within_sources.PairsOfSources.of(a, b, index)
    found = within_sources.correlations_within(a, b, index, pairs)
    for source in range(len(index)):
        x, y = a[index.members(source)], b[index.members(source)]
        if np.ptp(x) == 0 or np.ptp(y) == 0:
            assert all(np.isnan(values[source]) for values in found.values())
            continue
        assert found["pearson"][source] == pytest.approx(scipy.stats.pearsonr(x, y).statistic)
        assert found["spearman"][source] == pytest.approx(scipy.stats.spearmanr(x, y).statistic)
        assert found["kendall"][source] == pytest.approx(scipy.stats.kendalltau(x, y).statistic)
    assert not np.isnan(found["kendall"]).all()


def test_within_sources_needs_more_than_one_source():
    values = np.arange(8.0)
    one = correlations(values, values**2, ["a"] * 8, 0, 20)
    two = correlations(values, values**2, ["a"] * 4 + ["b"] * 4, 0, 20)
    assert set(one) == {"pearson", "spearman", "kendall"}
    assert {"pearson-within", "spearman-within", "kendall-within"} < set(two)


def test_within_sources_by_hand():
    """One source ordered as people do, one the other way round, one with a single item: mean of 1
    and -1.
    """
    found = scorer_agreement(
        Lengths(), judged([1, 2, 9, 8, 5], [1, 2, 1, 2, 3], ["a", "a", "b", "b", "c"]), 0, 50
    )
    assert [row.column for row in found] == ["long", "short"]
    assert found[0].agreement["kendall-within"].value == pytest.approx(0.0)
    assert (found[0].count, found[0].clusters) == (5, 3)


def test_a_column_where_lower_is_better_is_turned():
    found = scorer_agreement(Lengths(), judged([1, 2, 3], [1, 2, 3], ["a", "b", "c"]), 0, 20)
    assert found[0].agreement["pearson"].value == pytest.approx(1)
    assert found[1].agreement["pearson"].value == pytest.approx(1)


def test_preferences_are_a_share_and_ties_count_half():
    pairs = [("xx", "x"), ("x", "xx"), ("x", "x"), ("xxx", "x")] * 3
    items = [Preference(Example(str(i), "s", ()), c, r, str(i)) for i, (c, r) in enumerate(pairs)]
    estimate = scorer_agreement(Lengths(), items, 0, 200)[0].agreement["preference"]
    assert estimate.value == pytest.approx(7.5 / 12)
    assert 0 <= estimate.low < estimate.high <= 1


def test_pairs_of_one_source_by_hand():
    """Source a: of three pairs people leave one open, one is in order and one is tied; b: its only
    pair is reversed.
    """
    items = judged([1, 2, 2, 9, 8], [1, 2, 1, 1, 2], ["a", "a", "a", "b", "b"])
    values, people = np.array([1.0, 2, 2, 9, 8]), np.array([i.rating for i in items])
    index = ClusterIndex(len(items), [item.cluster for item in items])
    pairs = within_sources.PairsOfSources.of(values, people, index)
    alike, counts = within_sources.pairwise_accuracy(pairs)
    assert (alike.tolist(), counts.tolist()) == ([1.5, 0], [2, 1])
    found = scorer_agreement(Lengths(), items, 0, 50)[0].agreement["pairs"]
    assert found.value == pytest.approx(1.5 / 3)


def two_systems(gap, noise, seed=0):
    """Forty sources, each answered by a better and a worse system."""
    draw = np.random.default_rng(seed)
    ratings = {"good": gap + noise * draw.normal(size=40), "bad": noise * draw.normal(size=40)}
    return [
        RatedText(Example(f"{name}{i}", str(i), ()), "x", (float(rating),), str(i), (name,))
        for name, of in ratings.items()
        for i, rating in enumerate(of)
    ]


def test_soft_pairwise_accuracy():
    """1 for the people's own column, 0 for its reverse where people are sure, .5 where the column
    cannot tell.
    """
    items = HumanJudgments.of(two_systems(gap=5.0, noise=1.0))
    people = items.ratings
    assert soft_pairs.soft_pairwise_accuracy(people, people, items, 0, 200, 20).value == 1.0
    assert soft_pairs.soft_pairwise_accuracy(
        -people, people, items, 0, 200, 20
    ).value == pytest.approx(0, abs=0.02)
    flips = np.tile([1.0, -1.0], 40)
    unsure = soft_pairs.soft_pairwise_accuracy(
        flips * np.repeat([1.0, -1.0], 40), people, items, 0, 1000, 20
    )
    assert unsure.value == pytest.approx(0.5, abs=0.1)
    assert unsure.low <= unsure.value <= unsure.high


def test_soft_pairwise_accuracy_needs_shared_sources():
    items = HumanJudgments.of(
        [RatedText(Example(n, n, ()), "x", (1.0,), n, (f"s{n}",)) for n in "abcd"]
    )
    assert np.isnan(
        soft_pairs.soft_pairwise_accuracy(np.arange(4.0), np.arange(4.0), items, 0, 10, 5).value
    )


def test_one_rater_against_the_others():
    """Two agree, the third is their reverse: correlations with the mean of the other two are
    undefined, or -1.
    """
    rows = [(1.0, 1.0, 3.0), (2.0, 2.0, 2.5), (3.0, 3.0, 1.0)]
    items = [RatedText(Example(str(i), "s", ()), "x", r, str(i)) for i, r in enumerate(rows)]
    rest = [(np.array(rows)[:, [1, 2]]).mean(axis=1), (np.array(rows)[:, [0, 1]]).mean(axis=1)]
    first, last = (
        np.corrcoef(np.array(rows)[:, seat], other)[0, 1]
        for seat, other in zip((0, 2), rest, strict=True)
    )
    assert HumanJudgments.of(items).ceiling == pytest.approx((2 * first + last) / 3)
    votes = [
        (1, 1, 0),
        (1, 1, 1),
        (0, 0, 1),
    ]  # of the nine votes: 3 with both others, 2 a tie or against in each other row
    pairs = [Preference(Example(str(i), "s", ()), "a", "b", str(i), v) for i, v in enumerate(votes)]
    assert HumanJudgments.of(pairs).ceiling == pytest.approx((3 + 2 * (0.5 + 0.5 + 0)) / 9)
    assert np.isnan(HumanJudgments.of([Preference(Example("a", "s", ()), "a", "b", "c")]).ceiling)


def test_rivals_on_preferences():
    items = HumanJudgments.of(
        [Preference(Example(str(i), "s", ()), "a", "b", str(i)) for i in range(60)]
    )
    sure, even = np.ones(60), np.tile([1.0, 0.0], 30)
    assert agreement.agreement_difference_p(sure, even, items, 0, 500) < 0.01
    assert agreement.agreement_difference_p(even, even, items, 0, 500) == 1.0


def test_items_without_a_value_are_left_out_and_counted():
    items = HumanJudgments.of(judged([1, 2, 3, 4], [1, 2, 3, 4], "abcd"))
    found = agreement.column_agreement("column", np.array([1.0, 2.0, np.nan, 4.0]), items, 0, 20)
    assert (found.count, found.agreement["pearson"].value) == (3, pytest.approx(1))


def test_ratings_and_preferences_are_not_pooled():
    items = [*judged([1], [1], "a"), Preference(Example("b", "s", ()), "a", "b", "c")]
    with pytest.raises(UserError, match="two files"):
        scorer_agreement(Lengths(), items, 0, 20)


def test_the_table_of_columns_against_people():
    items = judged([1, 2, 3, 5, 4, 9], [1, 2, 3, 4, 5, 6], "aabbcc")
    lines = agreement_table([Lengths()], items, "short").splitlines()
    assert lines[0] == (
        "6 items of 3 sources; no item has two raters. "
        "No intervals: none holds the truth often enough below 10 sources."
    )
    assert "[" not in lines[4]
    assert [cell.strip() for cell in lines[2].split("|")[1:3]] == ["column", "Pearson"]
    assert lines[5].startswith("| short (turned)")
    assert lines[4].split("|")[-2].strip() == "1.0000"
    with pytest.raises(UserError, match="no such column"):
        agreement_table([Lengths()], items, "bleu")


def test_progress_is_told_by_items_and_by_columns():
    told = []
    items = judged([1, 2, 3, 5, 4, 9], [1, 2, 3, 4, 5, 6], "aabbcc")
    agreement_table([Lengths()], items, advance=lambda *given: told.append(given))
    assert told == [("scoring", 6, 6), ("intervals", 1, 2), ("intervals", 2, 2)]


@pytest.mark.parametrize("second", [2, 4])
def test_items_that_change_between_the_readings_are_refused(second):
    """Those that are missing would have the value 0."""

    class Changing:
        counts = iter([3, second])

        def __iter__(self):
            return iter(judged([1, 2, 3, 4], [1, 2, 3, 4], "abcd")[: next(self.counts)])

    with pytest.raises(UserError, match="no longer 3"):
        agreement_table([Lengths()], Changing())


def test_a_constant_column_has_no_p_value():
    people = np.random.default_rng(0).normal(size=60)
    clusters = [str(place) for place in range(60)]
    for a, b in ((np.ones(60), people), (people, np.ones(60))):
        assert np.isnan(correlation.swap_test(a, b, people, clusters, 0, 100))
    assert np.isnan(correlation.swap_test(people, -people, np.ones(60), clusters, 0, 100))


def test_ten_sources_have_an_interval_and_nine_have_none():
    draw = np.random.default_rng(3)
    for sources, known in ((9, False), (10, True)):
        values, people = draw.normal(size=(2, 4 * sources))
        clusters = [str(i // 4) for i in range(4 * sources)]
        found = correlations(values, people, clusters, 0, 100)
        assert all(np.isfinite([one.low, one.high]).all() == known for one in found.values())


def test_few_sources_have_longer_intervals_than_percentiles():
    draw = np.random.default_rng(3)
    parts = draw.uniform(size=12)
    rows = np.random.default_rng(0).integers(12, size=(2_000, 12))
    found = correlation.ratio_with_interval(parts, np.ones(12), None, 0, 2_000)
    low, high = np.percentile(parts[rows].mean(axis=1), [2.5, 97.5])
    assert found.low < low < high < found.high


def test_swap_test_sees_a_better_column_and_no_other():
    draw = np.random.default_rng(1)
    people = draw.normal(size=120)
    clusters = [str(i // 3) for i in range(120)]
    good, bad, same = (
        people + draw.normal(size=120),
        draw.normal(size=120),
        people + draw.normal(size=120),
    )
    assert correlation.swap_test(good, bad, people, clusters, 0, 500) < 0.01
    assert correlation.swap_test(good, same, people, clusters, 0, 500) > 0.05
    assert correlation.swap_test(good, 3 * good + 7, people, clusters, 0, 500) == 1.0


def test_fleiss_kappa():
    """Fleiss 1971 as worked in the literature: ten subjects, fourteen raters, five categories,
    kappa .210.
    """
    counts = np.array(
        [
            [0, 0, 0, 0, 14],
            [0, 2, 6, 4, 2],
            [0, 0, 3, 5, 6],
            [0, 3, 9, 2, 0],
            [2, 2, 8, 1, 1],
            [7, 7, 0, 0, 0],
            [3, 2, 6, 3, 0],
            [2, 5, 3, 2, 2],
            [6, 5, 2, 1, 0],
            [0, 2, 2, 3, 7],
        ]
    )
    assert fleiss_kappa(counts) == pytest.approx(0.210, abs=5e-4)


def published(name: str, layout: str):
    path = DATA / name
    if not path.exists():
        pytest.skip(f"needs ../shared/data/{name}")
    return list(JudgmentFile(path, layout))


@pytest.mark.slow
def test_twitter_para_right_and_wrong():
    """A published bug and its mend.

    Shen et al. 2022 print -0.118975 / -0.104483 for BLEU: sentence_bleu was handed a flat list of
    tokens, so every word was taken for a reference made of characters (shadowkiller33/ParaScore,
    upstream_log). Called as NLTK means it, the same metric on the same items agrees with people.
    """
    from nltk.tokenize import word_tokenize
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

    items = published("parascore-benchmarks/twitter-para.jsonl", "twitter-para")
    assert (len(items), len({item.cluster for item in items})) == (7159, 761)
    test = items[len(items) // 10 :]
    assert len(test) == 6444
    smooth = SmoothingFunction().method1
    people = np.array([item.rating for item in test])
    tokens = {
        text: word_tokenize(text.lower(), preserve_line=True)
        for item in test
        for text in (item.text, item.example.references[0])
    }
    right, wrong = (
        np.array(
            [
                sentence_bleu(
                    wrap(tokens[i.example.references[0]]), tokens[i.text], smoothing_function=smooth
                )
                for i in test
            ]
        )
        for wrap in (lambda reference: [reference], lambda reference: reference)
    )
    assert correlation.pearson(right, people) == pytest.approx(0.2354, abs=5e-5)
    assert spearman(right, people) == pytest.approx(0.2443, abs=5e-5)
    assert correlation.pearson(wrong, people) == pytest.approx(-0.11897535760158826, abs=1e-9)
    assert spearman(wrong, people) == pytest.approx(-0.10448345909348869, abs=1e-9)


def union_rouge(text, reference):
    """ROUGE-1, 2 and L as the package ``rouge`` 1.0.1 takes them: cased words between spaces, as
    sets, cut at stops.

    L is the union, over all pairs of sentences, of the words on a longest common subsequence.
    """

    def sets(sentences):
        words = [word for sentence in sentences for word in sentence]
        return [set(words), set(pairwise(words))]

    def common(one, other):
        table = np.zeros((len(one) + 1, len(other) + 1), int)
        for i, a in enumerate(one, 1):
            for j, b in enumerate(other, 1):
                table[i, j] = (
                    table[i - 1, j - 1] + 1 if a == b else max(table[i - 1, j], table[i, j - 1])
                )
        i, j, found = len(one), len(other), set()
        while i and j:
            if one[i - 1] == other[j - 1]:
                i, j, found = i - 1, j - 1, found | {one[i - 1]}
            elif table[i - 1, j] > table[i, j - 1]:
                i -= 1
            else:
                j -= 1
        return found

    made, kept = (
        [part.split() or [""] for part in one.split(".") if part] for one in (text, reference)
    )
    longest = set().union(*(common(one, other) for one in kept for other in made))
    (made1, made2), (kept1, kept2) = sets(made), sets(kept)
    shares = ((made1 & kept1, made1, kept1), (made2 & kept2, made2, kept2), (longest, made1, kept1))
    pairs = ((len(hits) / max(1, len(of)), len(hits) / max(1, len(by))) for hits, of, by in shares)
    return [2 * p * r / (p + r + 1e-8) for p, r in pairs]


@pytest.mark.slow
def test_twitter_para_rouge():
    """ROUGE-1, 2, L with people, Pearson then Spearman, by the ``rouge`` package against the
    reference and the source.

    The package tells capitals from small letters: our own columns, which do not, agree far better.
    """
    from parabench.scorers import rouge

    from parabench.contracts import BuildContext

    items = published("parascore-benchmarks/twitter-para.jsonl", "twitter-para")
    test = items[len(items) // 10 :]
    people = np.array([item.rating for item in test])
    for of, expected in (
        (lambda e: e.references[0], [[0.2711, 0.1815, 0.2494], [0.2761, 0.1436, 0.2391]]),
        (lambda e: e.source, [[0.2924, 0.2277, 0.2662], [0.2995, 0.1887, 0.2534]]),
    ):
        columns = np.array([union_rouge(item.text, of(item.example)) for item in test]).T
        found = [
            [agree(column, people) for column in columns]
            for agree in (correlation.pearson, spearman)
        ]
        np.testing.assert_allclose(found, expected, rtol=0, atol=5.1e-5)
    ours = agreement.judgment_values(rouge.build("", BuildContext()), test)[:, 0]
    assert correlation.pearson(ours, people) > 1.5 * 0.2711


def test_twitter_para_by_our_own_columns():
    """Values for character NED and ParaScore's divergence term alone, both against the source."""
    from parabench.scorers.edits import divergence, normalised_edits

    items = published("parascore-benchmarks/twitter-para.jsonl", "twitter-para")
    test = items[len(items) // 10 :]
    people = np.array([item.rating for item in test])
    edits = np.array([normalised_edits(item.example.source, item.text) for item in test])
    term = np.array([divergence(item.example.source, item.text, 0.35) for item in test])
    assert [
        correlation.pearson(edits, people),
        spearman(edits, people),
    ] == pytest.approx([-0.2262, -0.2015], abs=1e-4)
    assert [correlation.pearson(term, people), spearman(term, people)] == pytest.approx(
        [-0.1232, -0.1457], abs=1e-4
    )


def test_strap_raters_agree_modestly():
    """Three raters a text: Fleiss' kappa 0.42 on whether the meaning was kept."""
    items = published("strap-mturk/judgments.tsv", "strap")
    assert len(items) == 1432
    kept = np.array(
        [[sum(item.ratings), len(item.ratings) - sum(item.ratings)] for item in items], dtype=int
    )
    assert fleiss_kappa(kept) == pytest.approx(0.42, abs=0.005)
    assert 0.3 < HumanJudgments.of(items).ceiling < 0.7
    assert len({system for item in items for system in item.systems}) == 10


def test_strap_correlations_of_the_columns():
    """Pearson with "meaning kept", overlap against the source: chrF .328, character similarity
    .215, DS -.157.
    """
    from parabench.scorers.edits import divergence, normalised_edits

    items = published("strap-mturk/judgments.tsv", "strap")
    people = np.array([item.rating for item in items])
    edits = np.array([-normalised_edits(item.example.source, item.text) for item in items])
    term = np.array([divergence(item.example.source, item.text, 0.35) for item in items])
    assert correlation.pearson(edits, people) == pytest.approx(0.215, abs=0.001)
    assert correlation.pearson(term, people) == pytest.approx(-0.157, abs=0.001)


def test_apty_preferences():
    """367 pairs over 55 sources; closeness to the source in characters picks the better one 53.8 %
    of the time.
    """
    from parabench.scorers import divergence

    from parabench.contracts import BuildContext

    items = published("apty/apty_ranked.json", "apty")
    assert (len(items), len({item.cluster for item in items})) == (367, 55)
    assert {len(item.votes) for item in items} == {5}
    found = {
        row.column: row
        for row in scorer_agreement(divergence.build("", BuildContext()), items, 0, 200)
    }
    assert 1 - found["ned"].agreement["preference"].value == pytest.approx(0.538, abs=0.005)
