"""The frames of the embedded language and their sentence patterns, as frames.toml writes them."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

TAGS = {"negated": "negated antonym", "order": "clause order"}


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


def _piece(text: str) -> Piece:
    if not text.startswith("{"):
        return Piece(text=text)
    inside = text[1:-1]
    name, _, agrees = inside.partition(">")
    slot, _, form = name.partition(".")
    # A slot that begins its pattern is written with a capital.
    slot = slot[0].lower() + slot[1:]
    return Piece(slot=slot, form=form, agrees=agrees)


def parse_pattern(line: str) -> Pattern:
    """A pattern as frames.toml writes it, "operations | text with {placeholders}"."""
    tags, _, body = line.partition("|")
    body = body.strip()
    # A pattern may stand after "Yesterday," or "said that": only the finished sentence gets its
    # capital.
    body = body[0].lower() + body[1:]
    # "[]" is where the time goes: at the end, unless the pattern says so. Questions have none.
    if "[]" not in body and not body.endswith("?"):
        body += " []"
    # The brackets of the expression let split keep the placeholders between the texts.
    parts = re.split(r"(\{[^}]*\})", body)
    operations = [TAGS.get(tag, tag) for tag in tags.split()]
    return Pattern(
        pieces=tuple(_piece(part) for part in parts if part),
        operations=tuple(operations),
        negatable=_negatable_verbs(body),
        passive=_passive_verbs(body),
    )


def _passive_verbs(body: str) -> frozenset[str]:
    """A participle behind "having" is active, every other one passive."""
    if "aving {" in body:
        return frozenset()
    participles = re.findall(r"\{(\w+)\.participle", body)
    return frozenset(participles)


def _negatable_verbs(body: str) -> frozenset[str]:
    """The verbs of a pattern that stand only where "not" can go before them."""
    uses = re.findall(r"\{(\w+)[.>}]", body)
    finite = re.findall(r"\{(\w+)(?:>|\.singular)", body)
    passive = re.findall(r"\{be>\w+\} \{(\w+)\.participle", body)
    safe = finite + passive
    return frozenset(slot for slot in safe if uses.count(slot) == safe.count(slot))


def _frame(name: str, entry: Mapping[str, str], family: Mapping[str, Any]) -> Frame:
    slots = dict(entry)
    # Whatever else an entry has is a slot.
    family_name = slots.pop("family")
    tenses = slots.pop("tenses", "past future")
    patterns = [parse_pattern(line) for line in family["patterns"]]
    timed = family.get("time", True)
    return Frame(
        name=name,
        family=family_name,
        slots=slots,
        patterns=tuple(patterns),
        main=tuple(family["main"].split()),
        tenses=tuple(tenses.split()),
        timed=timed,
        attributed=timed and family.get("attribution", True),
    )


@lru_cache(maxsize=1)
def frames() -> Mapping[str, Frame]:
    """All frames by name."""
    path = Path(__file__).with_name("frames.toml")
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    families = tables["family"]
    found = {}
    for name, entry in tables["frame"].items():
        family = families[entry["family"]]
        found[name] = _frame(name, entry, family)
    return found
