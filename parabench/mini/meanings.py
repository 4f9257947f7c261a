"""Meanings of the embedded language: a frame with a concept in each slot, and the split of each.

No two meanings share a sentence, so the split of a meaning, decided by a hash of its main concepts,
is also the split of all of its sentences.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Literal

from parabench.mini import lexicon
from parabench.mini.patterns import Frame, frames

Split = Literal["train", "dev", "test"]
TEST_PERCENT, DEV_PERCENT = 10, 6

_MODES: dict[str, tuple[str, ...]] = {
    "who": ("name", "one", "one", "a"),
    "one": ("name", "one", "one"),
    "whogroup": ("name", "one", "group"),
    "noun": ("one", "one", "one", "one", "a", "a", "many"),
    "single": ("the", "a"),
}
"""Kinds of noun phrase that a slot's mode is drawn from; a repeated one is commoner."""

_CATEGORIES: dict[str, tuple[str, ...]] = {
    "name": ("name",),
    "group": ("group", "authority"),
    "authority": ("authority",),
}
"""Of nouns for a kind of phrase, where the slot names none; of people otherwise."""


@dataclass(frozen=True)
class Meaning:
    """A frame and the concept in each of its slots, sorted by the slot's name."""

    frame: str
    slots: tuple[tuple[str, str], ...]


def _noun_phrase(mode: str, categories: Sequence[str], generator: random.Random) -> str:
    """A concept as ``determiner/adjective/noun``, or ``//noun`` where the noun stands alone.

    ``mode`` and ``categories`` are those of the slot. The draws and their order are part of the
    language: every example of the suite depends on them.
    """
    if mode in _MODES:
        mode = generator.choice(_MODES[mode])
    category = generator.choice(categories or _CATEGORIES.get(mode, ("person",)))
    noun = generator.choice(tuple(lexicon.concepts("noun", category)))
    # Of fruit the language speaks in the plural alone.
    if category in lexicon.word_list("plural_only"):
        mode = "many"
    if mode in ("name", "bare"):
        return f"//{noun}"
    determiner = _determiner(mode, generator)
    adjective = ""
    if mode != "the" and noun not in lexicon.word_list("no_adjective"):
        adjectives = lexicon.fitting_adjectives(category)
        if adjectives and generator.random() < 0.4:
            adjective = generator.choice(adjectives)
    return f"{determiner}/{adjective}/{noun}"


def _determiner(mode: str, generator: random.Random) -> str:
    """An article, a quantifier or a number for a kind of noun phrase."""
    if mode == "a":
        return "a"
    if mode not in ("crowd", "many"):
        return "the"
    numbers = tuple(lexicon.concepts("number"))
    if mode == "many":
        # Small numbers are commoner than large ones.
        return generator.choice(numbers[:10] if generator.random() < 0.8 else numbers)
    if generator.random() < 0.4:
        return generator.choice(numbers)
    return generator.choice(tuple(lexicon.concepts("quantifier")))


def _fill(frame: Frame, slot: str, filled: Mapping[str, str], generator: random.Random) -> str:
    """A concept for a slot of a frame; ``filled`` are the concepts of the slots before it."""
    mode, *categories = frame.slots[slot].split()
    if mode == "of":
        # "of verb": whatever the verb of that slot takes as its object.
        verb = categories[0]
        # A verb's slot reads "verb GROUP".
        group = frame.slots[verb].split()[1]
        objects = lexicon.concepts("verb", group)[filled[verb]].objects
        return _noun_phrase("noun", objects, generator)
    if mode == "clock":
        hour = generator.randint(1, 12)
        minutes = generator.choice(("00", "15", "30", "45"))
        return f"{hour}:{minutes}"
    if mode in ("place", "nature", "city", "country"):
        category = generator.choice((mode, *categories))
        return generator.choice(tuple(lexicon.concepts("noun", category)))
    if mode == "scale":
        return generator.choice(lexicon.scale_names(categories[0]))
    if mode in ("verb", "adjective"):
        table = lexicon.concepts(mode, categories[0])
    elif mode in ("duration", "percent", "money", "ease"):
        table = lexicon.concepts(mode)
    elif mode == "kind" and categories[0] == "situation":
        table = lexicon.concepts("situation")
    elif mode == "kind":
        table = lexicon.concepts("noun", categories[0])
    else:
        return _noun_phrase(mode, categories, generator)
    return generator.choice(tuple(table))


def _time(tense: str, generator: random.Random) -> str:
    # 35 % a phrase such as "yesterday", 25 % a date, 8 % a year, else no time; routines have one.
    chance = generator.random()
    if tense == "routine" or chance < 0.35:
        group = "habit" if tense == "routine" else tense
        return generator.choice(tuple(lexicon.concepts("time", group)))
    if chance < 0.6:
        month = generator.choice(lexicon.calendar("months"))
        # Every month has a day 28.
        return f"{month}/{generator.randint(1, 28)}"
    if chance < 0.68:
        first, last = (1990, 2024) if tense == "past" else (2030, 2040)
        return str(generator.randint(first, last))
    return ""


def _distinct(slots: Mapping[str, str]) -> bool:
    """Whether no concept fills two slots: "the boy saw the boy" has no paraphrase of its own."""
    named = [value for slot, value in slots.items() if slot not in ("tense", "time")]
    things = [value.rpartition("/")[2] for value in named]
    return len(things) == len(set(things))


def _meaning(frame: Frame, generator: random.Random) -> Meaning:
    while True:
        slots = {"tense": generator.choice(frame.tenses)}
        for slot in frame.slots:
            slots[slot] = _fill(frame, slot, slots, generator)
        if frame.timed and (time := _time(slots["tense"], generator)):
            slots["time"] = time
        # Only what happened can be told by somebody.
        if frame.attributed and slots["tense"] == "past" and generator.random() < 0.1:
            slots["source"] = generator.choice(tuple(lexicon.concepts("source")))
        if _distinct(slots):
            return Meaning(frame.name, tuple(sorted(slots.items())))


@lru_cache(maxsize=200_000)
def _split_of_key(key: str) -> Split:
    # Not Python's own hash, which is salted: each process would deal other splits.
    digest = blake2b(key.encode(), digest_size=8).digest()
    bucket = int.from_bytes(digest, "big") % 100
    if bucket < TEST_PERCENT:
        return "test"
    return "dev" if bucket < TEST_PERCENT + DEV_PERCENT else "train"


def combination(meaning: Meaning) -> str:
    """The main concepts whose combination decides a meaning's split."""
    frame = frames()[meaning.frame]
    slots = dict(meaning.slots)
    concepts = [slots[slot].rpartition("/")[2] for slot in frame.main]
    return "|".join([frame.family, *concepts])


def split_of(meaning: Meaning) -> Split:
    """The split that a meaning, and so every sentence that says it, belongs to."""
    return _split_of_key(combination(meaning))


def meanings(split: Split, seed: int) -> Iterator[Meaning]:
    """Meanings of a split without end, the same for the same seed in every process."""
    generator = random.Random(f"meanings {split} {seed}")
    names = tuple(frames())
    while True:
        frame = frames()[generator.choice(names)]
        meaning = _meaning(frame, generator)
        # The frame is kept until a meaning of the split is found, so that all frames are equally
        # common.
        while split_of(meaning) != split:
            meaning = _meaning(frame, generator)
        yield meaning
