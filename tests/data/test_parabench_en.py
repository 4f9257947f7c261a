"""The test set parabench-en keeps what its card promises."""

from __future__ import annotations

import json
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

from parabench.data.filters import jaccard, lower_words, sentence_key
from parabench.data.leakage import TestSentences
from parabench.data.test_sets import read_test_set
from parabench.suites import suite

FILE = Path(suite.load_suite("parabench-en").data)
ROWS = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
NEWS = Path(__file__).parents[2] / "../shared/data/newstest2019-human-paraphrases"


def texts(row):
    return [row["source"], *row["references"]]


def test_it_reads_as_a_test_set_of_six_domains_alike_in_size():
    examples = read_test_set(FILE)
    assert [(e.id, e.source, list(e.references)) for e in examples] == [
        (row["id"], row["source"], row["references"]) for row in ROWS
    ]
    counts = Counter(row["domain"] for row in ROWS)
    assert sorted(counts) == ["dialogue", "instructions", "news", "questions", "science", "tweets"]
    assert set(counts.values()) == {58}
    assert all(row["id"].startswith(f"{row['domain']}-") for row in ROWS)


def test_every_source_has_three_references_and_5_to_40_words():
    lengths = [len(row["source"].split()) for row in ROWS]
    assert all(len(row["references"]) == 3 for row in ROWS)
    assert (min(lengths), max(lengths)) == (5, 40)
    for low in range(5, 41, 6):  # spread over the whole range
        assert sum(low <= length < low + 6 for length in lengths) >= 12, low


def test_no_text_is_repeated_and_no_reference_nearly_another():
    keys = [sentence_key(text) for row in ROWS for text in texts(row)]
    assert len(set(keys)) == len(keys)
    for row in ROWS:
        for one, two in combinations(map(set, map(lower_words, texts(row))), 2):
            assert jaccard(one, two) < 2 / 3, row["id"]


def test_sources_of_different_clusters_are_different_sentences():
    sets = [(row["cluster"], set(lower_words(row["source"]))) for row in ROWS]
    for (cluster, one), (other, two) in combinations(sets, 2):
        assert cluster == other or jaccard(one, two) < 0.5


def test_a_cluster_is_named_after_its_first_sentence():
    first = {}
    for row in ROWS:
        first.setdefault(row["cluster"], row)
    assert all(cluster == row["id"] for cluster, row in first.items())
    assert all(first[row["cluster"]]["domain"] == row["domain"] for row in ROWS)
    assert len(first) == len(ROWS) - 12
    assert max(Counter(row["cluster"] for row in ROWS).values()) == 3


def test_typography_is_plain():
    for text in (text for row in ROWS for text in texts(row)):
        assert text == " ".join(text.split())
        assert not set(text) & set("‘’“”–—…\u00a0"), text
        assert text.count('"') % 2 == 0, text


def test_digits_of_a_source_come_back_as_digits_or_words():
    """A number is not lost: where a source has digits, each reference has some, or as many words
    for numbers.
    """
    said = (
        "one two three four five six seven eight nine ten eleven twelve dozen teen "
        "twenty thirty forty fifty sixty ninety hundred thousand fifth third quarter half "
        "noon noughties seventies fortnight trio pair percent both"
    )
    numbers = said.split()
    for row in ROWS:
        if any(letter.isdigit() for letter in row["source"]):
            for text in row["references"]:
                held = any(letter.isdigit() for letter in text) or any(
                    word in text.lower() for word in numbers
                )
                assert held, (row["id"], text)


def test_no_sentence_is_one_of_a_published_test_set():
    if not NEWS.exists():
        pytest.skip(f"needs {NEWS}")
    held = TestSentences(text for row in ROWS for text in texts(row))
    lines = [line for path in sorted(NEWS.rglob("*")) if path.is_file() for line in _lines(path)]
    assert len(lines) > 500
    assert not [line for line in lines if held.holds(line)]


def _lines(path):
    return [
        part
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
        for part in line.split("\t")
    ]
