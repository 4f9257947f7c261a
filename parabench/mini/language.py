"""An endless language of paraphrase: the sentences that say a meaning, and how far a rewrite
goes.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from parabench.mini.grammar import WordOption, points, usable_patterns
from parabench.mini.meanings import Meaning, Split, meanings
from parabench.mini.patterns import Frame, frames
from parabench.mini.speech import realise_sentence

LIGHT, MEDIUM, THOROUGH = 1, 3, 99
"""How many points a rewrite changes, about; from ``THOROUGH`` on all that can change."""
CLEFT_WEIGHT = 0.3
"""How often "it was X that" is chosen, where another pattern has 1."""
RANK_WEIGHTS = (1.0, 0.6, 0.45, 0.35, 0.3, 0.3, 0.3)
"""How often a word is chosen, by its rank among those of its meaning."""


@dataclass(frozen=True)
class Realisation:
    """One sentence that says a meaning, with the choices that made it."""

    text: str
    operations: tuple[str, ...]
    pattern: int
    words: tuple[tuple[str, str], ...]


def _choose(options: Sequence[WordOption], generator: random.Random, avoid: str = "") -> WordOption:
    """One of the options, the commoner ones more often, another word than ``avoid`` if any is."""
    weights = {}
    # Words beyond the last rank that has a weight are never chosen.
    for option, weight in zip(options, RANK_WEIGHTS, strict=False):
        if option.word != avoid:
            weights[option] = weight
    if not weights:
        return options[0]
    words = list(weights)
    (chosen,) = generator.choices(words, list(weights.values()))
    return chosen


def _choose_pattern(frame: Frame, usable: Sequence[int], generator: random.Random) -> int:
    weights = []
    for index in usable:
        is_cleft = "cleft" in frame.patterns[index].operations
        weights.append(CLEFT_WEIGHT if is_cleft else 1.0)
    (chosen,) = generator.choices(usable, weights)
    return chosen


def _realise(
    meaning: Meaning,
    pattern: int,
    kept: Mapping[str, str],
    changed: frozenset[str],
    generator: random.Random,
) -> Realisation:
    """Say a meaning in a pattern, keeping the words of `kept` except at the points of `changed`."""
    frame = frames()[meaning.frame]
    form = frame.patterns[pattern]
    slots = dict(meaning.slots)
    words = dict[str, str]()
    operations = set(form.operations)
    for point, options in points(frame, form, slots).items():
        before = kept.get(point, "")
        option = _option_of(before, options)
        # Another pattern may have no place for the word that was there.
        if option is None or point in changed:
            option = _choose(options, generator, before)
        words[point] = option.word
        operations.add(option.operation)
    text = realise_sentence(frame, form, slots, words)
    # The commonest words use no operation, which is written as an empty one.
    used = sorted(operations - {""})
    return Realisation(text, tuple(used), pattern, tuple(words.items()))


def _option_of(word: str, options: Sequence[WordOption]) -> WordOption | None:
    """The option that is this word, if one is."""
    for option in options:
        if option.word == word:
            return option
    return None


def _realisation(meaning: Meaning, generator: random.Random) -> Realisation:
    frame = frames()[meaning.frame]
    usable = usable_patterns(frame, dict(meaning.slots))
    plain = usable[0]
    # The plain pattern is commoner than each of the others, as in real text.
    pattern = _choose_pattern(frame, (plain, *usable), generator)
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
    pattern = frame.patterns[source.pattern]
    opened = points(frame, pattern, dict(meaning.slots))
    return tuple(point for point, options in opened.items() if len(options) > 1)


def rewrite(
    meaning: Meaning, source: Realisation, generator: random.Random, changes: int
) -> Realisation:
    """Say a sentence's meaning again, otherwise at about ``changes`` points.

    The ``source`` says the ``meaning``, and its pattern is one of the points. From ``THOROUGH`` on
    everything that can change does, up to one word in eight left as it was.
    """
    candidates = _changeable(meaning, source)
    # The empty name is the pattern's own point.
    all_points = ["", *candidates]
    frame = frames()[meaning.frame]
    usable = usable_patterns(frame, dict(meaning.slots))
    others = [index for index in usable if index != source.pattern]
    if not others:
        others = [source.pattern]
    kept = dict(source.words)
    # A pattern or a word may be drawn that says the same: then all is drawn again.
    while True:
        if changes >= THOROUGH:
            changed = [point for point in candidates if generator.random() < 0.87]
            changed.append("")
        else:
            count = min(changes, len(all_points))
            changed = generator.sample(all_points, count)
        pattern = source.pattern
        if "" in changed:
            pattern = _choose_pattern(frame, others, generator)
        target = _realise(meaning, pattern, kept, frozenset(changed), generator)
        if target.text != source.text:
            return target


def _references(
    meaning: Meaning, source: Realisation, generator: random.Random, count: int
) -> tuple[str, ...] | None:
    found: dict[str, None] = {}
    # A meaning with few words may not have so many rewrites: it is given up after a while.
    for _ in range(20 * count):
        target = rewrite(meaning, source, generator, THOROUGH)
        found.setdefault(target.text)
        if len(found) == count:
            return tuple(found)
    return None


def example_triples(
    split: Split, count: int, seed: int, references: int = 5
) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Triples of id, source sentence, and thorough rewrites of it, pairwise distinct.

    ``count`` of them, from a ``split`` of the meanings, each with as many ``references``.
    """
    generator = random.Random(f"examples {split} {seed}")
    made = 0
    seen = set[str]()
    for meaning in meanings(split, seed):
        if made == count:
            return
        source = _realisation(meaning, generator)
        rewrites = _references(meaning, source, generator, references)
        if rewrites is None or source.text in seen:
            continue
        seen.add(source.text)
        identifier = f"{split}-{seed}-{made}"
        yield identifier, source.text, rewrites
        made += 1


def paraphrase_pairs(
    split: Split, seed: int, mixture: tuple[float, float, float] = (0.3, 0.35, 0.35)
) -> Iterator[tuple[str, str]]:
    """Sentence pairs of a ``split`` without end, for training.

    The shares of light, medium and thorough rewrites are those of ``mixture``.
    """
    generator = random.Random(f"pairs {split} {seed}")
    for meaning in meanings(split, seed):
        source = _realisation(meaning, generator)
        (changes,) = generator.choices((LIGHT, MEDIUM, THOROUGH), mixture)
        target = rewrite(meaning, source, generator, changes)
        yield source.text, target.text
