"""Attackers that are not in the program: most of them know what people write, but not of what.

They answer with phrases of the references of the whole test set, with the reference of the nearest
sentence, with synonyms of function words alone. A headline that only stops the attackers it was
made with would pass them.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from parabench.baselines.attack_words import HYPONYMS, exchange_words

from parabench.contracts import Example

_FUNCTION_WORDS = {
    "although": "even though",
    "and": "as well as",
    "after": "following",
    "because": "since",
    "before": "prior to",
    "but": "however",
    "can": "is able to",
    "if": "in case",
    "many": "a lot of",
    "must": "have to",
    "often": "frequently",
    "only": "just",
    "should": "ought to",
    "so": "therefore",
    "to": "in order to",
    "until": "up to the time that",
    "very": "really",
    "when": "at the time that",
    "while": "whereas",
    "will": "is going to",
    "with": "together with",
}
_HYPERNYMS = ("thing", "person", "place", "something", "someone", "event", "matter", "part")
_TEMPLATES = (
    "It is said that {}, as has been reported.",
    "People say that {}.",
    "What is meant is that {}.",
    "In other words, {}.",
    "To put it another way, {}.",
    "The fact is that {}.",
    "I would say that {}.",
    "It turns out that {}.",
)
_STUFFED_OF = 40
"""Frequent sequences of four words of the references that stuffing draws from."""

Answers = list[list[str]]


def reference_attackers(examples: Sequence[Example]) -> Iterator[tuple[str, Answers]]:
    """Names, and one text of each example."""
    sources = [one.source for one in examples]
    for name, change in _PLAIN.items():
        yield name, [[change(source, place)] for place, source in enumerate(sources)]
    frequent = _frequent_sequences(examples)
    chance = random.Random(0)
    yield (
        "try-reference-stuffing",
        [[f"{_half(one)} {' '.join(frequent[:3])}"] for one in sources],
    )
    yield (
        "try-varied-stuffing",
        [[f"{_half(one)} {' '.join(chance.sample(frequent, 4))}"] for one in sources],
    )
    babble = _babbler(examples)
    yield (
        "try-babble",
        [[f"{_half(one)} {babble(len(one.split()) // 2 + 1)}"] for one in sources],
    )
    near = _nearest(sources)
    yield "try-neighbours-reference", [[examples[place].references[0]] for place in near]
    yield (
        "try-half-and-neighbour",
        [
            [f"{_half(one)} {examples[place].references[0]}"]
            for one, place in zip(sources, near, strict=True)
        ],
    )


def _half(source: str) -> str:
    words = source.split()
    return " ".join(words[: max(1, len(words) // 2)])


def _function_words(source: str, place: int) -> str:
    return re.sub(r"\b\w+\b", lambda match: _FUNCTION_WORDS.get(match[0].lower(), match[0]), source)


def _back_to_front(source: str, place: int) -> str:
    body = source.rstrip(".!?")
    clauses = re.split(r",\s*|\s+(?=and |but |because |when |if |while |before |after )", body)
    if len(clauses) < 2:
        words = body.split()
        clauses = [" ".join(words[: len(words) // 2]), " ".join(words[len(words) // 2 :])]
    return _function_words(f"{', '.join(reversed(clauses))}.", place)


def _every_third_word(source: str, place: int) -> str:
    words = source.split()
    return " ".join(
        _HYPERNYMS[at % len(_HYPERNYMS)] if at % 3 == 2 else word for at, word in enumerate(words)
    )


def _verb_last(source: str, place: int) -> str:
    words = source.rstrip(".!?").split()
    if len(words) < 4:
        return source
    return _function_words(f"{' '.join([*words[:2], *words[3:], words[2]])}.", place)


def _template(source: str, place: int) -> str:
    body = source.rstrip(".!? ")
    return _TEMPLATES[place % len(_TEMPLATES)].format(body[:1].lower() + body[1:])


def _template_hyponym(source: str, place: int) -> str:
    return _template(exchange_words(source, HYPONYMS), place)


def _half_twice(source: str, place: int) -> str:
    return f"{_half(source)}, {_half(source)}."


_PLAIN: dict[str, Callable[[str, int], str]] = {
    "try-function-words": _function_words,
    "try-back-to-front": _back_to_front,
    "try-every-third-word": _every_third_word,
    "try-verb-last": _verb_last,
    "try-many-templates": _template,
    "try-template-and-hyponym": _template_hyponym,
    "try-half-twice": _half_twice,
}


def _words(text: str) -> list[str]:
    return re.findall(r"\w+(?:['’-]\w+)*", text.lower())


def _frequent_sequences(examples: Sequence[Example]) -> list[str]:
    """Sequences of four words that the references of most examples hold."""
    holders = Counter[tuple[str, ...]]()
    for one in examples:
        texts = [_words(reference) for reference in one.references]
        holders.update({tuple(text[at : at + 4]) for text in texts for at in range(len(text) - 3)})
    return [" ".join(gram) for gram, _ in holders.most_common(_STUFFED_OF)]


def _babbler(examples: Sequence[Example]) -> Callable[[int], str]:
    """A second-order Markov chain of the words of all references."""
    follow: dict[tuple[str, str], list[str]] = {}
    for one in examples:
        for reference in one.references:
            words = ["", "", *reference.lower().split()]
            for at in range(2, len(words)):
                follow.setdefault((words[at - 2], words[at - 1]), []).append(words[at])
    chance = random.Random(0)

    def babble(count: int) -> str:
        state, said = ("", ""), list[str]()
        while len(said) < count:
            following = follow.get(state)
            if following is None:
                state = ("", "")
                continue
            word = chance.choice(following)
            state = (state[1], word)
            said.append(word)
        return " ".join(said)

    return babble


def _nearest(sources: Sequence[str]) -> list[int]:
    """For each source the place of another one that shares most words with it."""
    bags = [frozenset(_words(source)) for source in sources]
    near = []
    for place, bag in enumerate(bags):
        shared = [
            -1.0 if other == place else len(bag & theirs) / (1 + len(bag | theirs))
            for other, theirs in enumerate(bags)
        ]
        near.append(max(range(len(bags)), key=shared.__getitem__))
    return near
