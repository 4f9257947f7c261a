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


_Options = tuple[WordOption, ...]
_Points = Mapping[str, _Options]


def _ranked(
    words: tuple[str, ...], operation: str = "synonym", negation: str = r"not |no "
) -> _Options:
    """Words as options: the commonest uses no operation, one that matches ``negation`` negates."""
    common, *others = words
    options = [WordOption(common, "")]
    for word in others:
        negates = re.match(negation, word)
        used = "negated antonym" if negates else operation
        options.append(WordOption(word, used))
    return tuple(options)


def _clock(value: str) -> tuple[str, ...]:
    hour, minutes = value.split(":")
    number = int(hour)
    hours = lexicon.calendar("hours")
    # The hours begin with "one": the next hour's word is at the index of this one's number.
    now = hours[number - 1]
    following = hours[number % 12]
    spoken = {
        "00": (f"{hour} o'clock", f"{now} o'clock"),
        "15": (f"a quarter past {now}", f"{now} fifteen"),
        "30": (f"half past {now}", f"{now} thirty"),
        "45": (f"a quarter to {following}", f"{now} forty-five"),
    }
    return (value, *spoken[minutes])


def _time(tense: str, value: str) -> _Options:
    forms: tuple[str, ...]
    if value.isdigit():
        forms = (f"in {value}", f"in the year {value}")
    elif "/" in value:
        month, day = value.split("/")
        forms = _date(month, day)
    else:
        group = "habit" if tense == "routine" else tense
        phrase = lexicon.concepts("time", group)[value]
        forms = phrase.words
    return _ranked(forms, "number")


def _date(month: str, day: str) -> tuple[str, ...]:
    days = lexicon.calendar("days")
    ordinal = days[int(day) - 1]
    return (
        f"on {month} {day}",
        f"on the {ordinal} of {month}",
        f"on {day} {month}",
        f"on {month} the {ordinal}",
    )


@lru_cache(maxsize=100_000)
def _noun_points(slot: str, value: str) -> _Points:
    determiner, adjective, noun = value.split("/")
    found = {f"{slot}:determiner": _determiner_options(determiner)}
    if adjective:
        quality = lexicon.adjectives()[adjective]
        found[f"{slot}:adjective"] = _ranked(quality.words)
    _, thing = lexicon.nouns()[noun]
    found[f"{slot}:noun"] = _ranked(thing.words)
    return found


def _determiner_options(determiner: str) -> _Options:
    concept = lexicon.determiners()[determiner]
    is_number = determiner in lexicon.concepts("number")
    kind = "number" if is_number else "quantifier"
    # Words that take a singular come last: they are never the commonest.
    singular = [WordOption(word, kind) for word in concept.restricted]
    return (*_ranked(concept.words, kind), *singular)


@lru_cache(maxsize=100_000)
def _slot_points(
    frame: str, slot: str, form: str, value: str, negated: bool, passive: bool
) -> _Points:
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


def _word_options(kind: str, group: str, form: str, value: str) -> tuple[str, _Options]:
    """The point that a word of the concept ``value`` opens, and its options."""
    if kind in ("adjective", "ease"):
        table = lexicon.adjectives() if kind == "adjective" else lexicon.concepts("ease")
        concept = table[value]
        # Words that only follow a verb are none for the place before a noun.
        restricted = () if form == "plain" else concept.restricted
        return form or "word", _ranked(concept.words + restricted)
    if kind == "scale":
        degrees = lexicon.scale(group, value, form)
        operation = "negated antonym" if form == "opposite" else "synonym"
        return form, _ranked(degrees, operation)
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
    for value in slots.values():
        is_noun_phrase = value.count("/") == 2
        determiner = value.partition("/")[0]
        if is_noun_phrase and determiner not in ("the", ""):
            return False
    return True


def usable_patterns(frame: Frame, slots: Mapping[str, str]) -> tuple[int, ...]:
    """The patterns that suit a meaning: a quantified phrase is not put in focus."""
    quantifiers = lexicon.concepts("quantifier")
    determiners = [value.partition("/")[0] for value in slots.values()]
    quantified = any(determiner in quantifiers for determiner in determiners)
    usable = []
    for index, pattern in enumerate(frame.patterns):
        puts_in_focus = "cleft" in pattern.operations
        if not (quantified and puts_in_focus):
            usable.append(index)
    return tuple(usable)


def _source_points(source: str) -> _Points:
    """Where the one who tells is named, and the words for it."""
    positions = [WordOption(word, "attribution") for word in FACING["source"]]
    said = lexicon.concepts("function")["said"]
    teller = lexicon.concepts("source")[source]
    return {
        "source:position": tuple(positions),
        "source:said": _ranked(said.words),
        "source:word": _ranked(teller.words),
    }


def _time_positions(pattern: Pattern, slots: Mapping[str, str]) -> _Options:
    """Where the time may stand; the first is behind everything."""
    operations = ("", "clause order", "cleft")
    options = tuple(map(WordOption, FACING["time"], operations))
    # A sentence is turned round once: by its pattern, by its source, or by its time.
    is_turned = "cleft" in pattern.operations or "clause order" in pattern.operations
    if is_turned or "source" in slots:
        return options[:1]
    # "It was tomorrow that" is no English: only what is past can be put in focus.
    if slots["tense"] != "past":
        return options[:2]
    return options


def _position_points(pattern: Pattern, slots: Mapping[str, str]) -> _Points:
    found = dict[str, _Options]()
    if "source" in slots:
        found |= _source_points(slots["source"])
    if "time" in slots:
        found["time:position"] = _time_positions(pattern, slots)
        found["time:word"] = _time(slots["tense"], slots["time"])
    return found


def points(frame: Frame, pattern: Pattern, slots: Mapping[str, str]) -> _Points:
    """Every choice that a pattern leaves open for a meaning, by name.

    ``slots`` are the concepts of the meaning by slot of the ``frame``.
    """
    found = dict[str, _Options]()
    functions = lexicon.concepts("function")
    can_negate = _can_negate(slots)
    for piece in pattern.pieces:
        slot = piece.slot
        if slot in frame.slots:
            negated = can_negate and slot in pattern.negatable
            passive = slot in pattern.passive
            found |= _slot_points(frame.name, slot, piece.form, slots[slot], negated, passive)
        elif slot in functions:
            word = functions[slot]
            found[f"{slot}:function"] = _ranked(word.words, "connective")
    found |= _position_points(pattern, slots)
    return found
