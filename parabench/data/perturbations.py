"""Small edits of a sentence: five that change what it says, and two that do not, for comparison.

Every rule is deliberately narrow: it edits where the result is a sentence and its effect on the
meaning is plain, and otherwise says that it does not apply. All of them are for English.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

Edit = Callable[[str, random.Random], str | None]
"""The edited text, or None where the rule does not apply."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


NEW_NAMES = _words("Alderton Barlow Carrick Denholm Farnley Lorne Marston Selby")
"""They fit a person as well as a place."""
DAYS = _words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
MONTHS = _words(
    "January February March April May June July August September October November December"
)
NOT_NAMES = _words(
    "Mr Mrs Miss Dr Professor Prime Minister Mayor President Captain University "
    "Christmas Easter God Mum Mom Dad Gran Granny Grandma"
)
UNITS = _words(
    "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen"
)
TENS = _words("twenty thirty forty fifty sixty seventy eighty ninety")


def _three_on(words: tuple[str, ...]) -> dict[str, str]:
    """Each number word and the one three further on; of the last three, the one before."""
    found = {}
    for place, word in enumerate(words):
        other = place + 3
        if other >= len(words):
            other = place - 3
        found[word] = words[other]
    return found


THREE_ON = {**_three_on(UNITS), **_three_on(TENS)}
"""What a number in words is changed to: far enough that it is no rounding."""
FUNCTION = _words(
    "about after against among and are as at because before behind below between but by can could "
    "did does during for from had has have if in into is like may might must near nor of on onto "
    "or over should since so than that the then through till to under until up was were when where "
    "which while who whose will with without would yet"
)
LOOSE = _words(
    "bit case cause end fact few first former kind last latter least left less little lot more "
    "most one only other part point rest result same sort time way"
)
"""They stand where a noun does without being one thing that could change places with another."""

HELPERS = "is|are|was|were|do|does|did|has|have|had|could|would|should|must|might"
DENIED = re.compile(
    rf"\b({HELPERS})n't\b|\b({HELPERS}|will|can|may) not\b|\b(can)(?:'t|not)\b", re.IGNORECASE
)
# only where no other denial follows: two would cancel out
AFFIRMED = re.compile(
    r"(?<=[a-z] )(?<!then )(is|are|was|were|will|would|can|could|should|must)"
    r"(?= (?!not|no |never|nothing|nobody|none|neither))"
)
# no ordinals, decimals or years' apostrophes: only whole numbers, with or without commas
DIGITS = re.compile(r"(?<![\w.,])(\d{1,3}(?:,\d{3})+|\d+)(?!\d|st\b|nd\b|rd\b|th\b)")
SAID = re.compile(rf"\b({'|'.join(THREE_ON)})\b", re.IGNORECASE)
# behind a lower-case word or a comma, so that it is not the capital of a sentence's first word
_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]{2,}\b")
# a noun with its article, and nothing of it behind: what follows is punctuation or a small word
PHRASE = re.compile(
    rf"\b(?:the|a|an|my|your|our) ([a-z]{{3,}})(?=[,.;:!]|$| (?:{'|'.join(FUNCTION)})\b)",
    re.IGNORECASE,
)
# the lookahead finds pairs that overlap: of three words, the first two and the last two
NEIGHBOURS = re.compile(r"(?<![\w'-])(?=([a-z]{4,}) ([a-z]{4,})(?![\w'-]))")
# "'s" is left out: it may be "is", "has" or a genitive
SHORTENED = re.compile(
    rf"\b(I)'(m)\b|\b(you|we|they)'(re)\b|\b(I|you|we|they)'(ve)\b|(?<=[a-z] )({HELPERS})(n't)\b"
)
FULL = {"m": "am", "re": "are", "ve": "have", "n't": "not"}
_LONG = re.compile(rf"\b({HELPERS}) not\b", re.IGNORECASE)


@dataclass(frozen=True)
class Perturbation:
    """An edit with its name, and whether the meaning survives it."""

    name: str
    edit: Edit
    keeps_meaning: bool = False


def negation(text: str, generator: random.Random) -> str | None:
    """Take out the first *not*, or put one behind the first fitting verb; questions ask the same
    and are left alone.
    """
    if "?" in text:
        return None
    affirmed = _once(DENIED, _without_denial, text)
    if affirmed is not None:
        return affirmed
    return _once(AFFIRMED, lambda found: f"{found[0]} not", text)


def _without_denial(found: re.Match[str]) -> str:
    """The helping verb alone: the one of the three groups that matched."""
    verb, *_ = filter(None, found.groups())
    return verb


def number(text: str, generator: random.Random) -> str | None:
    """Make the first number another one, in digits or in words; *one* is too often a pronoun."""
    hits = [hit for hit in (DIGITS.search(text), SAID.search(text)) if hit]
    if not hits:
        return None
    found = min(hits, key=lambda hit: hit.start())
    before = text[: found.start()]
    behind = text[found.end() :]
    other = _another_number(found[0])
    return before + other + behind


