"""Test sentences with one word changed: found in what is trained on, and in the record of it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from parabench.contracts import Example
from parabench.data import sketches
from parabench.data.filters import sentence_key
from parabench.data.leakage import TestSentences
from parabench.data.near_keys import are_near, near_keys, word_set
from parabench.data.specs import parse_corpora
from parabench.data.training_set import prepare_training_set

SENTENCE = """
    the a old young man woman sold bought boat house in on April Monday never often said that it's
    well-known rain fell all day long before after noon nobody answered letter wasn't 5 12
"""
WORDS = SENTENCE.split()
Change = Callable[[list[str], random.Random], list[str]]


def changed(words: list[str], draw: random.Random) -> list[str]:
    at = draw.randrange(len(words))
    return [*words[:at], "zebra", *words[at + 1 :]]


def dropped(words: list[str], draw: random.Random) -> list[str]:
    at = draw.randrange(len(words))
    return [*words[:at], *words[at + 1 :]]


def added(words: list[str], draw: random.Random) -> list[str]:
    at = draw.randrange(len(words) + 1)
    return [*words[:at], "zebra", *words[at:]]


def turned(words: list[str], draw: random.Random) -> list[str]:
    """One word changed, and all in another order, with another case and punctuation."""
    other = changed(words, draw)
    draw.shuffle(other)
    return [*[word.upper() for word in other[:-1]], f"{other[-1]}!"]


CHANGES = [changed, dropped, added, turned]


def sentences(count: int, seed: int) -> list[list[str]]:
    """Sentences of five to fourteen words, most of them different."""
    draw = random.Random(seed)
    return [draw.sample(WORDS, draw.randrange(5, 15)) for _ in range(count)]


@pytest.mark.parametrize("change", CHANGES)
def test_the_filter_finds_every_sentence_with_a_change(change: Change) -> None:
    draw = random.Random(1)
    plain = sentences(300, 0)
    test = TestSentences(" ".join(words) for words in plain)
    missed = [words for words in plain if not test.holds(" ".join(change(words, draw)))]
    assert not missed


@pytest.mark.parametrize("change", CHANGES)
def test_the_record_finds_every_sentence_with_a_change(tmp_path: Path, change: Change) -> None:
    draw = random.Random(1)
    plain = sentences(200, 0)
    trained = [(" ".join(change(words, draw)), "something else") for words in plain]
    sketches.write_sketch(tmp_path, trained, (), 0)
    examples = [Example(str(n), " ".join(words), ()) for n, words in enumerate(plain)]
    assert sketches.training_facts(tmp_path, examples)["seen"] == "200/200"


def test_keys_agree_with_the_sets_themselves() -> None:
    """Every pair of many sets: a common key where, and only where, they are near."""
    draw = random.Random(0)
    texts = [" ".join(draw.choices("abcdefghi", k=draw.randrange(1, 9))) for _ in range(250)]
    counts = {True: 0, False: 0}
    for one, two in product(texts[:120], texts[120:]):
        first, second = word_set(one), word_set(two)
        share = not set(near_keys(first)).isdisjoint(near_keys(second))
        # by definition, without a look at the program
        few = len(first ^ second) <= 2 and abs(len(first) - len(second)) <= 1
        expected = few and max(len(first), len(second)) >= 4
        if len(first) == len(second) == 3:
            continue  # equal keys where the sets are equal: the exact comparison finds these too
        assert share == expected == are_near(first, second), (one, two)
        counts[share] += 1
    assert min(counts.values()) > 100


def test_other_sentences_are_not_near() -> None:
    test = TestSentences(" ".join(words) for words in sentences(300, 0))
    found = [words for words in sentences(300, 7) if test.holds(" ".join(words))]
    assert len(found) < 10


@pytest.mark.parametrize(
    ("one", "two", "near"),
    [
        ("The man sold his boat.", "The man sold his house.", True),
        ("The man sold his boat.", "His boat the woman sold?", True),
        ("Nobody answered the letter.", "Nobody answered the old letter.", True),
        ("It's a well-known old house.", "It's a famous old house.", True),
        ("He wasn't at home yesterday.", "He stayed at home yesterday.", True),
        ("The man sold his boat.", "The woman sold his house.", False),
        ("It rained.", "It snowed.", False),
        ("It rained today.", "It snowed today.", False),
    ],
)
def test_what_is_near_by_example(one: str, two: str, near: bool) -> None:
    assert TestSentences([one]).holds(two) == near
    assert TestSentences([two]).holds(one) == near
    assert are_near(word_set(one), word_set(two)) == near


def test_training_is_cleared_of_changed_sentences(tmp_path: Path) -> None:
    draw = random.Random(3)
    plain = sentences(60, 0)
    path = tmp_path / "pairs.tsv"
    lines = []
    for number, words in enumerate(plain):
        lines.append(f"{' '.join(changed(words, draw))}\tparaphrase number {number} of it")
    path.write_text("\n".join([*lines, "quite another sentence here\tone more of another kind"]))
    examples = [Example(str(n), " ".join(words), ()) for n, words in enumerate(plain)]
    found = prepare_training_set(parse_corpora(f"tsv:{path}"), TestSentences.of(examples), 0, 0)
    assert found.removed == 60
    sketches.write_sketch(tmp_path, found.pairs, TestSentences.of(examples).keys, 0)
    assert sketches.training_facts(tmp_path, examples)["seen"] == "clean"


def test_a_promise_yields_to_what_is_found(tmp_path: Path) -> None:
    """The record lists the test as cleared, and its own keys hold some of it."""
    examples = [Example(str(n), " ".join(words), ()) for n, words in enumerate(sentences(20, 0))]
    cleared = [sentence_key(one.source) for one in examples]
    draw = random.Random(2)
    near = " ".join(changed(examples[1].source.split(), draw))
    for trained, seen in (([], "clean"), ([examples[0].source], "1/20"), ([near], "1/20")):
        sketches.write_sketch(tmp_path, [(text,) for text in trained], cleared, 0)
        assert sketches.training_facts(tmp_path, examples)["seen"] == seen
    both = [(examples[0].source,), (near,)]
    sketches.write_sketch(tmp_path, both, cleared, 0)
    assert sketches.training_facts(tmp_path, examples)["seen"] == "2/20"


def test_a_sample_of_near_keys_finds_some(tmp_path: Path) -> None:
    draw = random.Random(2)
    plain = sentences(400, 0)
    trained = [(" ".join(changed(words, draw)),) for words in plain]
    sketches.write_sketch(tmp_path, trained, (), 0, size=1000)
    examples = [Example(str(n), " ".join(words), ()) for n, words in enumerate(plain)]
    seen = sketches.training_facts(tmp_path, examples)["seen"]
    assert seen.startswith("≥")
    # each sentence has about ten keys of which one is shared: a quarter of 4,000 is kept
    assert 50 < int(seen[1:].split("/")[0]) < 200


def test_a_record_without_near_keys_is_read(tmp_path: Path) -> None:
    """As records before the second format are."""
    example = Example("1", "The old man sold his boat.", ())
    sketches.write_sketch(tmp_path, [("the old man sold his boat",)], (), 5)
    path = tmp_path / sketches.SKETCH_FILE
    facts = json.loads(path.read_text())
    del facts["near"]
    path.write_text(json.dumps({**facts, "format": "parabench training data 1"}))
    assert sketches.training_facts(tmp_path, [example]) == {"seed": 5, "seen": "1/1"}
    other = Example("2", "The old man sold his house.", ())
    assert sketches.training_facts(tmp_path, [other])["seen"] == "0/1"


def test_a_record_is_small(tmp_path: Path) -> None:
    draw = random.Random(0)
    rows = [(" ".join(draw.choices(WORDS, k=12)) + str(n),) for n in range(20_000)]
    sketches.write_sketch(tmp_path, rows, (), 0)
    assert (tmp_path / sketches.SKETCH_FILE).stat().st_size < 1.5 * 2**20
