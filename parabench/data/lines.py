"""Numbered lines of text files: strict UTF-8, split at line feeds alone.

A test set or a file of predictions is refused at its first faulty line (``read_lines``); of a
corpus the faulty lines are counted and left out (``sound_lines``).
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from parabench.contracts import UserError
from parabench.data.encodings import conversion_command, other_content, other_encoding
from parabench.data.skipped import SkipCounts
from parabench.data.text_files import LONGEST_LINE, raw_lines

LONGEST_TEXT = 4096
"""Characters of a source, reference or prediction."""
_SHOWN = 80
"""Characters of a faulty value that a message shows."""


class _LineError(ValueError):
    """Why a line cannot be read: the reason, the same for all lines of its kind, and the place."""

    def __init__(self, reason: str, place: str = "") -> None:
        super().__init__(reason + place)
        self.reason = reason

    @property
    def is_encoding(self) -> bool:
        """Whether its bytes are no UTF-8."""
        return self.reason == _NOT_UTF8


_NOT_UTF8 = "not UTF-8"


def read_lines(
    path: Path,
    longest: int = LONGEST_LINE,
    cuts: bool = False,
) -> Iterator[tuple[int, str]]:
    """Numbered lines of the file at ``path`` without their line ends; a blank line is a line.

    ``longest``: bytes that a line may have. ``cuts``: whether a longer one is cut there and read,
    instead of refused.

    Raises UserError with the line's number where one is too long, no UTF-8 or holds a NUL.
    """
    for number, raw in enumerate(raw_lines(str(path), longest), 1):
        if cuts and len(raw) > longest:
            raw = _whole_characters(raw[:longest])
        try:
            line = decode_line(str(path), raw, number, longest)
        except _LineError as fault:
            raise bad_line(path, number, str(fault), encoding_mend(path, fault)) from None
        if number == 1:
            check_line_ends(path, line)
        yield number, line


def _whole_characters(raw: bytes) -> bytes:
    """The bytes without those at the end that are only the beginning of a character."""
    for missing in range(1, min(4, len(raw)) + 1):
        byte = raw[-missing]
        # UTF-8: the first byte of a character of several is 11xxxxxx, the others are 10xxxxxx
        if byte >= 0b1100_0000:
            return raw[:-missing]
        if byte < 0b1000_0000:
            break
    return raw


def sound_lines(path: str, skipped: SkipCounts) -> Iterator[tuple[int, str]]:
    """Numbered lines without their line ends; what is blank or no text is counted in ``skipped``.

    Raises UserError where the file as a whole cannot be read.
    """
    for number, raw in enumerate(raw_lines(path), 1):
        try:
            line = decode_line(path, raw, number)
        except _LineError as fault:
            skipped.count(fault.reason, number)
            continue
        if line.strip():
            yield number, line
        else:
            skipped.count("blank", number)


def decode_line(
    path: str,
    raw: bytes,
    number: int,
    longest: int = LONGEST_LINE,
) -> str:
    """Decode one line; before the first, a byte order mark may stand.

    ``path``: what errors name. ``raw``: the line with its end. ``number``: the line's, from 1.
    ``longest``: bytes that it may have.

    Raises ValueError where the line is faulty, and UserError where the whole file is UTF-16,
    UTF-32, or no text at all.
    """
    if number == 1:
        _check_is_text(path, raw)
    if len(raw) > longest:
        raise _LineError(f"longer than {longest} bytes")
    try:
        line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise _LineError(_NOT_UTF8, f" at byte {error.start + 1}") from None
    # NUL is valid UTF-8 and no part of a text: C libraries would end the line there
    if "\0" in line:
        raise _LineError("a NUL character")
    return line.removesuffix("\n").removesuffix("\r")


def _check_is_text(path: str, raw: bytes) -> None:
    """Raise UserError where a file is no text, or none in UTF-8, by its first line ``raw``."""
    if content := other_content(path, raw):
        kind, mend = content
        raise UserError(f"read {path}", f"it is no text, but {kind}", mend=mend)
    encoding = other_encoding(raw)
    if encoding is not None:
        found = f"it is written in {encoding[:6]}, not in UTF-8"
        raise UserError(f"read {path}", found, mend=conversion_command(path, encoding))


def encoding_mend(path: Path, fault: ValueError) -> str:
    """The cure for a line that is no UTF-8; empty for a fault of another kind.

    What is neither UTF-8 nor UTF-16 is most often what Excel writes as plain CSV.
    """
    if not isinstance(fault, _LineError) or not fault.is_encoding:
        return ""
    command = conversion_command(str(path), "WINDOWS-1252")
    return f"save it as UTF-8; or if it was written on Windows: {command}"


def check_line_ends(path: Path, first_line: str) -> None:
    """Raise UserError where the first line holds carriage returns: the line ends of old Macs.

    Read as one line, the whole file would be one row.
    """
    if "\r" not in first_line.strip("\r"):
        return
    converted = shlex.quote(f"lines-{path.name}")
    mend = f"tr '\\r' '\\n' < {shlex.quote(str(path))} > {converted}"
    found = "a carriage return within it, as where lines end in carriage returns alone"
    raise bad_line(path, 1, found, mend)


def bad_line(
    path: Path,
    number: int,
    found: str,
    mend: str = "",
) -> UserError:
    """The error for line ``number`` of the file ``path``.

    ``found``: what is wrong with it. ``mend``: the cure, where it is another than to correct it.
    """
    cure = mend or f"correct line {number} of {path.name}"
    return UserError(
        f"read {path}",
        f"line {number}: {found}",
        mend=cure,
    )


def check_text(
    path: Path,
    number: int,
    text: object,
    *,
    empty: bool = False,
) -> str:
    """Return ``text`` where it is one that can be scored.

    ``path``, ``number``: the file and line that errors name. ``empty``: whether it may be blank.

    Raises UserError where it is no string, blank, longer than ``LONGEST_TEXT``, or holds half a
    surrogate pair.
    """
    if not isinstance(text, str):
        raise bad_line(
            path,
            number,
            f"{_shortened(text)} where a text is needed",
        )
    if not empty and not text.strip():
        raise bad_line(path, number, "an empty text")
    if len(text) > LONGEST_TEXT:
        found = f"a text of {len(text)} characters; the longest allowed is {LONGEST_TEXT}"
        raise bad_line(path, number, found)
    if has_half_surrogate(text):
        raise bad_line(path, number, "half a surrogate pair, which is no character")
    return text


def _shortened(value: object) -> str:
    """A value as it is shown in a message: a whole table may be in the place of a text."""
    shown = repr(value)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"


def has_half_surrogate(text: str) -> bool:
    """Whether a text holds half of a surrogate pair, which JSON can say and UTF-8 cannot."""
    # nearly all texts end here, without a look at each character
    if text.isascii():
        return False
    return any("\ud800" <= character <= "\udfff" for character in text)


def json_record(
    path: Path,
    number: int,
    line: str,
) -> dict[str, Any]:
    """Parse one ``line`` of a JSONL file.

    ``path``, ``number``: the file and line that errors name.

    Raises UserError where it is no JSON object or names a value twice, with the cure where the
    cause is plain: an array around all records, a record over several lines, a blank line.
    """
    if not line.strip():
        raise bad_line(path, number, "it is blank", f"delete the blank lines of {path.name}")
    opening = line.strip()[0]
    if number == 1 and opening == "[":
        found = "not JSON lines: an array begins, where every line is to be one object"
        raise bad_line(path, number, found, _one_a_line(path))
    try:
        record = json.loads(line, object_pairs_hook=distinct_names)
    except (ValueError, RecursionError) as error:
        # what programs write that indent their JSON
        if number == 1 and line.strip() == "{":
            found = "not JSON lines: the object goes on in the next line"
            raise bad_line(path, number, found, _one_a_line(path)) from None
        raise bad_line(path, number, f"not JSON: {error}") from None
    if not isinstance(record, dict):
        raise bad_line(path, number, "not a JSON object")
    return record


def _one_a_line(path: Path) -> str:
    """A command that writes the records of a JSON file one a line."""
    script = (
        "import json, sys; read = json.load(open(sys.argv[1])); "
        "[print(json.dumps(one)) for one in (read if isinstance(read, list) else [read])]"
    )
    written = f"{shlex.quote(path.stem)}-lines.jsonl"
    return f'python -c "{script}" {shlex.quote(str(path))} > {written}'


def distinct_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object of ``pairs`` of names and values: the ``object_pairs_hook`` of ``json.loads``.

    Raises ValueError where a name occurs twice: the last value would win unseen.
    """
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the name {name!r} occurs twice in one object")
        found[name] = value
    return found