def entity(text: str, generator: random.Random) -> str | None:
    """Make the first name in the midst of a sentence another one, wherever it stands; a day stays a
    day.
    """
    names = _names(text)
    if not names:
        return None
    old = names[0]
    singular = old.removesuffix("s")  # "on Mondays"
    if singular in DAYS:
        old = singular
        new = _three_later(old, DAYS)
    elif singular in MONTHS:
        old = singular
        new = _three_later(old, MONTHS)
    else:
        unused = [name for name in NEW_NAMES if name not in text]
        new = generator.choice(unused)
    # the plural and the genitive keep their ending
    return re.sub(rf"\b{old}(?=s?\b)", new, text)


def _three_later(name: str, calendar: tuple[str, ...]) -> str:
    """The day or month three further on, behind the last the first again."""
    place = calendar.index(name) + 3
    return calendar[place % len(calendar)]


def roles(text: str, generator: random.Random) -> str | None:
    """Let the first two names change places, or where there are none the first two plain nouns with
    their articles.
    """
    spans = _name_spans(text)
    names = {text[start:end] for start, end in spans}
    if len(names) < 2:
        spans = _noun_spans(text)
    if len(spans) < 2 or "?" in text:
        return None
    (start, end), (begin, stop) = spans[:2]
    one = text[start:end]
    between = text[end:begin]
    two = text[begin:stop]
    # "Ann and Bob" means what "Bob and Ann" does
    is_list = re.fullmatch(r",? ?(and|or)? ?", between)
    are_equal = one.lower() == two.lower()
    if are_equal or is_list:
        return None
    # one of them begins a sentence: the other takes its capital over
    if one[0].isupper() != two[0].isupper():
        one = one[0].swapcase() + one[1:]
        two = two[0].swapcase() + two[1:]
    before = text[:start]
    behind = text[stop:]
    return before + two + between + one + behind


def _name_spans(text: str) -> list[tuple[int, int]]:
    """Where names are that could do something or have it done to them."""
    others = (*NOT_NAMES, *DAYS, *MONTHS)
    return [hit.span() for hit in _NAME.finditer(text) if hit[0] not in others]


def _noun_spans(text: str) -> list[tuple[int, int]]:
    """Where plain nouns are, with their articles."""
    others = (*LOOSE, *FUNCTION)
    return [hit.span() for hit in PHRASE.finditer(text) if hit[1] not in others]


def order(text: str, generator: random.Random) -> str | None:
    """Let two neighbouring words of four letters or more change places."""
    places = [hit for hit in NEIGHBOURS.finditer(text) if hit[1] != hit[2]]
    if not places:
        return None
    chosen = generator.choice(places)
    before = text[: chosen.start(1)]
    behind = text[chosen.end(2) :]
    return f"{before}{chosen[2]} {chosen[1]}{behind}"


def contraction(text: str, generator: random.Random) -> str | None:
    """Write the first *I'm*, *isn't* in full, or else the first *is not* short."""
    if "?" in text:
        return None
    longer = _once(SHORTENED, _in_full, text)
    if longer is not None:
        return longer
    return _once(_LONG, lambda found: f"{found[1]}n't", text)


def full_stop(text: str, generator: random.Random) -> str | None:
    """Take away the full stop at the end, or put one there."""
    if text.endswith(".."):
        return None
    if text.endswith("."):
        return text[:-1]
    # behind any other mark a full stop would be an error
    if text[-1:].isalnum():
        return f"{text}."
    return None


PERTURBATIONS = (
    Perturbation("negation", negation),
    Perturbation("number", number),
    Perturbation("entity", entity),
    Perturbation("roles", roles),
    Perturbation("order", order),
    Perturbation("contraction", contraction, keeps_meaning=True),
    Perturbation("full-stop", full_stop, keeps_meaning=True),
)


def _once(
    pattern: re.Pattern[str],
    edit: Callable[[re.Match[str]], str],
    text: str,
) -> str | None:
    """The text with the first match edited; None where there is none."""
    edited, count = pattern.subn(edit, text, count=1)
    return edited if count else None


def _in_full(found: re.Match[str]) -> str:
    # each alternative of the pattern has two groups: the word and its ending
    word, ending = filter(None, found.groups())
    return f"{word} {FULL[ending]}"


def _another_number(old: str) -> str:
    """A number that is three more, in the digits, commas and case of the old one."""
    if old[0].isdigit():
        value = int(old.replace(",", "")) + 3
        return f"{value:,}" if "," in old else str(value)
    new = THREE_ON[old.lower()]
    return new.capitalize() if old[0].isupper() else new


def _names(text: str) -> list[str]:
    return [hit for hit in _NAME.findall(text) if hit not in NOT_NAMES]
