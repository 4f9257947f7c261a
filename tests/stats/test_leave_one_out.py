"""Each reference left out in turn, against sacrebleu on the pooled corpus and against turns written
out by hand.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from parabench.scorers import bleu, divergence, ibleu, rouge, ter
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.ter import TER

from parabench.contracts import BuildContext, Example, UserError
from parabench.stats import leave_one_out

EXAMPLES = (
    Example(
        "a",
        "the cat sat on the mat",
        ("a cat sat on the mat", "the cat sat on the mat today", "on the mat sat a cat"),
    ),
    Example(
        "b",
        "prices rose again last week",
        ("last week prices rose again", "prices went up", "prices rose anew"),
    ),
    Example(
        "c", "nobody knew why", ("no one knew why", "nobody knew the reason", "why was not known")
    ),
)
COPY = [[example.source] for example in EXAMPLES]
HUMAN = [list(example.references) for example in EXAMPLES]


def pooled(texts):
    """All turns of all examples as one corpus: texts, and the remaining references as sacrebleu
    takes them.
    """
    rows = [
        (several[turn % len(several)], example.references[:turn] + example.references[turn + 1 :])
        for example, several in zip(EXAMPLES, texts, strict=True)
        for turn in range(3)
    ]
    return [text for text, _ in rows], list(
        zip(*(references for _, references in rows), strict=True)
    )


@pytest.mark.parametrize("texts", [COPY, HUMAN], ids=["copy", "human"])
@pytest.mark.parametrize(("module", "outside"), [(bleu, BLEU()), (ter, TER())], ids=["bleu", "ter"])
def test_the_mean_over_turns_is_sacrebleus_pooled_corpus(texts, module, outside):
    """Brevity penalty included: the copy of c is shorter than its references, the people's texts
    vary in length.
    """
    scorer = module.build("", BuildContext())
    found = scorer.combine(leave_one_out.measure_leave_one_out(scorer, EXAMPLES, texts))
    assert found[0] == pytest.approx(outside.corpus_score(*pooled(texts)).score, abs=1e-9)


def test_smoothing_sees_one_corpus_and_not_one_for_each_turn():
    """No 4-gram matches: sacrebleu smooths 1 / (2 x 4-grams), those of one turn and not of
    three.
    """
    lonely = [
        Example(
            "a", "s", ("one two three four five", "one two three x five", "one two three y five")
        )
    ]
    scorer, text = bleu.build("", BuildContext()), "one two three z five"
    once = BLEU().corpus_score([text], [["one two three x five"], ["one two three y five"]]).score
    assert scorer.combine(leave_one_out.measure_leave_one_out(scorer, lonely, [[text]]))[
        0
    ] == pytest.approx(once, abs=1e-9)


@pytest.mark.parametrize(
    "scorer",
    [rouge.build("", BuildContext()), ibleu.build("", BuildContext())],
    ids=["rouge", "ibleu"],
)
def test_statistics_are_the_mean_of_every_turn_by_itself(scorer):
    singly = []
    for turn in range(3):
        rest = [
            replace(e, references=e.references[:turn] + e.references[turn + 1 :]) for e in EXAMPLES
        ]
        singly.append(scorer.measure(rest, [texts[turn] for texts in HUMAN]))
    np.testing.assert_allclose(
        leave_one_out.measure_leave_one_out(scorer, EXAMPLES, HUMAN),
        np.mean(singly, axis=0),
        atol=1e-12,
    )


class Counting:
    """A scorer that remembers what it was asked."""

    def __init__(self, scorer, rows=None):
        self.scorer, self.rows, self.asked = scorer, rows, []
        self.columns, self.signature = scorer.columns, scorer.signature

    def measure(self, examples, texts):
        self.asked.append(list(zip(examples, texts, strict=True)))
        return self.scorer.measure(examples, texts)[: self.rows]


def test_all_turns_are_one_call_without_own_sentences():
    counting = Counting(bleu.build("", BuildContext()))
    leave_one_out.measure_leave_one_out(counting, EXAMPLES, HUMAN)
    (asked,) = counting.asked
    assert len(asked) == 9
    assert all(
        text not in example.references and len(example.references) == 2 for example, text in asked
    )


def test_a_scorer_of_source_and_output_is_asked_once_a_text():
    counting = Counting(divergence.build("", BuildContext()))
    leave_one_out.measure_leave_one_out(counting, EXAMPLES, COPY)
    leave_one_out.measure_leave_one_out(counting, EXAMPLES, HUMAN)
    assert [len(asked) for asked in counting.asked] == [3, 9]


def test_with_one_reference_there_are_no_turns():
    single = [replace(example, references=example.references[:1]) for example in EXAMPLES]
    scorer = bleu.build("", BuildContext())
    expected = scorer.measure(single, [example.source for example in single])
    np.testing.assert_array_equal(
        leave_one_out.measure_leave_one_out(scorer, single, COPY), expected
    )
    assert str(leave_one_out.protocol_signature(1)) == "turns|references:1|left-out:none"


def test_an_array_of_the_wrong_length_is_refused():
    with pytest.raises(UserError, match="9 examples"):
        leave_one_out.measure_leave_one_out(
            Counting(bleu.build("", BuildContext()), rows=2), EXAMPLES, HUMAN
        )


def test_a_text_that_equals_a_reference_gets_what_the_human_gets():
    """The twin is out in every turn: not one turn without it and two against it."""
    scorer = bleu.build("", BuildContext())
    example = Example(
        "a",
        "a b c d e",
        ("one two three four five", "one two six four nine ten", "one seven three four five"),
    )
    leaked = leave_one_out.measure_leave_one_out(
        scorer, [example], [["One two six, four nine TEN!"]]
    )
    turn = leave_one_out.without_reference(example, 1)
    alone = scorer.measure([turn], ["One two six, four nine TEN!"])
    np.testing.assert_allclose(leaked, alone)
    assert turn.left_out == "one two six four nine ten"
    assert turn.references == example.references[::2]
