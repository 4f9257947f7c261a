"""The choices that each sentence pattern of the embedded language leaves open.

A frame's pattern is a list of pieces; every piece that can be said in several ways opens a *point*,
a named choice among words. With a word for every point, parabench.mini.speech makes the sentence.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from parabench.mini import lexicon
from parabench.mini.patterns import Frame, Pattern, frames

FACING = {
    "time": ("back", "front", "cleft"),
    "source": ("front", "that", "end", "aside"),
}


@dataclass(frozen=True)
class WordOption:
    """One way to say a point, and the operation it uses when it is not the commonest."""

    word: str
    operation: str


def _ranked(
    words: tuple[str, ...], operation: str = "synonym", negation: str = r"not |no "
) -> tuple[WordOption, ...]:
    """Words as options: the commonest uses no operation, one that matches ``negation`` negates."""
    common, *others = words
    options = [WordOption(common, "")]
    for word in others:
        negates = re.match(negation, word)
        options.append(WordOption(word, "negated antonym" if negates else operation))
    return tuple(options)


def _clock(value: str) -> tuple[str, ...]:
    hour, minutes = value.split(":")
    hours = lexicon.calendar("hours")
    # The hours begin with "one": the next hour's word is at the index of this one's number.
    now = hours[int(hour) - 1]
    following = hours[int(hour) % 12]
    spoken = {
        "00": (f"{hour} o'clock", f"{now} o'clock"),
        "15": (f"a quarter past {now}", f"{now} fifteen"),
        "30": (f"half past {now}", f"{now} thirty"),
        "45": (f"a quarter to {following}", f"{now} forty-five"),
    }
    return (value, *spoken[minutes])


def _time(tense: str, value: str) -> tuple[WordOption, ...]:
    if value.isdigit():
        return _ranked((f"in {value}", f"in the year {value}"), "number")
    if "/" not in value:
        group = "habit" if tense == "routine" else tense
        return _ranked(lexicon.concepts("time", group)[value].words, "number")
    month, day = value.split("/")
    ordinal = lexicon.calendar("days")[int(day) - 1]
    forms = (
        f"on {month} {day}",
        f"on the {ordinal} of {month}",
        f"on {day} {month}",
        f"on {month} the {ordinal}",
    )
    return _ranked(forms, "number")


@lru_cache(maxsize=100_000)
def _noun_points(slot: str, value: str) -> Mapping[str, tuple[WordOption, ...]]:
    determiner, adjective, noun = value.split("/")
    article = lexicon.determiners()[determiner]
    kind = "number" if determiner in lexicon.concepts("number") else "quantifier"
    # Words that take a singular come last: they are never the commonest.
    singular = tuple(WordOption(word, kind) for word in article.restricted)
    found = {f"{slot}:determiner": _ranked(article.words, kind) + singular}
    if adjective:
        found[f"{slot}:adjective"] = _ranked(lexicon.adjectives()[adjective].words)
    found[f"{slot}:noun"] = _ranked(lexicon.nouns()[noun][1].words)
    return found


@lru_cache(maxsize=100_000)
def _slot_points(
    frame: str, slot: str, form: str, value: str, negated: bool, passive: bool
) -> Mapping[str, tuple[WordOption, ...]]:
    """The points of one placeholder ``{slot.form}`` whose concept is ``value``."""
    if "/" in value:
        return _noun_points(slot, value)
    kind, _, group = frames()[frame].slots[slot].partition(" ")
    if kind == "verb":
        verb = lexicon.concepts("verb", group)[value]
        words = _verb_words(verb, form, negated, passive)
        point = "noun" if form == "noun" else "word"
        options = _ranked(words)
    else:
        point, options = _word_options(kind, group, form, value)
    return {f"{slot}:{point}": options}


def _word_options(
    kind: str, group: str, form: str, value: str
) -> tuple[str, tuple[WordOption, ...]]:
    """The point that a word of the concept ``value`` opens, and its options."""
    if kind in ("adjective", "ease"):
        table = lexicon.adjectives() if kind == "adjective" else lexicon.concepts("ease")
        concept = table[value]
        # Words that only follow a verb are none for the place before a noun.
        restricted = () if form == "plain" else concept.restricted
        return form or "word", _ranked(concept.words + restricted)
    if kind == "scale":
        operation = "negated antonym" if form == "opposite" else "synonym"
        return form, _ranked(lexicon.scale(group, value, form), operation)
    if kind == "clock":
        return "word", _ranked(_clock(value), "number")
    if kind in ("duration", "percent", "money"):
        amount = lexicon.concepts(kind)[value]
        return "word", _ranked(amount.words, "number")
    if kind == "kind" and group == "situation":
        # A situation is a clause, in which "not" is anywhere.
        situation = lexicon.concepts("situation")[value]
        return "word", _ranked(situation.words, negation=".* not ")
    _, noun = lexicon.nouns()[value]
    return "noun", _ranked(noun.words)


def _verb_words(verb: lexicon.Concept, form: str, negated: bool, passive: bool) -> tuple[str, ...]:
    """The words for a verb in a form, without those that its pattern has no place for."""
    if form == "noun":
        words = verb.nouns
    elif passive:
        words = verb.words
    else:
        words = verb.words + verb.restricted
    if negated:
        return words
    return tuple(word for word in words if not word.startswith("not "))


def _can_negate(slots: Mapping[str, str]) -> bool:
    # "Most guests did not accept" says something else than "Most guests refused".
    phrases = [value.split("/") for value in slots.values() if value.count("/") == 2]
    return all(determiner in ("the", "") for determiner, _, _ in phrases)


def usable_patterns(frame: Frame, slots: Mapping[str, str]) -> tuple[int, ...]:
    """The patterns that suit a meaning: a quantified phrase is not put in focus."""
    quantifiers = lexicon.concepts("quantifier")
    quantified = any(value.split("/")[0] in quantifiers for value in slots.values())
    usable = []
    for index, pattern in enumerate(frame.patterns):
        if not (quantified and "cleft" in pattern.operations):
            usable.append(index)
    return tuple(usable)


def _position_points(
    pattern: Pattern, slots: Mapping[str, str]
) -> Mapping[str, tuple[WordOption, ...]]:
    points = {}
    if "source" in slots:
        points["source:position"] = tuple(
            WordOption(word, "attribution") for word in FACING["source"]
        )
        points["source:said"] = _ranked(lexicon.concepts("function")["said"].words)
        points["source:word"] = _ranked(lexicon.concepts("source")[slots["source"]].words)
    if "time" in slots:
        fixed = {"cleft", "clause order"} & set(pattern.operations) or "source" in slots
        # "It was tomorrow that" is no English: only what is past can be put in focus.
        places = 3 if slots["tense"] == "past" else 2
        names = ("", "clause order", "cleft")
        options = tuple(map(WordOption, FACING["time"], names))
        points["time:position"] = options[: 1 if fixed else places]
        points["time:word"] = _time(slots["tense"], slots["time"])
    return points


def points(
    frame: Frame, pattern: Pattern, slots: Mapping[str, str]
) -> Mapping[str, tuple[WordOption, ...]]:
    """Every choice that a pattern leaves open for a meaning, by name.

    ``slots`` are the concepts of the meaning by slot of the ``frame``.
    """
    found = dict[str, tuple[WordOption, ...]]()
    functions = lexicon.concepts("function")
    can_negate = _can_negate(slots)
    for piece in pattern.pieces:
        slot = piece.slot
        if slot in frame.slots:
            negated = can_negate and slot in pattern.negatable
            passive = slot in pattern.passive
            found |= _slot_points(frame.name, slot, piece.form, slots[slot], negated, passive)
        elif slot in functions:
            found[f"{slot}:function"] = _ranked(functions[slot].words, "connective")
    return {**found, **_position_points(pattern, slots)}
