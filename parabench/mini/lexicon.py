"""The words of the embedded language: concepts, their inflection, and the check that no word has
two meanings.

The data stand in lexicon.toml; this module reads them once and inflects on demand.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

VOWELS = "aeiou"
CONSONANT_SOUNDS = ("uni", "use", "eur", "one", "once")
SILENT_H = ("hour", "honest")
_FORMS = ("base", "past", "participle", "ing", "third")


@dataclass(frozen=True)
class Concept:
    """One meaning and the words that can say it, commonest first.

    `restricted` are words that only follow a verb (adjectives) or take a singular (quantifiers);
    `nouns` are a verb's nominalisations, `objects` the noun categories that it may take.
    """

    name: str
    words: tuple[str, ...]
    restricted: tuple[str, ...] = ()
    nouns: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    preposition: str = ""


@lru_cache(maxsize=1)
def _tables() -> Mapping[str, Any]:
    path = Path(__file__).with_name("lexicon.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _words(text: str) -> tuple[str, ...]:
    # A comma inside a number ("$1,000") has no space after it.
    return tuple(word.strip() for word in text.split(", ") if word.strip())


def _parse(name: str, line: str) -> Concept:
    """``preposition: words; restricted words > nouns -> objects``, all but the words optional."""
    line, _, objects = line.partition("->")
    line, _, nouns = line.partition(">")
    before, colon, after = line.partition(": ")
    preposition, line = (before, after) if colon else ("", line)
    words, _, restricted = line.partition(";")
    return Concept(
        name=name,
        words=_words(words),
        restricted=_words(restricted),
        nouns=_words(nouns),
        objects=tuple(objects.split()),
        preposition=preposition,
    )


@cache
def concepts(table: str, group: str = "") -> Mapping[str, Concept]:
    """The concepts of a table of lexicon.toml, such as `noun`, `vehicle`."""
    lines = _tables()[table]
    if group:
        lines = lines[group]
    # "for" names the nouns that a group of adjectives goes with.
    return {name: _parse(name, line) for name, line in lines.items() if name != "for"}


def groups(table: str) -> tuple[str, ...]:
    """The names of the groups of a table."""
    return tuple(_tables()[table])


@lru_cache(maxsize=1)
def nouns() -> Mapping[str, tuple[str, Concept]]:
    """Every noun's category and concept, by the concept's name."""
    found = {}
    for group in groups("noun"):
        for name, concept in concepts("noun", group).items():
            found[name] = (group, concept)
    return found


@lru_cache(maxsize=1)
def adjectives() -> Mapping[str, Concept]:
    """Every adjective, by its concept's name."""
    found = dict[str, Concept]()
    for group in groups("adjective"):
        found |= concepts("adjective", group)
    return found


@lru_cache(maxsize=1)
def determiners() -> Mapping[str, Concept]:
    """Articles, quantifiers and numbers."""
    found = {name: Concept(name, (name,)) for name in ("the", "a", "")}
    found |= concepts("quantifier")
    found |= concepts("number")
    return found


@cache
def fitting_adjectives(category: str) -> tuple[str, ...]:
    """The adjectives that may stand before the nouns of a category."""
    found = list[str]()
    for kind, lines in _tables()["adjective"].items():
        if category in lines["for"].split():
            found += concepts("adjective", kind)
    return tuple(found)


@cache
def word_list(name: str) -> frozenset[str]:
    """A list of names from the grammar section, such as `articleless`."""
    return frozenset(_tables()["grammar"][name].split())


def calendar(name: str) -> tuple[str, ...]:
    """The months, the ordinals of the days, or the hours."""
    return tuple(_tables()["calendar"][name].split())


def scale(group: str, name: str, degree: str) -> tuple[str, ...]:
    """The words of a gradable property.

    ``group`` and ``name`` are those of lexicon.toml, ``degree`` is base, more, most, opposite or
    less.
    """
    entry = _tables()["scale"][group][name]
    if degree != "less":
        return _words(entry[degree])
    base = _words(entry["base"])
    return tuple(f"less {word}" for word in base)


