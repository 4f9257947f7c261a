"""ROUGE against rouge-score called by itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parabench.scorers import rouge
from parabench.scorers.segment import split_sentences
from parabench.scorers.summary_rouge import summary_hits
from rouge_score import rouge_scorer
from rouge_score.rouge_scorer import RougeScorer

from parabench.contracts import Example
from tests.support.worlds import (
    EXAMPLES,
    SETTING,
    TEXTS,
    check_contract,
    examples,
    score,
    sentences,
)

SCORER = rouge.build("", SETTING)


def test_equals_rouge_score():
    """rouge-score 0.1.2, one pair at a time; on one-sentence texts Lsum needs no splitting."""
    some, texts = EXAMPLES[:2], TEXTS[:2]
    alone = RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"])
    got = score(SCORER, some, texts)
    for kind in alone.rouge_types:
        best = [
            max((alone.score(r, text)[kind] for r in e.references), key=lambda s: s.fmeasure)
            for e, text in zip(some, texts, strict=True)
        ]
        precision, recall, fmeasure = 100 * np.mean(best, axis=0)
        assert got[kind] == pytest.approx(fmeasure, abs=1e-9)
        assert got[f"{kind}-p"] == pytest.approx(precision, abs=1e-9)
        assert got[f"{kind}-r"] == pytest.approx(recall, abs=1e-9)


def test_lsum_reads_sentences():
    """The same two sentences in the other order: union LCS finds all words, plain LCS one sentence
    (Lin 2004, 3.2).
    """
    example = Example("a", "", ("The sun shone. Play went on.",))
    got = score(SCORER, [example], ["Play went on. The sun shone."])
    assert got["rougeLsum"] == pytest.approx(100)
    assert got["rougeL"] == pytest.approx(50)


_several = st.lists(st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=6), max_size=4)


@settings(max_examples=60)
@given(_several, _several)
def test_summary_hits_are_rouge_scores(references, texts):
    expected = rouge_scorer._summary_level_lcs(references, texts)
    hits = summary_hits(references, texts)
    assert hits / max(1, sum(map(len, references))) == expected.recall
    assert hits / max(1, sum(map(len, texts))) == expected.precision


@settings(max_examples=20)
@given(examples, sentences)
def test_order_of_references_changes_no_f(example, text):
    backwards = Example(example.id, example.source, example.references[::-1])
    forwards, turned = score(SCORER, [example], [text]), score(SCORER, [backwards], [text])
    for kind in rouge.ROUGE_KINDS:
        np.testing.assert_equal(forwards[kind], turned[kind])


def test_identity_is_maximal_and_swaps_exchange_p_and_r():
    assert score(SCORER, EXAMPLES, [e.references[-1] for e in EXAMPLES])["rougeL"] == pytest.approx(
        100
    )
    one, other = "the cat sat on the mat today", "the cat sat"
    there = score(SCORER, [Example("a", "", (one,))], [other])
    back = score(SCORER, [Example("a", "", (other,))], [one])
    assert there["rouge1-p"] == back["rouge1-r"] != back["rouge1-p"]


def test_a_reference_rouge_cannot_read_is_undefined_not_zero():
    unread = Example("j", "", ("日本語の文。",))
    assert np.isnan(score(SCORER, [unread], ["日本語の文。"])["rouge1"])
    both = score(SCORER, [unread, EXAMPLES[0]], ["x", TEXTS[0]])
    assert both == score(SCORER, EXAMPLES[:1], TEXTS[:1])


def test_contract():
    check_contract(SCORER)
    assert all(column.against == "reference" for column in SCORER.columns)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mr. Smith left. He ran!", ["Mr. Smith left.", "He ran!"]),
        ('He said "no." Then he left.', ['He said "no."', "Then he left."]),
        ("It cost 3.5 pounds", ["It cost 3.5 pounds"]),
        ("one\n\ntwo", ["one", "two"]),
        ("", []),
    ],
)
def test_sentences(text, expected):
    assert split_sentences(text) == expected


def test_sentences_are_quick_on_long_text():
    assert len(split_sentences("A. " * 20_000)) == 1
