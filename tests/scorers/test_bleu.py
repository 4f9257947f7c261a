"""BLEU and iBLEU against sacrebleu itself, on ragged references, and what must never depend on
their order.
"""

from __future__ import annotations

import random

import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st
from parabench.scorers import bleu, ibleu

from parabench.contracts import BuildContext, Example, UserError
from tests.support.worlds import (
    EXAMPLES,
    SETTING,
    TEXTS,
    check_contract,
    examples,
    score,
    sentences,
)


def sacrebleu_score(examples, texts) -> float:
    """Sacrebleu's corpus_score takes references by stream, None where an example has fewer."""
    width = max(len(example.references) for example in examples)
    streams = [
        [e.references[i] if i < len(e.references) else None for e in examples] for i in range(width)
    ]
    return sacrebleu.BLEU().corpus_score(list(texts), streams).score


def test_equals_sacrebleu_on_ragged_references():
    assert len({len(example.references) for example in EXAMPLES}) > 1
    assert score(bleu.build("", SETTING))["bleu"] == pytest.approx(
        sacrebleu_score(EXAMPLES, TEXTS), abs=1e-9
    )


@settings(max_examples=60)
@given(st.lists(st.tuples(examples, sentences), min_size=1, max_size=5))
def test_equals_sacrebleu_on_any_text(pairs):
    """Orders without a match, texts shorter than four words: smoothing as sacrebleu does it."""
    some, texts = zip(*pairs, strict=True)
    assert score(bleu.build("", SETTING), some, texts)["bleu"] == pytest.approx(
        sacrebleu_score(some, texts), abs=1e-9
    )


def test_published_example_of_sacrebleu():
    """mjpost/sacrebleu README, "Using SacreBLEU from Python": refs and sys there, 48.530827 (as
    printed).
    """
    refs = [
        ["The dog bit the man.", "It was not unexpected.", "The man bit him first."],
        ["The dog had bit the man.", "No one was surprised.", "The man had bitten the dog."],
    ]
    texts = ["The dog bit the man.", "It wasn't surprising.", "The man had just bitten him."]
    some = [Example(str(i), "", references) for i, references in enumerate(zip(*refs, strict=True))]
    assert round(score(bleu.build("", SETTING), some, texts)["bleu"], 2) == 48.53


@settings(max_examples=30)
@given(examples, sentences, st.randoms(use_true_random=False))
def test_order_of_references_changes_nothing(example: Example, text: str, rng: random.Random):
    shuffled = Example(
        example.id, example.source, tuple(rng.sample(example.references, len(example.references)))
    )
    for scorer in (bleu.build("", SETTING), ibleu.build("", SETTING)):
        assert (scorer.measure([example], [text]) == scorer.measure([shuffled], [text])).all()


def test_identity_is_maximal_and_swapping_is_noticed():
    scorer = bleu.build("", SETTING)
    assert score(scorer, EXAMPLES[:3], [e.references[0] for e in EXAMPLES[:3]])[
        "bleu"
    ] == pytest.approx(100)
    one = Example("a", "", ("the cat sat on the mat today",))
    other = Example("a", "", ("the cat sat on the mat",))
    assert (
        score(scorer, [one], other.references)["bleu"]
        != score(scorer, [other], one.references)["bleu"]
    )


def test_ibleu_is_the_weighted_difference():
    against_source = [Example(e.id, "", (e.source,)) for e in EXAMPLES]
    near, copied = sacrebleu_score(EXAMPLES, TEXTS), sacrebleu_score(against_source, TEXTS)
    got = score(ibleu.build("", SETTING))
    assert got == pytest.approx({"ibleu": 0.8 * near - 0.2 * copied, "src_bleu": copied}, abs=1e-9)
    assert score(ibleu.build("0.7", SETTING)) == pytest.approx(
        {"ibleu-0.7": 0.7 * near - 0.3 * copied}, abs=1e-9
    )


def test_columns_say_what_they_read():
    assert [column.against for column in ibleu.build("", SETTING).columns] == ["both", "source"]
    assert [column.against for column in bleu.build("", SETTING).columns] == ["reference"]


def test_signature_is_sacrebleus():
    version = sacrebleu.__version__
    expected = f"bleu|nrefs:var|case:mixed|eff:no|tok:13a|smooth:exp|version:{version}"
    assert str(bleu.build("", SETTING).signature) == expected
    assert "case:lc" in str(bleu.build("", BuildContext(options={"lowercase": True})).signature)


@pytest.mark.parametrize(
    "scorer", [bleu.build("", SETTING), ibleu.build("", SETTING), ibleu.build("0.9", SETTING)]
)
def test_contract(scorer):
    check_contract(scorer)


@pytest.mark.parametrize(
    ("build", "variant", "options"),
    [
        (bleu.build, "7", {}),
        (bleu.build, "", {"tokenise": "13a"}),
        (bleu.build, "", {"tokenize": "spm"}),
        (bleu.build, "", {"lowercase": "yes"}),
        (ibleu.build, "eight", {}),
        (ibleu.build, "1.5", {}),
    ],
)
def test_wrong_requests_are_refused(build, variant, options):
    with pytest.raises(UserError):
        build(variant, BuildContext(options=options))


def test_an_example_without_references_is_refused():
    with pytest.raises(UserError, match="no references"):
        bleu.build("", SETTING).measure([Example("lonely", "s", ())], ["t"])
