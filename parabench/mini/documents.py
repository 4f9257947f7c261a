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
from parabench.mini.grammar import Pattern, frames, parse_pattern, points
from parabench.mini.language import (
    LIGHT,
    MEDIUM,
    THOROUGH,
    Realisation,
    realisations,
    rewrite,
)
from parabench.mini.meanings import Meaning, meanings, split_of
from parabench.mini.speech import realise_sentence

PARAPHRASE_SHARE = 0.37
SHORTEST, _LONGEST = 10, 120


class _Desk:
    """Where the writers of all kinds of documents get their meanings, names and chance from."""

    def __init__(self, seed: int) -> None:
        self.generator = random.Random(f"documents {seed}")
        self.supply = meanings("train", seed)

    def names(self, count: int) -> list[str]:
        """Distinct first names."""
        names = [concept.words[0] for concept in lexicon.concepts("noun", "name").values()]
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
    return desk.generator.choice(phrases.CUES).format(a=source.text, b=target.text, x=x, y=y)


def _about(meaning: Meaning, hero: str) -> Meaning:
    slots = {**dict(meaning.slots), "agent": hero}
    return Meaning(meaning.frame, tuple(sorted(slots.items())))


def _can_star(meaning: Meaning) -> bool:
    slots = frames()[meaning.frame].slots
    return (
        slots.get("agent") in ("who", "one", "whogroup") and dict(meaning.slots)["tense"] == "past"
    )


def _story_sentences(desk: _Desk, count: int) -> list[str]:
    hero = "//" + desk.generator.choice(tuple(lexicon.concepts("noun", "name")))
    sentences: list[str] = []
    while len(sentences) < count:
        meaning = _about(desk.meaning(_can_star), hero)
        if split_of(meaning) == "train" and list(dict(meaning.slots).values()).count(hero) == 1:
            sentences.append(desk.sentence(meaning).text)
    return sentences


def _story(desk: _Desk) -> str:
    first, *others = _story_sentences(desk, desk.generator.randint(2, 5))
    return " ".join(
        [first, *(desk.generator.choice(phrases.LINKS) + sentence for sentence in others)]
    )


def _letter(desk: _Desk) -> str:
    x, y = desk.names(2)
    body = " ".join(_story_sentences(desk, desk.generator.randint(2, 3)))
    frame = desk.generator.choice(phrases.OPENINGS) + body + desk.generator.choice(phrases.CLOSINGS)
    return frame.format(x=x, y=y)


def _talk(desk: _Desk) -> str:
    x, y = desk.names(2)
    lines = [f"{x}: {desk.generator.choice(phrases.GREETINGS).format(y=y)} {desk.fresh()}"]
    for _ in range(desk.generator.randint(1, 2)):
        lines += [f"{y}: {desk.generator.choice(phrases.REPLIES)}", f"{x}: {desk.fresh()}"]
    return "\n".join(lines)


@lru_cache(maxsize=1)
def _questions() -> dict[str, list[tuple[Pattern, Pattern]]]:
    parsed = {}
    for family, rows in phrases.QUESTIONS.items():
        parsed[family] = [(parse_pattern(f"| {q}"), parse_pattern(f"| {a}")) for q, a in rows]
    return parsed


def _say(meaning: Meaning, pattern: Pattern, source: Realisation, generator: random.Random) -> str:
    # The source's own words, where the pattern has room for them: an answer is found in the text.
    slots = {slot: concept for slot, concept in meaning.slots if slot not in ("time", "source")}
    frame = frames()[meaning.frame]
    kept = dict(source.words)
    words = {}
    for point, options in points(frame, pattern, slots).items():
        sayable = [option.word for option in options]
        words[point] = kept[point] if kept.get(point) in sayable else generator.choice(sayable)
    return realise_sentence(frame, pattern, slots, words)


def _asked(meaning: Meaning) -> bool:
    return frames()[meaning.frame].family in _questions() and dict(meaning.slots)["tense"] == "past"


def _question_and_answer(desk: _Desk) -> str:
    meaning = desk.meaning(_asked)
    source = desk.sentence(meaning)
    rows = _questions()[frames()[meaning.frame].family]
    chosen = desk.generator.sample(rows, desk.generator.randint(1, len(rows)))
    lines = [
        f"{_say(meaning, question, source, desk.generator)} "
        f"{_say(meaning, answer, source, desk.generator)}"
        for question, answer in chosen
    ]
    return desk.generator.choice((" ", "\n")).join([source.text, *lines])


def _check(desk: _Desk) -> str:
    meaning = desk.meaning(_can_star)
    source = desk.sentence(meaning)
    claim = rewrite(meaning, source, desk.generator, MEDIUM)
    verdict = "True."
    if desk.generator.random() < 0.5:
        hero = "//" + desk.generator.choice(tuple(lexicon.concepts("noun", "name")))
        other = _about(meaning, hero)
        if other != meaning and split_of(other) == "train":
            claim = desk.sentence(other)
            verdict = "False."
    return f"{source.text} True or false? {claim.text} {verdict}"


def _things(desk: _Desk, count: int) -> list[str]:
    category = desk.generator.choice(phrases.LISTED)
    nouns = desk.generator.sample(tuple(lexicon.concepts("noun", category).values()), count)
    numbers = list(lexicon.concepts("number").values())[1:10]
    picks = [(desk.generator.choice(numbers).words, noun.words) for noun in nouns]
    return [
        f"{desk.generator.choice(few)} {lexicon.plural(desk.generator.choice(words))}"
        for few, words in picks
    ]


def _list(desk: _Desk) -> str:
    things = _things(desk, desk.generator.randint(5, 7))
    title = desk.generator.choice(phrases.LIST_TITLES)
    if desk.generator.random() < 0.5:
        return f"{title}:\n" + "\n".join(f"- {thing}" for thing in things)
    return f"{title}: {', '.join(things[:-1])} and {things[-1]}."


def _defined(generator: random.Random) -> str:
    pairs = [
        concept.words
        for category, concept in lexicon.nouns().values()
        if len(concept.words) > 1
        and category in ("person", "vehicle", "furniture", "building", "room", "clothing")
    ]
    c, b = generator.sample(generator.choice(pairs), 2)
    articles = {
        "A": lexicon.article(b).capitalize(),
        "a": lexicon.article(c),
        "a2": lexicon.article(b),
    }
    return generator.choice(phrases.DEFINITIONS).format(b=b, c=c, **articles)


def _definition(desk: _Desk) -> str:
    lines = dict.fromkeys(_defined(desk.generator) for _ in range(desk.generator.randint(3, 5)))
    return "\n".join(lines)


def _news(desk: _Desk) -> str:
    city = desk.generator.choice(tuple(lexicon.concepts("noun", "city").values())).words[0]
    return f"News from {city}\n" + " ".join(
        desk.fresh() for _ in range(desk.generator.randint(2, 4))
    )


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
