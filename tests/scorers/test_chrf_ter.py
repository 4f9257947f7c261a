"""chrF, chrF++ and TER against sacrebleu's own corpus scores."""

from __future__ import annotations

import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st
from parabench.scorers import chrf, ter

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

CHRF, TER = chrf.build("", SETTING), ter.build("", SETTING)


def outside(metric, some, texts) -> float:
    """Sacrebleu's corpus_score takes references by stream, None where an example has fewer."""
    width = max(len(example.references) for example in some)
    streams = [
        [e.references[i] if i < len(e.references) else None for e in some] for i in range(width)
    ]
    return metric.corpus_score(list(texts), streams).score


@settings(max_examples=40)
@given(st.lists(st.tuples(examples, sentences), min_size=1, max_size=4))
def test_equal_sacrebleu_on_ragged_references(pairs):
    some, texts = zip(*pairs, strict=True)
    got = score(CHRF, some, texts)
    assert got["chrf"] == pytest.approx(outside(sacrebleu.CHRF(), some, texts), abs=1e-9)
    assert got["chrf++"] == pytest.approx(
        outside(sacrebleu.CHRF(word_order=2), some, texts), abs=1e-9
    )
    assert score(TER, some, texts)["ter"] == pytest.approx(
        outside(sacrebleu.TER(), some, texts), abs=1e-9
    )


def test_identity_and_direction():
    same = [e.references[0] for e in EXAMPLES]
    assert score(CHRF, EXAMPLES, same) == pytest.approx({"chrf": 100, "chrf++": 100})
    assert score(TER, EXAMPLES, same)["ter"] == 0
    long, short = "the cat sat on the mat", "the cat sat"
    for scorer in (CHRF, TER):
        there = score(scorer, [Example("a", "", (long,))], [short])
        assert there != score(scorer, [Example("a", "", (short,))], [long])
    assert TER.columns[0].better == "down"


def test_signatures_are_sacrebleus():
    assert str(CHRF.signature).startswith(
        "chrf|nrefs:var|case:mixed|eff:yes|nc:6|nw:0,2|space:no|version:"
    )
    assert str(TER.signature).startswith(
        "ter|nrefs:var|case:lc|tok:tercom|norm:no|punct:yes|asian:no|version:"
    )
    assert "case:lc" in str(chrf.build("", BuildContext(options={"lowercase": True})).signature)


@pytest.mark.parametrize("scorer", [CHRF, TER])
def test_contract(scorer):
    check_contract(scorer)
    assert score(scorer, EXAMPLES, TEXTS)
