"""An endless language of paraphrase: meanings, the sentences that say them, and how far a rewrite
goes.

A meaning is a frame with a concept in each slot. No two meanings share a sentence, so the split of
a meaning, decided by a hash of its main concepts, is also the split of all of its sentences.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Literal

from parabench.mini import lexicon
from parabench.mini.grammar import Frame, WordOption, frames, points, usable_patterns
from parabench.mini.speech import realise_sentence

Split = Literal["train", "dev", "test"]
LIGHT, MEDIUM, THOROUGH = 1, 3, 99
CLEFT_WEIGHT = 0.3
RANK_WEIGHTS = (1.0, 0.6, 0.45, 0.35, 0.3, 0.3, 0.3)
TEST_PERCENT, DEV_PERCENT = 10, 6


@dataclass(frozen=True)
class Meaning:
    """A frame and the concept in each of its slots, sorted by the slot's name."""

    frame: str
    slots: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Realisation:
    """One sentence that says a meaning, with the choices that made it."""

    text: str
    operations: tuple[str, ...]
    pattern: int
    words: tuple[tuple[str, str], ...]


# ---- meanings ----


def _noun_phrase(mode: str, categories: Sequence[str], generator: random.Random) -> str:
    if mode == "who":
        mode = generator.choice(("name", "one", "one", "a"))
    elif mode == "one":
        mode = generator.choice(("name", "one", "one"))
    elif mode == "whogroup":
        mode = generator.choice(("name", "one", "group"))
    elif mode == "noun":
        mode = generator.choice(("one", "one", "one", "one", "a", "a", "many"))
    elif mode == "single":
        mode = generator.choice(("the", "a"))
    categories = categories or {
        "name": ("name",),
        "group": ("group", "authority"),
        "authority": ("authority",),
    }.get(mode, ("person",))
    category = generator.choice(categories)
    noun = generator.choice(tuple(lexicon.concepts("noun", category)))
    mode = "many" if category in lexicon.listed("plural_only") else mode
    if mode in ("name", "bare"):
        return f"//{noun}"
    quantifiers = tuple(lexicon.concepts("number" if mode == "many" else "quantifier"))
    if mode == "crowd" and generator.random() < 0.4:
        quantifiers = tuple(lexicon.concepts("number"))
    # Small numbers are commoner than large ones.
    quantifiers = quantifiers[:10] if mode == "many" and generator.random() < 0.8 else quantifiers
    determiner = (
        generator.choice(quantifiers)
        if mode in ("crowd", "many")
        else "a"
        if mode == "a"
        else "the"
    )
    adjectives = (
        ()
        if mode == "the" or noun in lexicon.listed("no_adjective")
        else lexicon.fitting_adjectives(category)
    )
    adjective = generator.choice(adjectives) if adjectives and generator.random() < 0.4 else ""
    return f"{determiner}/{adjective}/{noun}"


def _fill(frame: Frame, slot: str, filled: Mapping[str, str], generator: random.Random) -> str:
    mode, *categories = frame.slots[slot].split()
    if mode == "of":
        verb = categories[0]
        group = frame.slots[verb].split()[1]
        return _noun_phrase(
            "noun", lexicon.concepts("verb", group)[filled[verb]].objects, generator
        )
    if mode in ("verb", "adjective", "scale"):
        table = (
            lexicon.scale_names(categories[0])
            if mode == "scale"
            else lexicon.concepts(mode, categories[0])
        )
        return generator.choice(tuple(table))
    if mode in ("place", "nature", "city", "country"):
        return generator.choice(
            tuple(lexicon.concepts("noun", generator.choice((mode, *categories))))
        )
    if mode == "kind":
        situation = categories[0] == "situation"
        table = (
            lexicon.concepts("situation") if situation else lexicon.concepts("noun", categories[0])
        )
        return generator.choice(tuple(table))
    if mode in ("duration", "percent", "money", "ease"):
        return generator.choice(tuple(lexicon.concepts(mode)))
    if mode == "clock":
        return f"{generator.randint(1, 12)}:{generator.choice(('00', '15', '30', '45'))}"
    return _noun_phrase(mode, categories, generator)


def _time(tense: str, generator: random.Random) -> str:
    chance = generator.random()
    if tense == "routine" or chance < 0.35:
        return generator.choice(
            tuple(lexicon.concepts("time", "habit" if tense == "routine" else tense))
        )
    if chance < 0.6:
        return f"{generator.choice(lexicon.calendar('months'))}/{generator.randint(1, 28)}"
    if chance < 0.68:
        return str(
            generator.randint(1990, 2024) if tense == "past" else generator.randint(2030, 2040)
        )
    return ""


def _distinct(slots: Mapping[str, str]) -> bool:
    things = [
        value.rpartition("/")[2] for slot, value in slots.items() if slot not in ("tense", "time")
    ]
    return len(things) == len(set(things))


def _meaning(frame: Frame, generator: random.Random) -> Meaning:
    while True:
        slots = {"tense": generator.choice(frame.tenses)}
        for slot in frame.slots:
            slots[slot] = _fill(frame, slot, slots, generator)
        if frame.timed and (time := _time(slots["tense"], generator)):
            slots["time"] = time
        if frame.attributed and slots["tense"] == "past" and generator.random() < 0.1:
            slots["source"] = generator.choice(tuple(lexicon.concepts("source")))
        if _distinct(slots):
            return Meaning(frame.name, tuple(sorted(slots.items())))


