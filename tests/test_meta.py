"""Scorers against people: published values on published judgments, the right call and a famous wrong one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from parabench import meta
from parabench.contracts import Column, Example, UserError
from parabench.data.judgments import Judged, Preference, read_judgments

DATA = Path(__file__).parents[1] / "../shared/data"


class Lengths:
    """A scorer of two columns, the number of characters with and against the grain."""

    columns = (Column("long", "up", "output"), Column("short", "down", "output"))

    def measure(self, examples, texts):
        return np.array([[len(text), -len(text)] for text in texts], dtype=float)

    def combine(self, statistics):
        return statistics.mean(axis=-2)


def judged(lengths, ratings, clusters):
    return [
        Judged(Example(str(i), c, ()), "x" * n, (r,), c)
        for i, (n, r, c) in enumerate(zip(lengths, ratings, clusters, strict=True))
    ]


def test_correlations_are_scipys():
    draw = np.random.default_rng(0)
    a, b = draw.normal(size=80), draw.integers(0, 5, 80).astype(float)
    found = meta.correlations(a, b, [str(i // 4) for i in range(80)], 0, 50)
    assert found["pearson"].value == pytest.approx(scipy.stats.pearsonr(a, b).statistic)
    assert found["spearman"].value == pytest.approx(scipy.stats.spearmanr(a, b).statistic)
    assert found["kendall"].value == pytest.approx(scipy.stats.kendalltau(a, b).statistic)
    assert all(estimate.low <= estimate.value <= estimate.high for estimate in found.values())


def test_within_sources_by_hand():
    """One source ordered as people do, one the other way round, one with a single item: mean of 1 and -1."""
    found = meta.against_people(Lengths(), judged([1, 2, 9, 8, 5], [1, 2, 1, 2, 3], ["a", "a", "b", "b", "c"]), 0, 50)
    assert [row.column for row in found] == ["long", "short"]
    assert found[0].agreement["kendall-within"].value == pytest.approx(0.0)
    assert (found[0].count, found[0].clusters) == (5, 3)


def test_a_column_where_lower_is_better_is_turned():
    found = meta.against_people(Lengths(), judged([1, 2, 3], [1, 2, 3], ["a", "b", "c"]), 0, 20)
    assert found[0].agreement["pearson"].value == pytest.approx(1)
    assert found[1].agreement["pearson"].value == pytest.approx(1)


def test_preferences_are_a_share_and_ties_count_half():
    pairs = [("xx", "x"), ("x", "xx"), ("x", "x"), ("xxx", "x")]
    items = [Preference(Example(str(i), "s", ()), c, r, str(i)) for i, (c, r) in enumerate(pairs)]
    estimate = meta.against_people(Lengths(), items, 0, 200)[0].agreement["preference"]
    assert estimate.value == pytest.approx(2.5 / 4)
    assert 0 <= estimate.low < estimate.high <= 1


def test_williams():
    """R package psych, r.test(n = 103, r12 = .4, r13 = .5, r23 = .1): t value -0.89 with probability < 0.37."""
    t, p = meta.williams(0.4, 0.5, 0.1, 103)
    assert (round(t, 2), round(p, 2)) == (-0.89, 0.37)


def test_swap_test_sees_a_better_column_and_no_other():
    draw = np.random.default_rng(1)
    people = draw.normal(size=120)
    clusters = [str(i // 3) for i in range(120)]
    good, bad, same = people + draw.normal(size=120), draw.normal(size=120), people + draw.normal(size=120)
    assert meta.swap_test(good, bad, people, clusters, 0, 500) < 0.01
    assert meta.swap_test(good, same, people, clusters, 0, 500) > 0.05
    assert meta.swap_test(good, 3 * good + 7, people, clusters, 0, 500) == 1.0


def test_fleiss_kappa():
    """Fleiss 1971 as worked in the literature: ten subjects, fourteen raters, five categories, kappa .210."""
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
    assert meta.fleiss_kappa(counts) == pytest.approx(0.210, abs=5e-4)


def test_general_layout_and_its_refusals(tmp_path):
    file = tmp_path / "people.jsonl"
    file.write_text(
        '{"source": "a", "references": ["b"], "text": "c", "ratings": [1, 2]}\n'
        '{"source": "a", "chosen": "b", "rejected": "c", "cluster": "k"}\n'
    )
    first, second = read_judgments(file)
    assert (first.rating, first.cluster, first.example.references) == (1.5, "a", ("b",))
    assert (second.chosen, second.cluster) == ("b", "k")
    for content, layout in (("{}", "jsonl"), ('{"source": "a"', "jsonl"), ("", "jsonl"), ("[]", "strap"), ("x", "csv")):
        file.write_text(content)
        with pytest.raises(UserError):
            read_judgments(file, layout)
    with pytest.raises(UserError):
        read_judgments(tmp_path / "nowhere")


def published(name: str, layout: str):
    path = DATA / name
    if not path.exists():
        pytest.skip(f"needs ../shared/data/{name}")
    return read_judgments(path, layout)


@pytest.mark.slow
def test_twitter_para_right_and_wrong():
    """A published bug and its mend.

    Shen et al. 2022 print -0.118975 / -0.104483 for BLEU: sentence_bleu was handed a flat list of tokens, so every
    word was taken for a reference made of characters (shadowkiller33/ParaScore, upstream_log). Called as NLTK means it,
    the same metric on the same items agrees with people.
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
                sentence_bleu(wrap(tokens[i.example.references[0]]), tokens[i.text], smoothing_function=smooth)
                for i in test
            ]
        )
        for wrap in (lambda reference: [reference], lambda reference: reference)
    )
    assert meta.pearson(right, people) == pytest.approx(0.2354, abs=5e-5)
    assert meta.spearman(right, people) == pytest.approx(0.2443, abs=5e-5)
    assert meta.pearson(wrong, people) == pytest.approx(-0.11897535760158826, abs=1e-9)
    assert meta.spearman(wrong, people) == pytest.approx(-0.10448345909348869, abs=1e-9)


