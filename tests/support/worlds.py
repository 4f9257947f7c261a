"""Small data that several scorer tests share: ragged references, odd texts, hypothesis
strategies.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from parabench.contracts import BuildContext, Example, Scorer

REWORDED = (
    Example(
        "a",
        "The old man walked slowly to the harbour.",
        (
            "Slowly, the aged man made his way to the port.",
            "The elderly man made his way to the port at a slow pace.",
            "To the port the old fellow went, taking his time about it.",
        ),
    ),
    Example(
        "b",
        "Prices rose again last week, the bank said.",
        (
            "According to the bank, prices went up once more last week.",
            "The bank reported that prices went up once more in the past week.",
            "Last week brought another rise, according to the bank.",
        ),
    ),
)
"""Each with three references that are far from the source and near to one another."""

EXAMPLES = (
    Example(
        "a", "The cat sat on the mat.", ("A cat was sitting on the mat.", "On the mat sat the cat.")
    ),
    Example(
        "b",
        "He bought 3 old books yesterday, I think.",
        ("I think that he bought three old books yesterday.",),
    ),
    Example(
        "c",
        "Rain stopped play for an hour. Then the sun came out.",
        (
            "Play was halted for an hour by rain. The sun came out afterwards.",
            "For one hour rain held up play, and then the sun shone.",
            "An hour was lost to rain. Later it was sunny.",
        ),
    ),
    Example("d", "Prices rose.", ("Prices went up.", "There was a rise in prices.")),
)
TEXTS = (
    "The cat was on the mat.",
    "He bought three old books yesterday, I think.",
    "Rain halted play for an hour. Then the sun came out.",
    "Prices went up.",
)
ODD = ("", " ", "word", "🙂🙂", "日本語の文。", "a|b:c%\n\td", "x " * 5000, "...", "\u200b")

words = st.sampled_from(
    [
        "the",
        "a",
        "cat",
        "dog",
        "sat",
        "ran",
        "on",
        "mat",
        "red",
        "old",
        "and",
        "then",
        "Prices",
        "rose",
        "3",
        ".",
        ",",
        "!",
    ]
)
sentences = st.lists(words, min_size=1, max_size=9).map(" ".join)
examples = st.builds(
    Example, st.just("x"), sentences, st.lists(sentences, min_size=1, max_size=4).map(tuple)
)


def score(scorer: Scorer, examples=EXAMPLES, texts=TEXTS) -> dict[str, float]:
    """Measure and combine, by column name."""
    values = scorer.combine(scorer.measure(examples, texts))
    return dict(zip((column.name for column in scorer.columns), values.tolist(), strict=True))


def check_contract(scorer: Scorer) -> None:
    """What every scorer promises: shapes, a pure combine, additive where it says so, odd input
    defined.
    """
    statistics = scorer.measure(EXAMPLES, TEXTS)
    assert statistics.shape[0] == len(EXAMPLES)
    values = scorer.combine(statistics)
    assert values.shape == (len(scorer.columns),)
    np.testing.assert_array_equal(values, scorer.combine(statistics.copy()))
    if getattr(scorer.combine, "additive", False):
        whole = statistics.sum(axis=0, keepdims=True)
        np.testing.assert_allclose(scorer.combine(whole), values, rtol=1e-12)
        pair = np.stack([whole, 2 * whole])
        assert scorer.combine(pair).shape == (2, len(scorer.columns))
    for text in ODD:
        odd = scorer.measure(EXAMPLES[:1], [text])
        assert not np.isnan(odd).any(), text
        assert not np.isinf(scorer.combine(odd)).any(), text
    assert type(scorer.signature).parse(str(scorer.signature)) == scorer.signature


SETTING = BuildContext()
