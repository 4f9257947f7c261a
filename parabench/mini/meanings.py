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
    usual = _CATEGORIES.get(mode, ("person",))
    category = generator.choice(categories or usual)
    noun = _any_of(lexicon.concepts("noun", category), generator)
    # Of fruit the language speaks in the plural alone.
    if category in lexicon.word_list("plural_only"):
        mode = "many"
    if mode in ("name", "bare"):
        return f"//{noun}"
    determiner = _determiner(mode, generator)
    adjective = ""
    if mode != "the" and noun not in lexicon.word_list("no_adjective"):
        adjective = _adjective(category, generator)
    return f"{determiner}/{adjective}/{noun}"


def _any_of(table: Mapping[str, lexicon.Concept], generator: random.Random) -> str:
    """The name of one of the concepts, all of them equally likely."""
    return generator.choice(tuple(table))


def _adjective(category: str, generator: random.Random) -> str:
    """An adjective for a noun of the category, in two of five cases; else none."""
    adjectives = lexicon.fitting_adjectives(category)
    # Where none fits, no chance is drawn either.
    if adjectives and generator.random() < 0.4:
        return generator.choice(adjectives)
    return ""


def _determiner(mode: str, generator: random.Random) -> str:
    """An article, a quantifier or a number for a kind of noun phrase."""
    if mode == "a":
        return "a"
    if mode not in ("crowd", "many"):
        return "the"
    numbers = tuple(lexicon.concepts("number"))
    if mode == "many":
        # Small numbers are commoner than large ones.
        is_small = generator.random() < 0.8
        return generator.choice(numbers[:10] if is_small else numbers)
    if generator.random() < 0.4:
        return generator.choice(numbers)
    return _any_of(lexicon.concepts("quantifier"), generator)


def _fill(frame: Frame, slot: str, filled: Mapping[str, str], generator: random.Random) -> str:
    """A concept for a slot of a frame; ``filled`` are the concepts of the slots before it."""
    mode, *categories = frame.slots[slot].split()
    if mode == "of":
        # "of verb": whatever the verb of that slot takes as its object.
        verb_slot = categories[0]
        objects = _objects(frame, verb_slot, filled[verb_slot])
        return _noun_phrase("noun", objects, generator)
    if mode == "clock":
        hour = generator.randint(1, 12)
        minutes = generator.choice(("00", "15", "30", "45"))
        return f"{hour}:{minutes}"
    if mode in ("place", "nature", "city", "country"):
        category = generator.choice((mode, *categories))
        return _any_of(lexicon.concepts("noun", category), generator)
    if mode == "scale":
        names = lexicon.scale_names(categories[0])
        return generator.choice(names)
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
    return _any_of(table, generator)


def _objects(frame: Frame, slot: str, verb: str) -> tuple[str, ...]:
    """The categories of nouns that the verb in a slot takes as its object."""
    # A verb's slot reads "verb GROUP".
    _, group = frame.slots[slot].split()
    concept = lexicon.concepts("verb", group)[verb]
    return concept.objects


def _time(tense: str, generator: random.Random) -> str:
    # 35 % a phrase such as "yesterday", 25 % a date, 8 % a year, else no time; routines have one.
    chance = generator.random()
    if tense == "routine" or chance < 0.35:
        group = "habit" if tense == "routine" else tense
        return _any_of(lexicon.concepts("time", group), generator)
    if chance < 0.6:
        month = generator.choice(lexicon.calendar("months"))
        # Every month has a day 28.
        day = generator.randint(1, 28)
        return f"{month}/{day}"
    if chance < 0.68:
        first, last = (1990, 2024) if tense == "past" else (2030, 2040)
        year = generator.randint(first, last)
        return str(year)
    return ""


def _distinct(slots: Mapping[str, str]) -> bool:
    """Whether no concept fills two slots: "the boy saw the boy" has no paraphrase of its own."""
    things = []
    for slot, value in slots.items():
        if slot not in ("tense", "time"):
            _, _, thing = value.rpartition("/")
            things.append(thing)
    return len(things) == len(set(things))


def _meaning(frame: Frame, generator: random.Random) -> Meaning:
    while True:
        tense = generator.choice(frame.tenses)
        slots = {"tense": tense}
        for slot in frame.slots:
            slots[slot] = _fill(frame, slot, slots, generator)
        time = _time(tense, generator) if frame.timed else ""
        if time:
            slots["time"] = time
        # Only what happened can be told by somebody.
        can_be_told = frame.attributed and tense == "past"
        if can_be_told and generator.random() < 0.1:
            slots["source"] = _any_of(lexicon.concepts("source"), generator)
        if _distinct(slots):
            return Meaning(frame.name, _by_name(slots))


def _by_name(slots: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Slots and their concepts in the order in which a meaning holds them."""
    return tuple(sorted(slots.items()))


@lru_cache(maxsize=200_000)
def _split_of_key(key: str) -> Split:
    # Not Python's own hash, which is salted: each process would deal other splits.
    digest = blake2b(key.encode(), digest_size=8).digest()
    bucket = int.from_bytes(digest, "big") % 100
    if bucket < TEST_PERCENT:
        return "test"
    if bucket < TEST_PERCENT + DEV_PERCENT:
        return "dev"
    return "train"


def combination(meaning: Meaning) -> str:
    """The main concepts whose combination decides a meaning's split."""
    frame = frames()[meaning.frame]
    slots = dict(meaning.slots)
    parts = [frame.family]
    for slot in frame.main:
        # Of a noun phrase the noun alone counts.
        _, _, concept = slots[slot].rpartition("/")
        parts.append(concept)
    return "|".join(parts)


def split_of(meaning: Meaning) -> Split:
    """The split that a meaning, and so every sentence that says it, belongs to."""
    return _split_of_key(combination(meaning))


def meanings(split: Split, seed: int) -> Iterator[Meaning]:
    """Meanings of a split without end, the same for the same seed in every process."""
    generator = random.Random(f"meanings {split} {seed}")
    all_frames = tuple(frames().values())
    while True:
        frame = generator.choice(all_frames)
        meaning = _meaning(frame, generator)
        # The frame is kept until a meaning of the split is found, so that all frames are equally
        # common.
        while split_of(meaning) != split:
            meaning = _meaning(frame, generator)
        yield meaning
