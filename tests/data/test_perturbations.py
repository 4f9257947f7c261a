"""Each edit on sentences written for it, with the exact text that must come out, or none."""

from __future__ import annotations

import random

import pytest

from parabench.data import perturbations


@pytest.mark.parametrize(
    ("edit", "text", "expected"),
    [
        ("negation", "The shop is open on Sundays.", "The shop is not open on Sundays."),
        ("negation", "She isn't coming.", "She is coming."),
        ("negation", "Do not open the lid.", "Do open the lid."),
        ("negation", "You can't miss it.", "You can miss it."),
        ("negation", "They cannot swim.", "They can swim."),
        ("negation", "He was not there and is not here.", "He was there and is not here."),
        ("negation", "There is nothing left.", None),  # denied already
        ("negation", "Only then should the door be shut.", None),
        ("negation", "You are coming, aren't you?", None),
        ("negation", "Bees dance.", None),
        ("number", "It lost 3.5 million in 2019.", "It lost 6.5 million in 2019."),
        ("number", "In 1998 it rained.", "In 2001 it rained."),
        ("number", "There were 9,998 of them.", "There were 10,001 of them."),
        ("number", "Seventeen men and 4 dogs.", "Fourteen men and 4 dogs."),
        ("number", "They wrote thirty-two letters.", "They wrote sixty-two letters."),
        ("number", "Come on the 14th, all of you.", None),
        ("number", "One of us must go.", None),
        ("entity", "The train left Marbeck on Friday.", "The train left {} on Friday."),
        ("entity", "They met in Oslo, and Oslo was cold.", "They met in {}, and {} was cold."),
        ("entity", "We close on Friday.", "We close on Monday."),
        ("entity", "We close on Sundays.", "We close on Wednesdays."),
        ("entity", "It froze in November.", "It froze in February."),
        (
            "entity",
            "Ruth left. She was tired.",
            None,
        ),  # a capital at the start of a sentence proves nothing
        ("roles", "Yesterday Ruth phoned Clare.", "Yesterday Clare phoned Ruth."),
        ("roles", "The dog that bit a man was old.", "A man that bit the dog was old."),
        ("roles", "The salt and the pepper.", None),
        ("roles", "The lot of the man.", None),
        ("roles", "Did the dog or did the man, in the end, run?", None),
        ("order", "A red fox sees the brown bear.", "A red fox sees the bear brown."),
        ("order", "I saw a cat.", None),
        ("contraction", "I'm sure it is not late.", "I am sure it is not late."),
        ("contraction", "She isn't here.", "She is not here."),
        ("contraction", "Do not touch it.", "Don't touch it."),
        ("contraction", "Isn't it late?", None),
        ("contraction", "Bees dance.", None),
        ("full-stop", "Bees dance.", "Bees dance"),
        ("full-stop", "bees dance", "bees dance."),
        ("full-stop", "Bees dance!", None),
        ("full-stop", "Bees dance...", None),
    ],
)
def test_every_edit_writes_exactly_this(edit, text, expected):
    rule = next(one for one in perturbations.PERTURBATIONS if one.name == edit)
    found = rule.edit(text, random.Random(0))
    if expected is None or "{}" not in expected:
        assert found == expected
    else:
        assert found in {expected.replace("{}", name) for name in perturbations.NEW_NAMES}


def test_the_same_seed_gives_the_same_edits():
    text = "Many small green birds never leave these quiet woods near Marbeck."
    for rule in perturbations.PERTURBATIONS:
        assert rule.edit(text, random.Random(3)) == rule.edit(text, random.Random(3))
    assert len({perturbations.order(text, random.Random(seed)) for seed in range(20)}) > 1


def test_a_new_name_is_not_one_that_stands_there_already():
    text = f"We drove from {' to '.join(perturbations.NEW_NAMES[:-1])}."
    assert perturbations.entity(text, random.Random(0)) == text.replace(
        perturbations.NEW_NAMES[0], perturbations.NEW_NAMES[-1]
    )
