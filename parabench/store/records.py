"""The form of a log of records on disk, in which no damaged, foreign or missing byte goes
unnoticed.

A growing log is lines of ASCII JSON. The last member of each, ``h``, is the CRC32 of the bytes
before it. Line 1 holds the identity of the log, from which the other checksums start, so that a
line pasted in from elsewhere does not verify. A finished log has the SHA-256 of its records in line
1. Finished statistics are an array in a ``.npz`` instead (``statistics_store``).

The value of a prediction is an object, that of a measurement a row of numbers; where some of these
are undefined, it is ``{"row": [1.5, null], "why": "not a finite number"}``.
"""

from __future__ import annotations

import json
import re
import reprlib
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any
from zlib import crc32

from parabench.contracts import UserError

LogRecord = tuple[str, Any]
"""The id of an example, and any JSON value."""

_CHECKSUM_BYTES = 16
"""The bytes of ``,"h":"18739aea"}``, which end a line."""


def with_reason(row: Sequence[float | None], why: str | None) -> Any:
    """The value of a measurement: its row, with the reason if some numbers are undefined."""
    if why is None:
        return row
    return {"row": row, "why": why}


def statistics_row(value: Any) -> Any:
    """The numbers of a measurement's value."""
    has_reason = isinstance(value, dict)
    return value["row"] if has_reason else value


def undefined_why(value: Any) -> str | None:
    """The reason in a measurement's value; None where all of its numbers are defined."""
    has_reason = isinstance(value, dict)
    return value["why"] if has_reason else None


def measured_texts(record: Mapping[str, Any], samples: int = 0) -> list[str]:
    """What is measured of a record of predictions: its text, or one for each turn.

    With ``samples`` those that a scorer of samples is given: as many of the record's samples, or,
    of what people wrote, of its turns. More texts repeat one another more, so that systems and
    people are to have equally many.
    """
    texts: list[str] = record.get("turns") or [record["text"]]
    if not samples:
        return texts
    several: list[str] = record.get("samples") or texts
    if samples > 1:
        return several[:samples]
    return several


def texts_digest(
    order: Iterable[int],
    ids: Sequence[str],
    texts: Callable[[int], Sequence[str]],
) -> str:
    """The SHA-256 of the canonical JSON of ``{id: texts}``.

    ``order``: the positions of all examples, sorted by id. ``ids``: by position. ``texts``: gives
    those of a position; one item is held at a time.
    """
    # Fed with the very bytes that the JSON of all of it would have.
    digest = sha256(b"{")
    comma = b""
    for position in order:
        name = canonical_json(ids[position])
        value = canonical_json(list(texts(position)))
        member = name + b":" + value
        digest.update(comma + member)
        comma = b","
    digest.update(b"}")
    return digest.hexdigest()


def record_lines(identity: Mapping[str, Any], records: Iterable[LogRecord]) -> Iterator[bytes]:
    """The lines that records take in the log of this identity."""
    start = crc32(canonical_json(identity))
    for name, value in records:
        record = {"id": name, "value": value}
        yield encode_record(record, start)


def encode_record(record: Mapping[str, Any], start: int = 0) -> bytes:
    """A record as a line with its checksum, which starts from ``start``."""
    text = canonical_json(record)
    # Without the closing brace: the checksum comes before it.
    body = text[:-1]
    return body + _checksum_member(body, start) + b"\n"


def _checksum_member(body: bytes, start: int) -> bytes:
    """The end of a line that begins with ``body``: its last member and the closing brace."""
    checksum = crc32(body, start)
    return b',"h":"%08x"}' % checksum


def line_verifies(line: bytes, start: int = 0) -> bool:
    """Whether a line without its newline is as it was written."""
    body = line[:-_CHECKSUM_BYTES]
    end = line[-_CHECKSUM_BYTES:]
    return end == _checksum_member(body, start)


def decode_record(line: bytes, start: int = 0) -> dict[str, Any] | None:
    """The record of a line without its newline, or None where it does not verify."""
    if not line_verifies(line, start):
        return None
    text = line[:-_CHECKSUM_BYTES] + b"}"
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        # The checksum fits, so whoever wrote the line was no program of ours.
        return None


def canonical_json(value: Any) -> bytes:
    """The one way a value is written: ASCII JSON, sorted names, no spaces.

    Raises ValueError for NaN and infinities.
    """
    text = json.dumps(value, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return text.encode("ascii")


def json_differences(
    old: Any,
    new: Any,
    name: str = "",
) -> Iterator[str]:
    """The fields in which two JSON values differ, as ``a.b: 1, now 2``.

    ``old`` and ``new``: what was and what is now. ``name``: of the field that holds them.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        keys = old.keys() | new.keys()
        for key in sorted(keys):
            field = f"{name}.{key}".lstrip(".")
            old_value = old.get(key, "absent")
            new_value = new.get(key, "absent")
            yield from json_differences(old_value, new_value, field)
    elif canonical_json(old) != canonical_json(new):
        # Compared as they are written: 1, 1.0 and True are equal in Python, and not on disk.
        was = reprlib.repr(old)
        now = reprlib.repr(new)
        yield f"{name}: {was}, now {now}"


def damaged_log(path: Path, numbers: Sequence[int]) -> UserError:
    """The refusal of a file that was changed after it was written.

    ``numbers``: its damaged lines, from 1; none where it is damaged as a whole.
    """
    quoted = shlex.quote(str(path))
    if not numbers or numbers[0] == 1:
        found = "it does not verify"
        mend = f"mv {quoted} {quoted}.damaged"
    else:
        listed = ", ".join(map(str, numbers))
        found = f"damaged at line {listed}"
        # A script for sed that deletes these lines alone.
        deleted = ";".join(f"{number}d" for number in numbers)
        mend = f"sed -i.damaged '{deleted}' {quoted}"
    then = "   # then the same command makes again what is missing"
    return UserError(f"read {path}", found, mend=mend + then)


def slug(name: str) -> str:
    """The file name of any name.

    That is the name itself where it is plain, else its plain characters and a hash of all of it.
    """
    if re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,47}", name):
        return name
    # Names that differ in what is left out here differ in the hash.
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower())
    plain = plain.strip("-")
    start = plain[:32] or "name"
    data = name.encode("utf-8", "surrogatepass")
    digest = sha256(data).hexdigest()
    return f"{start}-{digest[:8]}"
