"""The embedded language: rich, injective, split by combination, the same in every process, and
readable.
"""

import os
import random
import re
import subprocess
import sys
from collections import Counter
from itertools import islice
from typing import get_args

import pytest

from parabench.mini import language, lexicon, meanings
from parabench.mini.documents import pretraining_documents
from parabench.mini.patterns import frames

OPERATIONS = {
    "synonym",
    "voice",
    "cleft",
    "clause order",
    "dative",
    "nominalisation",
    "negated antonym",
    "connective",
    "quantifier",
    "number",
}
PROGRAM = """
from itertools import islice
from parabench.mini import documents, language
print(list(language.example_triples("dev", 20, seed=3)), \
list(islice(language.paraphrase_pairs("train", 3), 20)))
print(list(islice(documents.pretraining_documents(3), 20)))
"""


def sample(split, count, each=3, seed=11):
    generator = random.Random(seed)
    return [
        (meaning, language.realisations(meaning, generator, each))
        for meaning in islice(meanings.meanings(split, seed), count)
    ]


@pytest.fixture(scope="module")
def spoken():
    return {
        split: sample(split, 3500 if split == "train" else 1750)
        for split in get_args(meanings.Split)
    }


@pytest.fixture(scope="module")
def texts(spoken):
    return [sentence.text for rows in spoken.values() for _, said in rows for sentence in said]


def word_edits(first, second):
    first, second = first.split(), second.split()
    row = list(range(len(second) + 1))
    for i, left in enumerate(first):
        diagonal, row[0] = row[0], i + 1
        for j, right in enumerate(second):
            diagonal, row[j + 1] = (
                row[j + 1],
                min(row[j + 1] + 1, row[j] + 1, diagonal + (left != right)),
            )
    return row[-1]


def test_it_is_rich(spoken, texts):
    forms = {form for text in texts for form in re.findall(r"[a-z]+(?:-[a-z]+)*", text.lower())}
    assert len(forms) >= 1500
    used = {meaning.frame for meaning, _ in spoken["train"]}
    assert used == set(frames())
    assert len(used) >= 60
    sentences = [sentence for rows in spoken.values() for _, said in rows for sentence in said]
    operations = Counter(name for sentence in sentences for name in sentence.operations)
    assert all(operations[name] > 100 for name in OPERATIONS)


def test_no_word_belongs_to_two_concepts():
    owners = {}
    for table in ("noun", "verb", "adjective"):
        for group in lexicon.groups(table):
            for name, concept in lexicon.concepts(table, group).items():
                for word in {*concept.words, *concept.restricted}:
                    owners.setdefault(word, set()).add((table, group, name))
    assert {word: among for word, among in owners.items() if len(among) > 1} == {}


def test_splits_share_neither_sentence_nor_component(spoken):
    owner = {}
    for split, rows in spoken.items():
        for meaning, said in rows:
            assert meanings.split_of(meaning) == split
            for sentence in said:
                # One meaning for a sentence makes every connected component the sentences of one
                # meaning.
                assert owner.setdefault(sentence.text, meaning) == meaning, sentence.text


def test_held_out_combinations_are_not_met_in_training(spoken):
    met = {
        split: {meanings.combination(meaning) for meaning, _ in rows}
        for split, rows in spoken.items()
    }
    assert not met["train"] & met["test"]
    assert not met["dev"] & met["test"]


def test_every_verb_and_frame_is_met_in_training():
    met = {
        (meaning.frame, dict(meaning.slots).get("verb"))
        for meaning in islice(meanings.meanings("train", 2), 15_000)
    }
    wanted = {
        (frame.name, verb)
        for frame in frames().values()
        if "verb" in frame.slots
        for verb in lexicon.concepts("verb", frame.slots["verb"].split()[1])
    }
    assert wanted <= met


def test_hygiene(texts):
    for text in texts:
        assert re.match(r"[A-Z0-9$]", text), text
        assert text.endswith((".", "?")), text
        assert not re.search(r"  | [,.?]|[{}\[\]@]|\.\.|\bnot not\b|\b(\w+) \1\b", text), text
        assert not re.search(
            r"\ba (?!uni|use|eur|one)[aeio]|\ban (?!hour|honest)[^aeiou]", text.lower()
        ), text
        assert len(text.split()) <= 30, text


def test_most_sentences_are_of_readable_length(texts):
    lengths = [len(text.split()) for text in texts]
    assert 9 <= sum(lengths) / len(lengths) <= 16
    assert sum(6 <= length <= 22 for length in lengths) / len(lengths) > 0.97


def test_examples_have_distinct_references_unlike_the_source():
    rows = list(language.example_triples("test", 300, seed=1))
    assert len({identifier for identifier, _, _ in rows}) == len(rows) == 300
    for _, source, references in rows:
        assert len({source, *references}) == 6


def test_more_changes_change_more():
    def mean_edits(changes):
        generator = random.Random(5)
        edits = 0
        for meaning in islice(meanings.meanings("train", 5), 400):
            (source,) = language.realisations(meaning, generator, 1)
            edits += word_edits(
                source.text, language.rewrite(meaning, source, generator, changes).text
            )
        return edits / 400

    light, medium, thorough = map(mean_edits, (language.LIGHT, language.MEDIUM, language.THOROUGH))
    assert light + 1 < medium < thorough - 1


def test_pairs_are_never_identical_and_the_mixture_is_obeyed():
    light = list(islice(language.paraphrase_pairs("train", 1, mixture=(1, 0, 0)), 300))
    thorough = list(islice(language.paraphrase_pairs("train", 1, mixture=(0, 0, 1)), 300))
    assert all(source != target for source, target in light + thorough)
    assert sum(word_edits(*pair) for pair in light) < 0.6 * sum(
        word_edits(*pair) for pair in thorough
    )


def test_documents_never_say_the_instruction():
    found = list(islice(pretraining_documents(1), 1500))
    assert all(10 <= len(document.split()) <= 120 for document in found)
    assert not any("paraphrase the following" in document.lower() for document in found)
    held_out = {
        text
        for _, source, references in language.example_triples("test", 300, 1)
        for text in (source, *references)
    }
    assert not any(sentence in document for document in found for sentence in held_out)


def test_every_process_hears_the_same():
    heard = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(heard) == 1
