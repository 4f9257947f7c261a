"""Endless pre-training documents in which paraphrase is one thing among others.

Stories, questions and answers, lists, letters, talks, definitions and true-or-false checks, all
made of meanings of the training split; somewhat over a third of the documents say one thing twice,
under many natural cues.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from parabench.mini import document_phrases as phrases
from parabench.mini import lexicon
from parabench.mini.grammar import points
from parabench.mini.language import (
    LIGHT,
    MEDIUM,
    THOROUGH,
    Realisation,
    realisations,
    rewrite,
)
from parabench.mini.meanings import Meaning, meanings, split_of
from parabench.mini.patterns import Pattern, frames, parse_pattern
from parabench.mini.speech import realise_sentence

PARAPHRASE_SHARE = 0.37
SHORTEST, _LONGEST = 10, 120
"""Words of a document."""
_DEFINABLE = ("person", "vehicle", "furniture", "building", "room", "clothing")
"""Categories of nouns that take an article."""


class _Desk:
    """Where the writers of all kinds of documents get their meanings, names and chance from."""

    def __init__(self, seed: int) -> None:
        self.generator = random.Random(f"documents {seed}")
        self.supply = meanings("train", seed)

    def names(self, count: int) -> list[str]:
        """Distinct first names."""
        concepts = lexicon.concepts("noun", "name")
        names = [concept.words[0] for concept in concepts.values()]
        return self.generator.sample(names, count)

    def meaning(self, wanted: Callable[[Meaning], bool] = lambda meaning: True) -> Meaning:
        """The next training meaning that is wanted."""
        return next(meaning for meaning in self.supply if wanted(meaning))

    def sentence(self, meaning: Meaning) -> Realisation:
        """One sentence that says a meaning."""
        return realisations(meaning, self.generator, 1)[0]

    def fresh(self) -> str:
        """Any sentence of the training split."""
        return self.sentence(self.meaning()).text


def _paraphrase(desk: _Desk) -> str:
    meaning = desk.meaning()
    source = desk.sentence(meaning)
    changes = desk.generator.choices((LIGHT, MEDIUM, THOROUGH), (0.35, 0.35, 0.3))[0]
    target = rewrite(meaning, source, desk.generator, changes)
    x, y = desk.names(2)
    cue = desk.generator.choice(phrases.CUES)
    return cue.format(a=source.text, b=target.text, x=x, y=y)


def _about(meaning: Meaning, hero: str) -> Meaning:
    """The meaning with another agent."""
    slots = dict(meaning.slots)
    slots["agent"] = hero
    return Meaning(meaning.frame, tuple(sorted(slots.items())))


def _can_star(meaning: Meaning) -> bool:
    """Whether a person could be the agent, and the tense is that of a story."""
    agent = frames()[meaning.frame].slots.get("agent")
    tense = dict(meaning.slots)["tense"]
    return agent in ("who", "one", "whogroup") and tense == "past"


def _hero(desk: _Desk) -> str:
    """A first name as the concept of a slot: no determiner and no adjective before it."""
    names = tuple(lexicon.concepts("noun", "name"))
    return "//" + desk.generator.choice(names)


def _story_sentences(desk: _Desk, count: int) -> list[str]:
    hero = _hero(desk)
    sentences: list[str] = []
    while len(sentences) < count:
        meaning = _about(desk.meaning(_can_star), hero)
        concepts = [concept for _, concept in meaning.slots]
        # With another agent a meaning may be of another split, and the hero of two slots of it.
        if split_of(meaning) == "train" and concepts.count(hero) == 1:
            sentences.append(desk.sentence(meaning).text)
    return sentences


def _story(desk: _Desk) -> str:
    first, *others = _story_sentences(desk, desk.generator.randint(2, 5))
    told = [first]
    for sentence in others:
        link = desk.generator.choice(phrases.LINKS)
        told.append(link + sentence)
    return " ".join(told)


def _letter(desk: _Desk) -> str:
    x, y = desk.names(2)
    sentences = _story_sentences(desk, desk.generator.randint(2, 3))
    opening = desk.generator.choice(phrases.OPENINGS)
    closing = desk.generator.choice(phrases.CLOSINGS)
    frame = opening + " ".join(sentences) + closing
    return frame.format(x=x, y=y)


def _talk(desk: _Desk) -> str:
    x, y = desk.names(2)
    greeting = desk.generator.choice(phrases.GREETINGS).format(y=y)
    lines = [f"{x}: {greeting} {desk.fresh()}"]
    for _ in range(desk.generator.randint(1, 2)):
        reply = desk.generator.choice(phrases.REPLIES)
        lines.append(f"{y}: {reply}")
        lines.append(f"{x}: {desk.fresh()}")
    return "\n".join(lines)


@lru_cache(maxsize=1)
def _questions() -> dict[str, list[tuple[Pattern, Pattern]]]:
    """Patterns of a question and its answer, by family of frames."""
    parsed = {}
    for family, rows in phrases.QUESTIONS.items():
        pairs = []
        for question, answer in rows:
            # Nothing stands before the bar: neither uses an operation of a paraphrase.
            pairs.append((parse_pattern(f"| {question}"), parse_pattern(f"| {answer}")))
        parsed[family] = pairs
    return parsed


def _say(meaning: Meaning, pattern: Pattern, source: Realisation, generator: random.Random) -> str:
    # The source's own words, where the pattern has room for them: an answer is found in the text.
    slots = {slot: concept for slot, concept in meaning.slots if slot not in ("time", "source")}
    frame = frames()[meaning.frame]
    kept = dict(source.words)
    words = {}
    for point, options in points(frame, pattern, slots).items():
        sayable = [option.word for option in options]
        if kept.get(point) in sayable:
            words[point] = kept[point]
        else:
            words[point] = generator.choice(sayable)
    return realise_sentence(frame, pattern, slots, words)


def _asked(meaning: Meaning) -> bool:
    """Whether there are questions about a meaning; they are about what is past."""
    family = frames()[meaning.frame].family
    tense = dict(meaning.slots)["tense"]
    return family in _questions() and tense == "past"


def _question_and_answer(desk: _Desk) -> str:
    meaning = desk.meaning(_asked)
    source = desk.sentence(meaning)
    family = frames()[meaning.frame].family
    rows = _questions()[family]
    count = desk.generator.randint(1, len(rows))
    lines = [source.text]
    for question, answer in desk.generator.sample(rows, count):
        asked = _say(meaning, question, source, desk.generator)
        answered = _say(meaning, answer, source, desk.generator)
        lines.append(f"{asked} {answered}")
    separator = desk.generator.choice((" ", "\n"))
    return separator.join(lines)


def _check(desk: _Desk) -> str:
    meaning = desk.meaning(_can_star)
    source = desk.sentence(meaning)
    claim = rewrite(meaning, source, desk.generator, MEDIUM)
    verdict = "True."
    if desk.generator.random() < 0.5:
        other = _about(meaning, _hero(desk))
        # The very same agent would make a true claim, and one of the test split a leak.
        if other != meaning and split_of(other) == "train":
            claim = desk.sentence(other)
            verdict = "False."
    return f"{source.text} True or false? {claim.text} {verdict}"


def _things(desk: _Desk, count: int) -> list[str]:
    category = desk.generator.choice(phrases.LISTED)
    concepts = tuple(lexicon.concepts("noun", category).values())
    nouns = desk.generator.sample(concepts, count)
    # From two on, since the nouns are plural.
    numbers = list(lexicon.concepts("number").values())[1:10]
    # All numbers are drawn before any word: the order of draws is part of what a seed gives.
    picks = [(desk.generator.choice(numbers).words, noun.words) for noun in nouns]
    things = []
    for few, words in picks:
        number = desk.generator.choice(few)
        noun = desk.generator.choice(words)
        things.append(f"{number} {lexicon.plural(noun)}")
    return things


def _list(desk: _Desk) -> str:
    things = _things(desk, desk.generator.randint(5, 7))
    title = desk.generator.choice(phrases.LIST_TITLES)
    if desk.generator.random() < 0.5:
        lines = [f"- {thing}" for thing in things]
        return "\n".join([f"{title}:", *lines])
    *earlier, last = things
    return f"{title}: {', '.join(earlier)} and {last}."


def _defined(generator: random.Random) -> str:
    """A line that defines one noun by another of the same concept."""
    synonyms = []
    for category, concept in lexicon.nouns().values():
        if category in _DEFINABLE and len(concept.words) > 1:
            synonyms.append(concept.words)
    c, b = generator.sample(generator.choice(synonyms), 2)
    articles = {
        "A": lexicon.article(b).capitalize(),
        "a": lexicon.article(c),
        "a2": lexicon.article(b),
    }
    line = generator.choice(phrases.DEFINITIONS)
    return line.format(b=b, c=c, **articles)


def _definition(desk: _Desk) -> str:
    count = desk.generator.randint(3, 5)
    lines = [_defined(desk.generator) for _ in range(count)]
    # Drawn twice, a line is written once.
    return "\n".join(dict.fromkeys(lines))


def _news(desk: _Desk) -> str:
    cities = tuple(lexicon.concepts("noun", "city").values())
    city = desk.generator.choice(cities).words[0]
    count = desk.generator.randint(2, 4)
    sentences = [desk.fresh() for _ in range(count)]
    return f"News from {city}\n" + " ".join(sentences)


WRITERS: Sequence[tuple[Callable[[_Desk], str], float]] = (
    (_story, 0.2),
    (_question_and_answer, 0.2),
    (_letter, 0.06),
    (_talk, 0.07),
    (_check, 0.07),
    (_list, 0.07),
    (_definition, 0.05),
    (_news, 0.08),
)


def pretraining_documents(seed: int) -> Iterator[str]:
    """Plain-text documents of 10 to 120 words without end, the same for the same seed."""
    desk = _Desk(seed)
    writers, weights = zip(*WRITERS, strict=True)
    while True:
        paraphrase = desk.generator.random() < PARAPHRASE_SHARE
        write = _paraphrase if paraphrase else desk.generator.choices(writers, weights)[0]
        document = write(desk)
        while not SHORTEST <= len(document.split()) <= _LONGEST:
            document = write(desk)
        yield document
