"""SARI against the original's published example and by hand; divergence by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from parabench.scorers import divergence, edits, sari

from parabench.contracts import BuildContext, Example
from tests.support.worlds import (
    EXAMPLES,
    SETTING,
    TEXTS,
    check_contract,
    examples,
    score,
    sentences,
)

SARI, DIVERGENCE = sari.build("", SETTING), divergence.build("", SETTING)

SPECIES = Example(
    "a",
    "About 95 species are currently accepted .",
    (
        "About 95 species are currently known .",
        "About 95 species are now accepted .",
        "95 species are now accepted .",
    ),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("About 95 you now get in .", 26.82782411698074),
        ("About 95 species are now agreed .", 58.89995423074248),
        ("About 95 species are currently agreed .", 50.71608864657479),
    ],
)
def test_sentence_sari_of_the_original(text, expected):
    """cocoxu/simplification, SARI.py, the example at its end; the values as in feralvam/easse,
    tests/test_sari.py.
    """
    assert score(SARI, [SPECIES], [text])["sari-sentence"] == pytest.approx(expected, abs=1e-9)


def test_corpus_sari_by_hand():
    """Source a b, text a c, reference a c: orders 1 and 2 hold 3 and 2 perfect operations of 12.

    Beside it a copy of x y with the reference x y, which only adds keeps: order 2 gets its third
    operation.
    """
    one, two = Example("1", "a b", ("a c",)), Example("2", "x y", ("x y",))
    assert score(SARI, [one], ["a c"])["sari"] == pytest.approx(100 * 5 / 12)
    assert score(SARI, [one, two], ["a c", "x y"])["sari"] == pytest.approx(100 * 6 / 12)


def test_corpus_sari_sums_counts_before_f1():
    """Adding c in one of two sentences that both want it: right 1, done 1, wanted 2, so F1 = 2/3,
    not (1 + 0) / 2.
    """
    wants = [Example(str(i), "a", ("a c",)) for i in range(2)]
    additions = 2 / 3 + 2 / 3  # orders 1 and 2; keeps are perfect at order 1; nothing is deleted
    assert score(SARI, wants, ["a c", "a"])["sari"] == pytest.approx(100 * (additions + 1) / 12)


@settings(max_examples=20)
@given(examples, sentences)
def test_order_of_references_changes_nothing(example, text):
    backwards = Example(example.id, example.source, example.references[::-1])
    assert score(SARI, [example], [text]) == pytest.approx(
        score(SARI, [backwards], [text]), abs=1e-9
    )


def test_a_reference_beats_source_and_garbage():
    example = [SPECIES]
    best = score(SARI, example, [SPECIES.references[1]])["sari"]
    assert best > max(
        score(SARI, example, [text])["sari"] for text in (SPECIES.source, "x y z", "")
    )


def test_divergence_by_hand():
    """Source "a b c d", text "a b x": 1/3 new words, 1/2 new pairs, 1/1 new triples; no order 4."""
    got = score(DIVERGENCE, [Example("a", "a b c d", ())], ["a b x"])
    assert got["pinc"] == pytest.approx(100 * (1 / 3 + 1 / 2 + 1) / 3)
    assert got["novelty1"] == pytest.approx(100 / 3)
    assert got["novelty2"] == pytest.approx(100 / 2)
    assert got["ned"] == pytest.approx(100 * 3 / 7)
    assert got["ned-words"] == pytest.approx(100 * 2 / 4)


def test_a_copy_has_not_moved_and_edits_alone_see_deletion():
    assert set(score(DIVERGENCE, EXAMPLES, [e.source for e in EXAMPLES]).values()) == {0.0}
    cut = score(DIVERGENCE, [Example("a", "a b c d", ())], ["a b"])
    assert cut["pinc"] == 0 < cut["ned"]
    empty = score(DIVERGENCE, [Example("a", "a b c d", ())], [""])
    assert (empty["pinc"], empty["ned"]) == (0, 100)


@pytest.mark.parametrize(
    ("source", "text", "expected"),
    [
        ("abcdefghij", "abcdefghij", -1.0),  # copy
        ("abcdefghij", "abcdefghiX", -1 + 0.1 * 1.35 / 0.35),  # one edit in ten
        ("abcdefghij", "abcdeXXXXX", 0.35),  # beyond gamma
        ("", "", -1.0),
        ("abc", "", 0.35),
    ],
)
def test_parascores_divergence_by_hand(source, text, expected):
    """Shen et al. 2022: g if d >= g else -1 + d (g + 1) / g, with g = .35."""
    assert edits.divergence(source, text, 0.35) == pytest.approx(expected)


@pytest.mark.parametrize(
    "scorer", [SARI, DIVERGENCE, divergence.build("", BuildContext(options={"tokenize": "none"}))]
)
def test_contract(scorer):
    check_contract(scorer)
    assert score(scorer, EXAMPLES, TEXTS)