def test_twitter_para_by_our_own_columns():
    """Values for character NED and ParaScore's divergence term alone, both against the source."""
    from parabench.scorers.edits import divergence, normalised_edits

    items = published("parascore-benchmarks/twitter-para.jsonl", "twitter-para")
    test = items[len(items) // 10 :]
    people = np.array([item.rating for item in test])
    edits = np.array([normalised_edits(item.example.source, item.text) for item in test])
    term = np.array([divergence(item.example.source, item.text, 0.35) for item in test])
    assert [meta.pearson(edits, people), meta.spearman(edits, people)] == pytest.approx([-0.2262, -0.2015], abs=1e-4)
    assert [meta.pearson(term, people), meta.spearman(term, people)] == pytest.approx([-0.1232, -0.1457], abs=1e-4)


def test_strap_raters_agree_modestly():
    """Three raters a text: Fleiss' kappa 0.42 on whether the meaning was kept."""
    items = published("strap-mturk/judgments.tsv", "strap")
    assert len(items) == 1432
    kept = np.array([[sum(item.ratings), len(item.ratings) - sum(item.ratings)] for item in items], dtype=int)
    assert meta.fleiss_kappa(kept) == pytest.approx(0.42, abs=0.005)
    assert 0.3 < meta.rater_ceiling(items) < 0.7


def test_strap_correlations_of_the_columns():
    """Pearson with "meaning kept", overlap against the source: chrF .328, character similarity .215, DS -.157."""
    from parabench.scorers.edits import divergence, normalised_edits

    items = published("strap-mturk/judgments.tsv", "strap")
    people = np.array([item.rating for item in items])
    edits = np.array([-normalised_edits(item.example.source, item.text) for item in items])
    term = np.array([divergence(item.example.source, item.text, 0.35) for item in items])
    assert meta.pearson(edits, people) == pytest.approx(0.215, abs=0.001)
    assert meta.pearson(term, people) == pytest.approx(-0.157, abs=0.001)


def test_apty_preferences():
    """367 pairs over 55 sources; closeness to the source in characters picks the better one 53.8 % of the time."""
    from parabench.scorers import divergence

    from parabench.contracts import Setting

    items = published("apty/apty_ranked.json", "apty")
    assert (len(items), len({item.cluster for item in items})) == (367, 55)
    found = {row.column: row for row in meta.against_people(divergence.build("", Setting()), items, 0, 200)}
    assert 1 - found["ned"].agreement["preference"].value == pytest.approx(0.538, abs=0.005)
