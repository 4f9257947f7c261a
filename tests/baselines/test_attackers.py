"""Attackers: what each does to a sentence, that they are seeded, and that none needs the others."""

from __future__ import annotations

from dataclasses import replace

import pytest
from parabench.baselines.attack_words import ANTONYMS, is_content, words_of
from parabench.baselines.attackers import ATTACKERS

from parabench import registry
from parabench.contracts import BuildContext, Runtime, UserError, system_role
from parabench.pipeline import plan as planning
from parabench.suites import suite as suites
from tests.support import tiny_suite

SOURCES = (
    "The old dog slept near the harbour, and Anna bought 12 books in Merrow.",
    "Because the bank was closed, most people left early.",
    "In 1997 Peter opened the big shop at the end of the street.",
    "At the end of the day it rained.",
    "Go.",
)
SETTING = BuildContext(sources=SOURCES)


def built(name: str, setting: BuildContext = SETTING):
    family, variant = registry.split_name("system", name)
    return registry.plugin_builder("system", family)(variant, setting)


def answers(name: str, setting: BuildContext = SETTING, sources=SOURCES) -> list[str]:
    batches = built(name, setting).paraphrase(sources)
    found = sorted(paraphrase for batch in batches for paraphrase in batch)
    return [paraphrase.text for paraphrase in found]


@pytest.mark.parametrize(
    ("name", "place", "expected"),
    [
        (
            "antonyms",
            0,
            "The young dog slept far the harbour, and Anna sold 12 books out Merrow.",
        ),
        ("wrong-senses", 1, "Because the shore was closed, most pensioners port early."),
        (
            "hyponyms",
            0,
            "The old poodle slept near the harbour, and Anna bought 12 atlases in Merrow.",
        ),
        ("other-language", 3, "An der end von der day es rained."),
        (
            "swapped-roles",
            2,
            "In street Peter opened the big shop at the end of the 1997.",
        ),
        ("scrambled-clauses", 1, "most people left early, Because the bank was closed."),
        (
            "template",
            4,
            "It is said that go, as has been reported.",
        ),
        ("capitals", 3, "AT - THE - END - OF - THE - DAY - IT - RAINED!!!"),
        ("generic", 2, "This is something that people have often said before."),
    ],
)
def test_what_each_says(name, place, expected):
    assert answers(f"attack-{name}")[place] == expected


@pytest.mark.parametrize("name", ATTACKERS)
def test_each_is_a_seeded_sentinel_of_its_own_source(name):
    """The same text whatever is asked beside it and in whatever order."""
    system = built(name)
    assert system.role == "sentinel"
    assert system.signature.name == name
    whole = answers(name)
    assert all(whole)
    assert answers(name, sources=SOURCES[::-1]) == whole[::-1]
    assert answers(name, sources=SOURCES[:1]) == whole[:1]
    other = replace(SETTING, runtime=Runtime(seed=1))
    assert (str(built(name, other).signature) != str(system.signature)) is (
        "seed" in str(system.signature)
    )


def test_changed_facts_keep_no_number_and_no_name():
    first, _, third, *_ = answers("attack-changed-facts")
    assert "Anna" not in first
    assert "12" not in first
    assert "Merrow" not in first
    assert "1997" not in third
    assert "Peter" not in third
    assert len(words_of(third)) == len(words_of(SOURCES[2]))


def test_deletion_takes_a_third_and_padding_fills_up():
    deleted, padded = answers("attack-deleted-words"), answers("attack-padded-deletion")
    for source, less, full in zip(SOURCES[:4], deleted, padded, strict=False):
        before = [word for word in words_of(source) if is_content(word)]
        after = [word for word in words_of(less) if is_content(word)]
        assert len(before) - len(after) == (len(before) + 2) // 3
        assert len(full.split()) == len(source.split())


def test_stuffing_puts_the_same_sequences_into_every_output():
    texts = answers("attack-stuffing")
    assert all("at the end of" in text for text in texts)
    assert texts[1].startswith("Because the bank was")


def test_word_soup_has_the_length_and_words_of_sources():
    known = {word.lower() for source in SOURCES for word in words_of(source)}
    for source, text in zip(SOURCES, answers("attack-word-soup"), strict=True):
        assert len(text.split()) == len(source.split())
        assert set(text.split()) <= known


def test_same_names_are_in_a_sentence_about_something_else():
    text = answers("attack-same-names")[0]
    assert {"Anna", "12", "Merrow"} <= set(words_of(text))
    assert "dog" not in text


def test_an_unknown_attacker_is_refused_with_the_choices():
    with pytest.raises(UserError, match="attack-antonyms"):
        built("attack-laser")
    with pytest.raises(UserError, match="no such attacker"):
        built("attack")


def test_opposites_are_opposites_both_ways():
    assert all(ANTONYMS[other] != other for other in ANTONYMS)
    assert ANTONYMS["won"] == "lost"
    assert ANTONYMS["lost"] == "won"


def test_a_run_with_attackers_has_them_as_controls_and_says_so(tmp_path):
    suite = suites.load_suite("overlap").model_copy(update={"controls": ("human", "copy")})
    data = tiny_suite.examples_file(tmp_path)
    request = planning.RunRequest(suite, scorers=("bleu",), data=data, attackers=ATTACKERS)
    made = planning.make_plan(request)
    assert tuple(made.systems) == ("human", "copy", *ATTACKERS)
    assert {system_role(made.systems[name]) for name in ATTACKERS} == {"sentinel"}
    assert made.command.endswith(" --attackers")
