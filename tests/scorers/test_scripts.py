"""ROUGE outside a to z: undefined with its reason, or by an own tokenizer of rouge-score's kind."""

from __future__ import annotations

import numpy as np
import pytest
from parabench.scorers import rouge
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import Tokenizer

from parabench.contracts import BuildContext, Example, UserError

NUMBER_ALONE = [
    ("私は3匹の猫を飼う", "空は3色だ"),
    ("у меня 3 кота", "небо 3 цвета"),
    ("3 γάτες", "3 χρώματα"),
]


def build(**options):
    return rouge.build("", BuildContext(options=options))


@pytest.mark.parametrize(("reference", "text"), NUMBER_ALONE)
def test_a_shared_number_is_no_score(reference, text):
    example = Example("a", "s", (reference,))
    values = build().combine(build().measure([example], [text]))
    assert np.isnan(values).all()
    assert "half of its letters" in build().why(example, text)


def test_accents_alone_leave_a_reference_readable():
    example = Example("a", "s", ("Le café était fermé hier soir.",))
    expected = RougeScorer(["rouge1"]).score(example.references[0], "Le café est fermé")
    found = build().combine(build().measure([example], ["Le café est fermé"]))
    assert found[0] == pytest.approx(100 * expected["rouge1"].fmeasure)


class Plugged(Tokenizer):
    """Our words as rouge-score's own plug takes them."""

    def tokenize(self, text):
        return rouge.unicode_words(text)


@pytest.mark.parametrize(("reference", "text"), NUMBER_ALONE)
def test_unicode_words_fit_rouge_scores_own_plug(reference, text):
    theirs = RougeScorer(["rouge1", "rougeL"], tokenizer=Plugged())
    expected = theirs.score(reference, text)
    ours = build(tokenizer="unicode")
    found = ours.combine(ours.measure([Example("a", "s", (reference,))], [text]))
    assert found[0] == pytest.approx(100 * expected["rouge1"].fmeasure)
    assert 0 < found[0] < 100
    assert found[2] == pytest.approx(100 * expected["rougeL"].fmeasure)
    assert dict(ours.signature.items)["tok"] == "unicode"


def test_an_unknown_tokenizer_is_refused():
    with pytest.raises(UserError, match="unicode"):
        build(tokenizer="words")
