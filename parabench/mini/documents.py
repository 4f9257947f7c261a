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
    rewrite,
)
from parabench.mini.meanings import Meaning, split_of
from parabench.mini.patterns import Pattern, frames, parse_pattern
from parabench.mini.speech import realise_sentence
from parabench.mini.writing_desk import WritingDesk

PARAPHRASE_SHARE = 0.37
SHORTEST, _LONGEST = 10, 120
"""Words of a document."""
_DEFINABLE = ("person", "vehicle", "furniture", "building", "room", "clothing")
"""Categories of nouns that take an article."""


def _paraphrase(desk: WritingDesk) -> str:
    meaning = desk.meaning()
    source = desk.sentence(meaning)
    depths = (LIGHT, MEDIUM, THOROUGH)
    (changes,) = desk.generator.choices(depths, (0.35, 0.35, 0.3))
    target = rewrite(meaning, source, desk.generator, changes)
    x, y = desk.names(2)
    cue = desk.phrase(phrases.CUES)
    return cue.format(a=source.text, b=target.text, x=x, y=y)


def _about(meaning: Meaning, hero: str) -> Meaning:
    """The meaning with another agent."""
    slots = dict(meaning.slots)
    slots["agent"] = hero
    return Meaning(meaning.frame, tuple(sorted(slots.items())))


def _can_star(meaning: Meaning) -> bool:
    """Whether a person could be the agent, and the tense is that of a story."""
    frame = frames()[meaning.frame]
    agent = frame.slots.get("agent")
    is_person = agent in ("who", "one", "whogroup")
    return is_person and _is_past(meaning)


def _is_past(meaning: Meaning) -> bool:
    return ("tense", "past") in meaning.slots


def _hero(desk: WritingDesk) -> str:
    """A first name as the concept of a slot: no determiner and no adjective before it."""
    names = tuple(lexicon.concepts("noun", "name"))
    return "//" + desk.generator.choice(names)


def _story_sentences(desk: WritingDesk, count: int) -> list[str]:
    hero = _hero(desk)
    sentences: list[str] = []
    while len(sentences) < count:
        drawn = desk.meaning_that(_can_star)
        meaning = _about(drawn, hero)
        concepts = [concept for _, concept in meaning.slots]
        # With another agent a meaning may be of another split, and the hero of two slots of it.
        if split_of(meaning) == "train" and concepts.count(hero) == 1:
            sentence = desk.sentence(meaning)
            sentences.append(sentence.text)
    return sentences


def _story(desk: WritingDesk) -> str:
    count = desk.number(2, 5)
    first, *others = _story_sentences(desk, count)
    told = [first]
    for sentence in others:
        link = desk.phrase(phrases.LINKS)
        told.append(link + sentence)
    return " ".join(told)


def _letter(desk: WritingDesk) -> str:
    x, y = desk.names(2)
    count = desk.number(2, 3)
    sentences = _story_sentences(desk, count)
    opening = desk.phrase(phrases.OPENINGS)
    closing = desk.phrase(phrases.CLOSINGS)
    text = " ".join(sentences)
    frame = opening + text + closing
    return frame.format(x=x, y=y)


def _talk(desk: WritingDesk) -> str:
    x, y = desk.names(2)
    pattern = desk.phrase(phrases.GREETINGS)
    greeting = pattern.format(y=y)
    news = desk.fresh()
    lines = [f"{x}: {greeting} {news}"]
    turns = desk.number(1, 2)
    for _ in range(turns):
        reply = desk.phrase(phrases.REPLIES)
        lines.append(f"{y}: {reply}")
        news = desk.fresh()
        lines.append(f"{x}: {news}")
    return "\n".join(lines)


@lru_cache(maxsize=1)
def _questions() -> dict[str, list[tuple[Pattern, Pattern]]]:
    """Patterns of a question and its answer, by family of frames."""
    parsed = {}
    for family, rows in phrases.QUESTIONS.items():
        pairs = []
        for question, answer in rows:
            # Nothing stands before the bar: neither uses an operation of a paraphrase.
            asked = parse_pattern(f"| {question}")
            answered = parse_pattern(f"| {answer}")
            pairs.append((asked, answered))
        parsed[family] = pairs
    return parsed


def _say(meaning: Meaning, pattern: Pattern, source: Realisation, generator: random.Random) -> str:
    slots = dict(meaning.slots)
    # Questions and answers leave open when it was and who says so.
    slots.pop("time", None)
    slots.pop("source", None)
    frame = frames()[meaning.frame]
    # The source's own words, where the pattern has room for them: an answer is found in the text.
    own_words = dict(source.words)
    words = {}
    for point, options in points(frame, pattern, slots).items():
        sayable = [option.word for option in options]
        word = own_words.get(point)
        if word is None or word not in sayable:
            word = generator.choice(sayable)
        words[point] = word
    return realise_sentence(frame, pattern, slots, words)


