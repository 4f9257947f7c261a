"""Sentinels are deterministic, seeded where chance enters, and answer each source whatever is asked
beside it.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from parabench import registry
from parabench.contracts import BuildContext, Runtime, UserError

SOURCES = ("The cat sat on the mat.", "Prices rose again last week.", "Nobody knew why.", "Go.")
SETTING = BuildContext(sources=SOURCES)
NAMES = (
    "near-copy",
    "drop-last",
    "first-half",
    "shuffled",
    "source-twice",
    "other-sentence",
    "negated",
    "empty",
)


def answers(name: str, setting: BuildContext = SETTING, sources=SOURCES) -> list[str]:
    system = registry.plugin_builder("system", name)("", setting)
    found = [paraphrase for batch in system.paraphrase(sources) for paraphrase in batch]
    assert [paraphrase.position for paraphrase in found] == list(range(len(sources)))
    return [paraphrase.text for paraphrase in found]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("near-copy", "The cat sat on the mat. ..."),
        ("drop-last", "The cat sat on the"),
        ("first-half", "The cat sat"),
        ("source-twice", "The cat sat on the mat. The cat sat on the mat."),
        ("negated", "It is not true that the cat sat on the mat."),
        ("empty", ""),
    ],
)
def test_what_each_says(name, expected):
    assert answers(name)[0] == expected


def test_shuffled_keeps_words_and_other_sentence_is_anothers():
    assert [sorted(text.split()) for text in answers("shuffled")] == [
        sorted(source.split()) for source in SOURCES
    ]
    assert answers("shuffled") != list(SOURCES)
    assert sorted(answers("other-sentence")) == sorted(SOURCES)
    assert not any(
        text == source for text, source in zip(answers("other-sentence"), SOURCES, strict=True)
    )


@pytest.mark.parametrize("name", NAMES)
def test_an_interrupted_run_continues_alike(name):
    assert answers(name, sources=SOURCES[2:]) == answers(name)[2:]


def test_chance_is_the_seeds_alone():
    long = BuildContext(sources=tuple(f"{i} " + "a b c d e f g h" for i in range(40)))
    other = replace(long, runtime=Runtime(seed=1))
    for name in ("shuffled", "other-sentence"):
        assert answers(name, long, long.sources) != answers(name, other, long.sources)
        signatures = [
            str(registry.plugin_builder("system", name)("", setting).signature)
            for setting in (long, other)
        ]
        assert signatures == [f"{name}|seed:0", f"{name}|seed:1"]


def test_one_sentence_has_no_other():
    with pytest.raises(UserError, match="other-sentence"):
        _ = registry.plugin_builder("system", "other-sentence")(
            "", BuildContext(sources=("one",))
        ).signature
