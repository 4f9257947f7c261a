"""The sentence patterns of the embedded language and the choices that each leaves open.

A frame's pattern is a list of pieces; every piece that can be said in several ways opens a *point*,
a named choice among words. With a word for every point, parabench.mini.speech makes the sentence.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from parabench.mini import lexicon

TAGS = {"negated": "negated antonym", "order": "clause order"}
FACING = {
    "time": ("back", "front", "cleft"),
    "source": ("front", "that", "end", "aside"),
}


@dataclass(frozen=True)
class Piece:
    """Literal text (empty slot) or a placeholder `{slot.form>agrees}`."""

    text: str = ""
    slot: str = ""
    form: str = ""
    agrees: str = ""


@dataclass(frozen=True)
class Pattern:
    """One surface order of a frame, the operations it uses, and the verbs that may be negated or
    are passive.
    """

    pieces: tuple[Piece, ...]
    operations: tuple[str, ...]
    negatable: frozenset[str]
    passive: frozenset[str]


@dataclass(frozen=True)
class Frame:
    """A kind of sentence: its slots with what may fill them, and its patterns, the plain one
    first.
    """

    name: str
    family: str
    slots: Mapping[str, str]
    patterns: tuple[Pattern, ...]
    main: tuple[str, ...]
    tenses: tuple[str, ...]
    timed: bool
    attributed: bool


@dataclass(frozen=True)
class WordOption:
    """One way to say a point, and the operation it uses when it is not the commonest."""

    word: str
    operation: str


def _piece(text: str) -> Piece:
    if not text.startswith("{"):
        return Piece(text=text)
    body, _, agrees = text[1:-1].partition(">")
    slot, _, form = body.partition(".")
    return Piece(slot=slot[0].lower() + slot[1:], form=form, agrees=agrees)


def parse_pattern(line: str) -> Pattern:
    """A pattern as frames.toml writes it, "operations | text with {placeholders}"."""
    tags, _, body = line.partition("|")
    body = body.strip()
    # A pattern may stand after "Yesterday," or "said that": only the finished sentence gets its
    # capital.
    body = body[0].lower() + body[1:]
    body = body if "[]" in body or body.endswith("?") else body + " []"
    uses = re.findall(r"\{(\w+)[.>}]", body)
    safe = re.findall(r"\{(\w+)(?:>|\.singular)", body) + re.findall(
        r"\{be>\w+\} \{(\w+)\.participle", body
    )
    return Pattern(
        tuple(_piece(text) for text in re.split(r"(\{[^}]*\})", body) if text),
        tuple(TAGS.get(tag, tag) for tag in tags.split()),
        frozenset(slot for slot in safe if uses.count(slot) == safe.count(slot)),
        frozenset(re.findall(r"\{(\w+)\.participle", body))
        if "aving {" not in body
        else frozenset(),
    )


def _frame(name: str, entry: Mapping[str, str], family: Mapping[str, Any]) -> Frame:
    slots = {slot: spec for slot, spec in entry.items() if slot not in ("family", "tenses")}
    return Frame(
        name,
        entry["family"],
        slots,
        tuple(parse_pattern(line) for line in family["patterns"]),
        tuple(family["main"].split()),
        tuple(entry.get("tenses", "past future").split()),
        family.get("time", True),
        family.get("attribution", True) and family.get("time", True),
    )


@lru_cache(maxsize=1)
def frames() -> Mapping[str, Frame]:
    """All frames by name."""
    tables = tomllib.loads(Path(__file__).with_name("frames.toml").read_text(encoding="utf-8"))
    return {
        name: _frame(name, entry, tables["family"][entry["family"]])
        for name, entry in tables["frame"].items()
    }


def _ranked(words: tuple[str, ...], operation: str = "synonym") -> tuple[WordOption, ...]:
    return tuple(
        WordOption(
            word,
            "" if rank == 0 else "negated antonym" if re.match(r"not |no ", word) else operation,
        )
        for rank, word in enumerate(words)
    )


def _clock(value: str) -> tuple[str, ...]:
    hour, minutes = value.split(":")
    words = lexicon.calendar("hours")
    now, following = words[int(hour) - 1], words[int(hour) % 12]
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
        return _ranked(
            lexicon.concepts("time", "habit" if tense == "routine" else tense)[value].words,
            "number",
        )
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
    found = {f"{slot}:determiner": _ranked(article.words, kind)}
    if article.restricted:
        found[f"{slot}:determiner"] += tuple(WordOption(word, kind) for word in article.restricted)
    if adjective:
        found[f"{slot}:adjective"] = _ranked(lexicon.adjectives()[adjective].words)
    return {**found, f"{slot}:noun": _ranked(lexicon.nouns()[noun][1].words)}


@lru_cache(maxsize=100_000)
def _slot_points(
    frame: str, slot: str, form: str, value: str, negated: bool, passive: bool
) -> Mapping[str, tuple[WordOption, ...]]:
    kind, _, group = frames()[frame].slots[slot].partition(" ")
    if "/" in value:
        return _noun_points(slot, value)
    if kind == "verb":
        verb = lexicon.concepts("verb", group)[value]
        words = verb.nouns if form == "noun" else verb.words + (() if passive else verb.restricted)
        words = words if negated else tuple(word for word in words if not word.startswith("not "))
        return {f"{slot}:{'noun' if form == 'noun' else 'word'}": _ranked(words)}
    if kind == "adjective" or kind == "ease":
        concept = (
            lexicon.adjectives()[value] if kind == "adjective" else lexicon.concepts("ease")[value]
        )
        restricted = () if form == "plain" else concept.restricted
        return {f"{slot}:{form or 'word'}": _ranked(concept.words + restricted)}
    if kind == "scale":
        operation = "negated antonym" if form == "opposite" else "synonym"
        return {f"{slot}:{form}": _ranked(lexicon.scale(group, value, form), operation)}
    if kind == "clock":
        return {f"{slot}:word": _ranked(_clock(value), "number")}
    if kind in ("duration", "percent", "money"):
        return {f"{slot}:word": _ranked(lexicon.concepts(kind)[value].words, "number")}
    if kind == "kind" and group == "situation":
        phrases = lexicon.concepts("situation")[value].words
        return {
            f"{slot}:word": tuple(
                WordOption(
                    phrase,
                    "" if rank == 0 else "negated antonym" if " not " in phrase else "synonym",
                )
                for rank, phrase in enumerate(phrases)
            )
        }
    return {f"{slot}:noun": _ranked(lexicon.nouns()[value][1].words)}


def _can_negate(slots: Mapping[str, str]) -> bool:
    # "Most guests did not accept" says something else than "Most guests refused".
    return all(
        value.split("/")[0] in ("the", "") for value in slots.values() if value.count("/") == 2
    )


def usable_patterns(frame: Frame, slots: Mapping[str, str]) -> tuple[int, ...]:
    """The patterns that suit a meaning: a quantified phrase is not put in focus."""
    quantified = any(
        value.split("/")[0] in lexicon.concepts("quantifier") for value in slots.values()
    )
    return tuple(
        index
        for index, pattern in enumerate(frame.patterns)
        if not (quantified and "cleft" in pattern.operations)
    )


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
        places = 1 if fixed else 3 if slots["tense"] == "past" else 2
        names = ("", "clause order", "cleft")
        points["time:position"] = tuple(map(WordOption, FACING["time"][:places], names[:places]))
        points["time:word"] = _time(slots["tense"], slots["time"])
    return points


def points(
    frame: Frame, pattern: Pattern, slots: Mapping[str, str]
) -> Mapping[str, tuple[WordOption, ...]]:
    """Every choice that a pattern leaves open for a meaning, by name."""
    found = dict[str, tuple[WordOption, ...]]()
    negate = _can_negate(slots)
    for piece in pattern.pieces:
        if piece.slot in frame.slots:
            negated, passive = (
                negate and piece.slot in pattern.negatable,
                piece.slot in pattern.passive,
            )
            found.update(
                _slot_points(
                    frame.name, piece.slot, piece.form, slots[piece.slot], negated, passive
                )
            )
        elif piece.slot in lexicon.concepts("function"):
            words = lexicon.concepts("function")[piece.slot].words
            found[f"{piece.slot}:function"] = _ranked(words, "connective")
    return {**found, **_position_points(pattern, slots)}