def _asked(meaning: Meaning) -> bool:
    """Whether there are questions about a meaning; they are about what is past."""
    family = frames()[meaning.frame].family
    return family in _questions() and _is_past(meaning)


def _question_and_answer(desk: WritingDesk) -> str:
    meaning = desk.meaning_that(_asked)
    source = desk.sentence(meaning)
    family = frames()[meaning.frame].family
    rows = _questions()[family]
    count = desk.number(1, len(rows))
    drawn = desk.generator.sample(rows, count)
    lines = [source.text]
    for question, answer in drawn:
        asked = _say(meaning, question, source, desk.generator)
        answered = _say(meaning, answer, source, desk.generator)
        lines.append(f"{asked} {answered}")
    separator = desk.phrase((" ", "\n"))
    return separator.join(lines)


def _check(desk: WritingDesk) -> str:
    meaning = desk.meaning_that(_can_star)
    source = desk.sentence(meaning)
    claim = rewrite(meaning, source, desk.generator, MEDIUM)
    verdict = "True."
    if desk.generator.random() < 0.5:
        hero = _hero(desk)
        other = _about(meaning, hero)
        # The very same agent would make a true claim, and one of the test split a leak.
        if other != meaning and split_of(other) == "train":
            claim = desk.sentence(other)
            verdict = "False."
    return f"{source.text} True or false? {claim.text} {verdict}"


def _things(desk: WritingDesk, count: int) -> list[str]:
    category = desk.phrase(phrases.LISTED)
    concepts = tuple(lexicon.concepts("noun", category).values())
    kinds = desk.generator.sample(concepts, count)
    # From two on, since the nouns are plural.
    numbers = tuple(lexicon.concepts("number").values())[1:10]
    # All numbers are drawn before any word: the order of draws is part of what a seed gives.
    amounts = [desk.generator.choice(numbers) for _ in kinds]
    things = []
    for amount, kind in zip(amounts, kinds, strict=True):
        number = desk.phrase(amount.words)
        noun = desk.phrase(kind.words)
        several = lexicon.plural(noun)
        things.append(f"{number} {several}")
    return things


def _list(desk: WritingDesk) -> str:
    count = desk.number(5, 7)
    things = _things(desk, count)
    title = desk.phrase(phrases.LIST_TITLES)
    if desk.generator.random() < 0.5:
        lines = [f"- {thing}" for thing in things]
        return "\n".join([f"{title}:", *lines])
    *earlier, last = things
    listed = ", ".join(earlier)
    return f"{title}: {listed} and {last}."


def _defined(generator: random.Random) -> str:
    """A line that defines one noun by another of the same concept."""
    synonyms = []
    for category, concept in lexicon.nouns().values():
        if category in _DEFINABLE and len(concept.words) > 1:
            synonyms.append(concept.words)
    words = generator.choice(synonyms)
    c, b = generator.sample(words, 2)
    articles = {
        "A": lexicon.article(b).capitalize(),
        "a": lexicon.article(c),
        "a2": lexicon.article(b),
    }
    line = generator.choice(phrases.DEFINITIONS)
    return line.format(b=b, c=c, **articles)


def _definition(desk: WritingDesk) -> str:
    count = desk.number(3, 5)
    lines = [_defined(desk.generator) for _ in range(count)]
    # Drawn twice, a line is written once.
    return "\n".join(dict.fromkeys(lines))


def _news(desk: WritingDesk) -> str:
    cities = tuple(lexicon.concepts("noun", "city").values())
    city = desk.generator.choice(cities)
    name = city.words[0]
    count = desk.number(2, 4)
    sentences = [desk.fresh() for _ in range(count)]
    text = " ".join(sentences)
    return f"News from {name}\n{text}"


WRITERS: Sequence[tuple[Callable[[WritingDesk], str], float]] = (
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
    desk = WritingDesk(seed)
    writers, weights = zip(*WRITERS, strict=True)
    while True:
        write = _paraphrase
        if desk.generator.random() >= PARAPHRASE_SHARE:
            (write,) = desk.generator.choices(writers, weights)
        document = write(desk)
        # The kind is kept, so that the shares are those of the documents that are short enough.
        while not _has_fitting_length(document):
            document = write(desk)
        yield document


def _has_fitting_length(document: str) -> bool:
    words = len(document.split())
    return SHORTEST <= words <= _LONGEST
