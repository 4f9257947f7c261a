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
    # "[]" is where the time goes: at the end, unless the pattern says so. Questions have none.
    if "[]" not in body and not body.endswith("?"):
        body += " []"
    pieces = tuple(_piece(text) for text in re.split(r"(\{[^}]*\})", body) if text)
    operations = tuple(TAGS.get(tag, tag) for tag in tags.split())
    # A participle behind "having" is active, every other one passive.
    passive = [] if "aving {" in body else re.findall(r"\{(\w+)\.participle", body)
    return Pattern(pieces, operations, _negatable_verbs(body), frozenset(passive))


def _negatable_verbs(body: str) -> frozenset[str]:
    """The verbs of a pattern that stand only where "not" can go before them."""
    uses = re.findall(r"\{(\w+)[.>}]", body)
    finite = re.findall(r"\{(\w+)(?:>|\.singular)", body)
    passive = re.findall(r"\{be>\w+\} \{(\w+)\.participle", body)
    safe = finite + passive
    return frozenset(slot for slot in safe if uses.count(slot) == safe.count(slot))


def _frame(name: str, entry: Mapping[str, str], family: Mapping[str, Any]) -> Frame:
    timed = family.get("time", True)
    return Frame(
        name=name,
        family=entry["family"],
        slots={slot: spec for slot, spec in entry.items() if slot not in ("family", "tenses")},
        patterns=tuple(parse_pattern(line) for line in family["patterns"]),
        main=tuple(family["main"].split()),
        tenses=tuple(entry.get("tenses", "past future").split()),
        timed=timed,
        attributed=timed and family.get("attribution", True),
    )


@lru_cache(maxsize=1)
def frames() -> Mapping[str, Frame]:
    """All frames by name."""
    path = Path(__file__).with_name("frames.toml")
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    return {
        name: _frame(name, entry, tables["family"][entry["family"]])
        for name, entry in tables["frame"].items()
    }