@lru_cache(maxsize=200_000)
def _split_of_key(key: str) -> Split:
    bucket = int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big") % 100
    return (
        "test"
        if bucket < TEST_PERCENT
        else "dev"
        if bucket < TEST_PERCENT + DEV_PERCENT
        else "train"
    )


def combination(meaning: Meaning) -> str:
    """The main concepts whose combination decides a meaning's split."""
    frame, slots = frames()[meaning.frame], dict(meaning.slots)
    return "|".join([frame.family, *(slots[slot].rpartition("/")[2] for slot in frame.main)])


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


# ---- sentences ----


def _choose(options: Sequence[WordOption], generator: random.Random, avoid: str = "") -> WordOption:
    pairs = [
        (option, weight)
        for option, weight in zip(options, RANK_WEIGHTS, strict=False)
        if option.word != avoid
    ]
    if not pairs:
        return options[0]
    return generator.choices([option for option, _ in pairs], [weight for _, weight in pairs])[0]


def _choose_pattern(frame: Frame, usable: Sequence[int], generator: random.Random) -> int:
    cleft = ["cleft" in frame.patterns[index].operations for index in usable]
    return generator.choices(usable, [CLEFT_WEIGHT if it else 1.0 for it in cleft])[0]


def _realise(
    meaning: Meaning,
    pattern: int,
    kept: Mapping[str, str],
    changed: frozenset[str],
    generator: random.Random,
) -> Realisation:
    """Say a meaning in a pattern, keeping the words of `kept` except at the points of `changed`."""
    frame, slots = frames()[meaning.frame], dict(meaning.slots)
    words, operations = {}, set(frame.patterns[pattern].operations)
    for point, options in points(frame, frame.patterns[pattern], slots).items():
        before = kept.get(point, "")
        same = next((option for option in options if option.word == before), None)
        option = same if same and point not in changed else _choose(options, generator, before)
        words[point] = option.word
        operations.add(option.operation)
    text = realise_sentence(frame, frame.patterns[pattern], slots, words)
    return Realisation(text, tuple(sorted(operations - {""})), pattern, tuple(words.items()))


def _realisation(meaning: Meaning, generator: random.Random) -> Realisation:
    usable = usable_patterns(frames()[meaning.frame], dict(meaning.slots))
    # The plain pattern is commoner than each of the others, as in real text.
    pattern = _choose_pattern(frames()[meaning.frame], (usable[0], *usable), generator)
    return _realise(meaning, pattern, {}, frozenset(), generator)


def realisations(meaning: Meaning, generator: random.Random, count: int) -> tuple[Realisation, ...]:
    """Up to `count` distinct sentences that say a meaning; fewer only if it has no more."""
    found: dict[str, Realisation] = {}
    for _ in range(20 * count):
        sentence = _realisation(meaning, generator)
        found.setdefault(sentence.text, sentence)
        if len(found) == count:
            break
    return tuple(found.values())


def _changeable(meaning: Meaning, source: Realisation) -> tuple[str, ...]:
    frame = frames()[meaning.frame]
    opened = points(frame, frame.patterns[source.pattern], dict(meaning.slots))
    return tuple(point for point, options in opened.items() if len(options) > 1)


def rewrite(
    meaning: Meaning, source: Realisation, generator: random.Random, changes: int
) -> Realisation:
    """Say a sentence's meaning again, otherwise at about `changes` points; the pattern is one of
    them.

    From `THOROUGH` on everything that can change does, up to one word in eight left as it was.
    """
    candidates = _changeable(meaning, source)
    frame = frames()[meaning.frame]
    usable = usable_patterns(frame, dict(meaning.slots))
    others = [index for index in usable if index != source.pattern] or [source.pattern]
    while True:
        if changes >= THOROUGH:
            chosen = [point for point in candidates if generator.random() < 0.87]
            restructured = True
        else:
            chosen = generator.sample(["", *candidates], min(changes, len(candidates) + 1))
            restructured = "" in chosen
        pattern = _choose_pattern(frame, others, generator) if restructured else source.pattern
        target = _realise(meaning, pattern, dict(source.words), frozenset(chosen), generator)
        if target.text != source.text:
            return target


def _references(
    meaning: Meaning, source: Realisation, generator: random.Random, count: int
) -> tuple[str, ...] | None:
    found: dict[str, None] = {}
    for _ in range(20 * count):
        found.setdefault(rewrite(meaning, source, generator, THOROUGH).text)
        if len(found) == count:
            return tuple(found)
    return None


def example_triples(
    split: Split, count: int, seed: int, references: int = 5
) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """`count` triples of id, source sentence, and thorough rewrites of it, pairwise distinct."""
    generator = random.Random(f"examples {split} {seed}")
    made, seen = 0, set[str]()
    for meaning in meanings(split, seed):
        if made == count:
            return
        source = _realisation(meaning, generator)
        rewrites = _references(meaning, source, generator, references)
        if rewrites is not None and source.text not in seen:
            seen.add(source.text)
            yield f"{split}-{seed}-{made}", source.text, rewrites
            made += 1


def paraphrase_pairs(
    split: Split, seed: int, mixture: tuple[float, float, float] = (0.3, 0.35, 0.35)
) -> Iterator[tuple[str, str]]:
    """Sentence pairs without end for training: light, medium and thorough rewrites in the shares of
    `mixture`.
    """
    generator = random.Random(f"pairs {split} {seed}")
    for meaning in meanings(split, seed):
        source = _realisation(meaning, generator)
        changes = generator.choices((LIGHT, MEDIUM, THOROUGH), mixture)[0]
        yield source.text, rewrite(meaning, source, generator, changes).text
