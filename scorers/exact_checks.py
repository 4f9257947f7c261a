"""Exact checks of meaning for what a sentence's vectors do not see, in English.

The vectors of "He won nine games" are next to those of "He won five games", "He never won nine
games" and "He lost nine games". Each check finds one such fault by words alone. What a text says is
*attested* where its source or one of its references says it too: people may add a number or deny
the opposite, and what one of them did is no fault.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from parabench.stats.folding import fold

CHECKS = ("number", "negation", "name", "direction", "question", "order", "repetition")
"""What ``faults`` looks for, in its order."""
CHECKS_VERSION = "english-2"
"""For signatures; changes when a rule or a word list does."""

_UNITS = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
    sixteen seventeen eighteen nineteen
    """
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_VALUES = {
    **{word: float(value) for value, word in enumerate(_UNITS.split())},
    **{word: 10.0 * place for place, word in enumerate(_TENS.split(), start=2)},
}
_SCALES = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9}
_SMALLEST = 3
"""Smaller numbers are not compared: people also say them as *no*, *a*, *both* and *twice*."""
_NUMBER = re.compile(r"\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|[a-z]+", re.IGNORECASE)

_DENIED = re.compile(
    r"\b(?:not|no|nope|never|none|nobody|nothing|nowhere|neither|nor|cannot|without)\b|n['’]t\b",
    re.IGNORECASE,
)
_SOFT_TEXT = """
    any avoid avoided barely beyond but decline declined declines denied denies deny despite doubt
    doubted doubts except fail failed failing fails far few fewer first forget forgot free hardly
    however if ill illegal instead keep keeps kept lack lacked lacking lacks last least left less
    little lose loses lost miss missed misses missing mistake only other otherwise out rarely rather
    refusal refuse refused refuses rejected scarcely seldom still stop stopped stops though too
    unless until yet zero
    """
_SOFT_WORDS = frozenset(_SOFT_TEXT.split())
_SOFT_FORMS = re.compile(r"un[a-z]{4,}|(?:im|ir|in)[a-z]{4,}(?:able|ible|ent|ar)|[a-z]{3,}less")
"""With these words and ``_SOFT_WORDS`` people deny without a negation, so nothing is known."""

# behind a lower-case word or a comma, so that the capital is not that of a sentence's first word
_NAME = re.compile(r"(?<=[a-z0-9,;] )[A-Z][a-z]+(?:['’]?[A-Z][a-z]+)*\b")
_TITLES = "i mr mrs ms miss dr professor president minister captain sir"
_NO_NAMES = frozenset(_TITLES.split())

_OPPOSITES_TEXT = """
    up/down upward/downward upwards/downwards upstairs/downstairs above/below over/under
    before/after earlier/later rise/fall rises/falls rose/fell risen/fallen rising/falling
    increase/decrease increases/decreases increased/decreased increasing/decreasing grow/shrink
    grows/shrinks grew/shrank more/fewer more/less higher/lower high/low larger/smaller
    bigger/smaller longer/shorter better/worse best/worst open/close opens/closes opened/closed
    win/lose wins/loses won/lost winning/losing buy/sell buys/sells bought/sold buying/selling
    borrow/lend borrowed/lent arrive/leave arrives/leaves arrived/left enter/leave entered/left
    begin/end begins/ends began/ended start/stop starts/stops started/stopped accept/reject
    accepts/rejects accepted/rejected accept/refuse accepted/refused allow/forbid allows/forbids
    allowed/forbidden allowed/banned pass/fail passed/failed succeed/fail succeeded/failed
    remember/forget remembered/forgot love/hate loved/hated agree/disagree agreed/disagreed
    import/export north/south northern/southern east/west eastern/western left/right inside/outside
    near/far always/never often/rarely often/seldom everyone/nobody everybody/nobody all/none
    possible/impossible likely/unlikely true/false hot/cold warm/cool old/new old/young rich/poor
    strong/weak early/late fast/slow quickly/slowly full/empty cheap/expensive easy/hard
    easy/difficult morning/evening summer/winter
    """
_PAIRS = [pair.split("/") for pair in _OPPOSITES_TEXT.split()]
_OPPOSITES = [(one, other) for pair in _PAIRS for one, other in (pair, reversed(pair))]

_QUESTION = re.compile("[?\uff1f\u061f]")
"""Question marks: Latin, of full width, Arabic."""
_STATEMENT = re.compile("[.!\u2026\u3002\uff01][\\s\"'\u2019\u201d\u00bb)]*\\Z")
"""The end of a statement: a full stop or its like, and what closes quotes and brackets."""

_SEQUENCE = 4
"""Words in a sequence that a text repeats."""


@dataclass(frozen=True)
class _Said:
    """What the checks read of one text.

    ``denies`` is None where the text may be meant either way: a question, or one with soft words;
    ``asks`` where it ends without a mark, as a text without any punctuation does.
    """

    words: tuple[str, ...]
    numbers: frozenset[float]
    names: frozenset[str]
    has_negation: bool
    denies: bool | None
    asks: bool | None


