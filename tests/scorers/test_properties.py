"""What every column that needs no model promises, whatever it is given."""

from __future__ import annotations

import re
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parabench import registry
from parabench.contracts import Example
from tests.support.worlds import SETTING, examples, sentences, words

CHEAP = [
    registry.plugin_builder("scorer", name)("", SETTING)
    for name in ("bleu", "chrf", "ter", "rouge", "sari", "ibleu", "divergence", "side")
]
LONG = " ".join(f"w{number % 97}" for number in range(2600))[:10_000]
EXTREME = ("", "word", "🙂🙂", "日本語の文。", LONG, "x" * 10_000)
TIED = re.compile(r"rouge\w+-[pr]")
"""Of references with the same F, rouge-score takes the first one's precision and recall."""

long_enough = st.lists(words, min_size=4, max_size=9).map(" ".join)
whole = st.builds(
    Example, st.just("x"), long_enough, st.lists(long_enough, min_size=1, max_size=3).map(tuple)
)
"""Of four words and more: BLEU counts sequences of four, and has nothing to count in a shorter
text.
"""


def of(scorer, source, references, text):
    return scorer.combine(scorer.measure([Example("x", source, tuple(references))], [text]))


@settings(max_examples=25, deadline=None)
@given(examples, sentences, st.randoms(use_true_random=False))
def test_the_order_of_references_changes_nothing(example, text, random):
    turned = random.sample(example.references, len(example.references))
    for scorer in CHEAP:
        here, there = (
            of(scorer, example.source, some, text) for some in (example.references, turned)
        )
        fixed = [not TIED.fullmatch(column.name) for column in scorer.columns]
        np.testing.assert_allclose(
            here[fixed], there[fixed], rtol=1e-12, err_msg=scorer.signature.name
        )


@settings(max_examples=25, deadline=None)
@given(whole, sentences)
def test_nothing_is_likelier_than_the_reference_itself(example, text):
    """Score(h, [h]) is maximal, for every column that reads references alone."""
    reference = example.references[0]
    for scorer in CHEAP:
        same, other = (
            of(scorer, example.source, [reference], answer) for answer in (reference, text)
        )
        for column, best, value in zip(scorer.columns, same, other, strict=True):
            if column.against == "reference":
                sign = -1 if column.better == "down" else 1
                assert np.isnan(value) or sign * value <= sign * best + 1e-9, column.name


@settings(max_examples=25, deadline=None)
@given(whole, sentences)
def test_nothing_diverges_less_than_a_copy(example, text):
    """Every column that rewards divergence from the source is at its worst for the source
    itself.
    """
    for scorer in CHEAP:
        copy, other = (
            of(scorer, example.source, example.references, answer)
            for answer in (example.source, text)
        )
        for column, worst, value in zip(scorer.columns, copy, other, strict=True):
            if column.against == "source" and column.better != "none":
                sign = -1 if column.better == "down" else 1
                assert sign * worst <= sign * value + 1e-9, column.name


@pytest.mark.parametrize("scorer", CHEAP, ids=lambda scorer: scorer.signature.name)
def test_extreme_texts_are_defined_in_every_place(scorer):
    """No error and no infinity, in the same shape; with an ordinary source and reference also no
    gap.
    """
    for text in EXTREME:
        assert np.isfinite(of(scorer, "a b c d", ["a b d e"], text)).all(), text[:9]
    places = [(one, "a b d", other) for one, other in product(EXTREME, EXTREME)]
    for source, reference, text in [*places, *((a, b, c) for b, a, c in places)]:
        values = of(scorer, source, [reference], text)
        assert values.shape == (len(scorer.columns),)
        assert not np.isinf(values).any(), (source[:9], reference[:9], text[:9])
