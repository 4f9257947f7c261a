"""Labels, short answers, intents and slots, against SQuAD's official script and plain formulas."""

from __future__ import annotations

import collections
import random
import re
import string

import numpy as np
import pytest

from parabench import registry
from parabench.contracts import Example, UserError
from parabench.stats.resampling import interval
from tests.support.worlds import SETTING


def scorer(name: str):
    return registry.plugin_builder("scorer", name)("", SETTING)


def examples(*references):
    return [
        Example(str(number), "source", (one,) if isinstance(one, str) else tuple(one))
        for number, one in enumerate(references)
    ]


def columns(name, references, texts):
    made = scorer(name)
    values = made.combine(made.measure(examples(*references), texts))
    return {column.name: value for column, value in zip(made.columns, values, strict=True)}


# --- SQuAD's official evaluate-v2.0.py, its functions as published -------------------------------


def official_normalize(s):
    def remove_articles(text):
        regex = re.compile(r"\b(a|an|the)\b", re.UNICODE)
        return re.sub(regex, " ", text)

    def white_space_fix(text):
        return " ".join(text.split())

    def remove_punc(text):
        exclude = set(string.punctuation)
        return "".join(ch for ch in text if ch not in exclude)

    return white_space_fix(remove_articles(remove_punc(s.lower())))


def official_f1(a_gold, a_pred):
    gold_toks = official_normalize(a_gold).split() if a_gold else []
    pred_toks = official_normalize(a_pred).split() if a_pred else []
    common = collections.Counter(gold_toks) & collections.Counter(pred_toks)
    num_same = sum(common.values())
    if len(gold_toks) == 0 or len(pred_toks) == 0:
        return int(gold_toks == pred_toks)
    if num_same == 0:
        return 0
    precision = 1.0 * num_same / len(pred_toks)
    recall = 1.0 * num_same / len(gold_toks)
    return (2 * precision * recall) / (precision + recall)


WORDS = (
    "the",
    "a",
    "An",
    "old",
    "Man's",
    "boat,",
    "boat",
    "U.S.",
    "1,998",
    "–",
    "naïve",
    "THE.",
    "",
)


def random_answer(draw):
    return " ".join(draw.choice(WORDS) for _ in range(draw.randrange(5)))


def test_exact_match_and_f1_are_the_official_scripts():
    draw = random.Random(0)
    references = [[random_answer(draw) for _ in range(draw.randrange(1, 4))] for _ in range(300)]
    texts = [random_answer(draw) for _ in references]
    exact = [
        max(int(official_normalize(gold) == official_normalize(text)) for gold in golds)
        for golds, text in zip(references, texts, strict=True)
    ]
    f1 = [
        max(official_f1(gold, text) for gold in golds)
        for golds, text in zip(references, texts, strict=True)
    ]
    found = columns("answers", references, texts)
    assert found["exact_match"] == pytest.approx(100 * np.mean(exact), abs=1e-9)
    assert found["token_f1"] == pytest.approx(100 * np.mean(f1), abs=1e-9)
    assert 5 < found["exact_match"] < found["token_f1"] < 95


def plain_macro_f1(right, given):
    """The formula of scikit-learn's user guide, 3.4.4.9, over the classes of the references."""
    scores = []
    for label in sorted(set(right)):
        pairs = list(zip(right, given, strict=True))
        hits = sum(a == b == label for a, b in pairs)
        false_alarms = sum(b == label != a for a, b in pairs)
        misses = sum(a == label != b for a, b in pairs)
        precision = hits / (hits + false_alarms) if hits + false_alarms else 0
        recall = hits / (hits + misses)
        scores.append(2 * precision * recall / (precision + recall) if hits else 0)
    return sum(scores) / len(scores)


def test_accuracy_and_macro_f1_are_the_plain_formulas():
    draw = random.Random(1)
    right = [draw.choice(["positive", "neutral", "negative"]) for _ in range(200)]
    given = [draw.choice([label, "positive", "neutral", "good!", ""]) for label in right]
    found = columns("labels", right, given)
    accuracy = sum(a == b for a, b in zip(right, given, strict=True)) / len(right)
    assert found["accuracy"] == pytest.approx(100 * accuracy)
    assert found["macro_f1"] == pytest.approx(100 * plain_macro_f1(right, given))


def test_labels_ignore_case_and_space_alone():
    found = columns("labels", [" positive", "neutral"], ["Positive\n", "neutral."])
    assert found["accuracy"] == 50


FRAMES = [
    "\nIntent: alarm_set\nSlots: time(seven am), date(today)",
    "\nIntent: play_music\nSlots: None",
    "\nIntent: weather_query\nSlots: place_name(rio, brazil)",
]


def test_perfect_frames_are_perfect():
    found = columns("intent-slot", FRAMES, [frame.strip() for frame in FRAMES])
    assert found == {"intent_accuracy": 100, "slot_f1": 100, "unparsed": 0}


def test_slots_count_by_name_and_words():
    texts = [
        "Intent: alarm_set\nSlots: time(seven am), time(today)",
        "Intent: alarm_set\nSlots: None",
        "I would say it is about the weather",
    ]
    found = columns("intent-slot", FRAMES, texts)
    assert found["intent_accuracy"] == pytest.approx(100 / 3)
    assert found["slot_f1"] == pytest.approx(100 * 2 * 1 / (2 + 3))
    assert found["unparsed"] == pytest.approx(100 / 3)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Intent: a",
        "Intent: a\nSlots:",
        "Intent: a\nSlots: time",
        "Intent: a\nSlots: time(x",
        "Intent: a\nSlots: time(x) and more",
        "Slots: None\nIntent: a",
    ],
)
def test_a_text_of_another_form_is_no_pass(text):
    found = columns("intent-slot", ["\nIntent: a\nSlots: None"], [text])
    assert (found["intent_accuracy"], found["unparsed"]) == (0, 100)
    assert np.isnan(found["slot_f1"])


def test_a_reference_of_another_form_is_refused():
    with pytest.raises(UserError, match="the reference 'alarm'"):
        columns("intent-slot", ["alarm"], ["alarm"])


@pytest.mark.parametrize("name", ["answers", "labels", "intent-slot"])
def test_rows_do_not_depend_on_their_neighbours(name):
    made, texts = scorer(name), [FRAMES[0], "x", ""]
    together = made.measure(examples(*FRAMES), texts)
    for place, text in enumerate(texts):
        alone = made.measure(examples(*FRAMES)[place : place + 1], [text])
        np.testing.assert_array_equal(together[place : place + 1], alone)
    with pytest.raises(UserError, match="no references"):
        made.measure([Example("x", "source", ())], ["y"])


@pytest.mark.parametrize("name", ["answers", "labels", "intent-slot"])
def test_an_interval_holds_its_value(name):
    """Additive or not, resampled rows are combined as rows are."""
    made, references = scorer(name), FRAMES * 20
    texts = [text if place % 3 else "x" for place, text in enumerate(references)]
    statistics = made.measure(examples(*references), texts)
    values = made.combine(statistics)
    low, high = interval(made.combine, statistics, seed=0)
    assert ((low <= values) & (values <= high)).all()