def faults(text: str, source: str, references: Sequence[str]) -> tuple[bool, ...]:
    """Return for each of ``CHECKS`` whether the ``text`` has that fault.

    - ``number``: a number that is not attested, or the lack of one that the source and all
      references have; *nine* is 9, *two hundred and twelve* 212;
    - ``negation``: negated where the source and all references are plainly not, or the other way
      round;
    - ``name``: a capitalised word within it that is not attested, or the lack of a name of the
      source that all references have;
    - ``direction``: *fell*, which is not attested, in the place of the source's *rose*;
    - ``question``: no question where the source and all references ask, as an answer is none, or
      the other way round;
    - ``order``: all words of the source, each as often, in another order: roles are exchanged, or
      it is no sentence;
    - ``repetition``: a sequence of four words again, more often than the source and any reference.

    Without ``references`` the source alone attests. An empty text lacks what it lacks.
    """
    said, start = _read(text), _read(source)
    people = [start, *map(_read, references)]
    attested = frozenset[str]().union(*(one.words for one in people))
    repeats = max(_repeats(one.words) for one in people)
    return (
        _differs(said.numbers, [one.numbers for one in people]),
        said.denies is not None and {one.denies for one in people} == {not said.denies},
        _has_other_names(said, people, attested),
        _is_opposite(said, start, attested),
        said.asks is not None and {one.asks for one in people} == {not said.asks},
        _is_reordered(said.words, start.words, {one.words for one in people}),
        _repeats(said.words) > repeats,
    )


@lru_cache(maxsize=1 << 13)
def _read(text: str) -> _Said:
    words = tuple(fold(text).split())
    names = frozenset(_bare(match.group().casefold()) for match in _NAME.finditer(text))
    has_negation = _DENIED.search(text) is not None
    denies: bool | None = has_negation
    is_soft = any(word in _SOFT_WORDS or _SOFT_FORMS.fullmatch(word) for word in words)
    # "Won't you come?" asks what "Will you come?" asks
    if text.rstrip().endswith("?") or (is_soft and not has_negation):
        denies = None
    asks = True if _QUESTION.search(text) else None
    if asks is None and _STATEMENT.search(text):
        asks = False
    return _Said(words, frozenset(_numbers(text)), names - _NO_NAMES, has_negation, denies, asks)


def _differs(own: frozenset[float], people: Sequence[frozenset[float]]) -> bool:
    """Whether a text has what none of the others has, or lacks what all of them have."""
    has_new = not own <= frozenset[float]().union(*people)
    return has_new or not people[0].intersection(*people[1:]) <= own


def _has_other_names(said: _Said, people: Sequence[_Said], attested: frozenset[str]) -> bool:
    # Words are searched for names: at the start of a sentence a name looks like any other word.
    known = frozenset(map(_bare, attested))
    asked = people[0].names.intersection(*(map(_bare, one.words) for one in people[1:]))
    return not said.names <= known or not asked <= frozenset(map(_bare, said.words))


def _bare(word: str) -> str:
    """A name without the ending of its genitive or plural."""
    return word.removesuffix("s")


def _is_opposite(said: _Said, start: _Said, attested: frozenset[str]) -> bool:
    own, given = set(said.words), set(start.words)
    # "closes at five" may be "does not stay open after five", and "A is better than B" may be "B is
    # worse than A"
    if said.has_negation != start.has_negation or "than" in own:
        return False
    return any(
        word in own and word not in attested and opposite in given - own
        for word, opposite in _OPPOSITES
    )


def _is_reordered(
    words: tuple[str, ...], source: tuple[str, ...], attested: set[tuple[str, ...]]
) -> bool:
    return words not in attested and Counter(words) == Counter(source)


def _repeats(words: tuple[str, ...]) -> int:
    """How many sequences of four words a text holds again."""
    spans = [words[at : at + _SEQUENCE] for at in range(len(words) - _SEQUENCE + 1)]
    return len(spans) - len(set(spans))


def _numbers(text: str) -> Iterator[float]:
    """The numbers of a text from ``_SMALLEST`` on, in digits and in words."""
    number: float | None = None  # what is read so far of one that may take several words
    for match in _NUMBER.finditer(text):
        word = match.group().lower()
        if word in _SCALES:
            number = (number or 1.0) * _SCALES[word]
            continue
        if word == "and" and number is not None and number >= 100:
            continue
        value = float(word.replace(",", "")) if word[0].isdigit() else _VALUES.get(word)
        if value is not None and number is not None and _continues(number, value):
            number += value
            continue
        if number is not None and number >= _SMALLEST:
            yield number
        number = value
    if number is not None and number >= _SMALLEST:
        yield number


def _continues(number: float, value: float) -> bool:
    """Whether a word goes on a number: *one* after *twenty*, *forty* after *hundred*."""
    if number in range(20, 100, 10):
        return value < 10
    return number >= 100 and number % 100 == 0 and value < 100