def scale_names(group: str) -> tuple[str, ...]:
    """The gradable properties of a group."""
    return tuple(_tables()["scale"][group])


@lru_cache(maxsize=1)
def _irregular() -> Mapping[str, tuple[str, ...]]:
    table = _tables()["grammar"]["irregular"]
    found = {}
    # The verbs of a line are separated by bars.
    for row in table.replace("\n", "|").split("|"):
        forms = tuple(row.split())
        if forms:
            base = forms[0]
            found[base] = forms
    return found


@lru_cache(maxsize=1)
def _plurals() -> Mapping[str, str]:
    plurals: dict[str, str] = {}
    for row in _tables()["grammar"]["plurals"].split("|"):
        # Singular and plural have as many words each.
        words = row.split()
        half = len(words) // 2
        one = " ".join(words[:half])
        many = " ".join(words[half:])
        plurals[one] = many
    return plurals


@cache
def _with_s(word: str) -> str:
    if word.endswith("y") and word[-2] not in VOWELS:
        return f"{word[:-1]}ies"
    if word.endswith(("s", "sh", "ch", "x", "z")):
        return f"{word}es"
    return f"{word}s"


@cache
def plural(noun: str) -> str:
    """The plural of a noun phrase; its head is the word before "of", else the last."""
    irregular = _plurals()
    if noun in irregular:
        return irregular[noun]
    head, of, rest = noun.partition(" of ")
    before, space, last = head.rpartition(" ")
    last = irregular.get(last, _with_s(last))
    return before + space + last + of + rest


def _regular(verb: str) -> tuple[str, ...]:
    """A verb's base, past, participle, ing and third form, by the rules of spelling."""
    if verb.endswith("e"):
        stem = verb if verb.endswith("ee") else verb[:-1]
        return verb, f"{verb}d", f"{verb}d", f"{stem}ing", f"{verb}s"
    past = f"{verb}ed"
    if verb.endswith("y") and verb[-2] not in VOWELS:
        past = f"{verb[:-1]}ied"
    return verb, past, past, f"{verb}ing", _with_s(verb)


@cache
def _head_forms(verb: str) -> tuple[str, ...]:
    # An irregular verb names its first forms; those that follow are regular.
    given = _irregular().get(verb, ())
    regular = _regular(verb)
    return given + regular[len(given) :]


@cache
def inflect(verb: str, form: str) -> str:
    """A verb's base, past, participle, ing or third form; a leading "not" is kept in front."""
    negation = "not " if verb.startswith("not ") else ""
    phrase = verb.removeprefix("not ")
    head, space, rest = phrase.partition(" ")
    forms = _head_forms(head)
    head = forms[_FORMS.index(form)]
    return negation + head + space + rest


@cache
def finite_form(verb: str, tense: str, many: bool) -> str:
    """A verb in the sentence's tense.

    ``tense`` is past, future, or habit and routine for the present; ``many``: the subject is
    plural. A ``verb`` that begins with "not" takes *do*.
    """
    if tense == "future":
        return f"will {verb}"
    if tense == "past":
        if verb == "be":
            return "were" if many else "was"
        if verb.startswith("not "):
            return f"did {verb}"
        return inflect(verb, "past")
    if verb == "be":
        return "are" if many else "is"
    if verb.startswith("not "):
        return f"do {verb}" if many else f"does {verb}"
    return inflect(verb, "base" if many else "third")


@cache
def article(phrase: str) -> str:
    """`a` or `an`, by the sound that the phrase begins with."""
    lowered = phrase.lower()
    if lowered.startswith(SILENT_H):
        return "an"
    # "a unicorn", "a European": written with a vowel, said with a consonant
    if lowered.startswith(CONSONANT_SOUNDS):
        return "a"
    return "an" if lowered[0] in VOWELS else "a"
