"""Other encodings than UTF-8, recognised by the first bytes of a file."""

from __future__ import annotations

import shlex
from pathlib import Path

_MARKS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
"""Byte order marks of other encodings; the longer ones first, as one begins like a shorter."""


def other_encoding(raw: bytes) -> str | None:
    """UTF-16 or UTF-32, by the mark that the first line begins with, or by its bytes."""
    for mark, name in _MARKS.items():
        if raw.startswith(mark):
            return name
    # every space, tab and line end of UTF-16 has a NUL byte, on one side of it; no UTF-8 text has
    if len(raw) < 8 or b"\0" not in raw:
        return None
    even = raw[0::2]
    odd = raw[1::2]
    # little-endian text ends within a character: the line feed is the first of its two bytes
    whole = raw[: len(raw) // 2 * 2]
    for name, high, low in (("UTF-16BE", even, odd), ("UTF-16LE", odd, even)):
        if 0 not in low and _is_utf16_text(whole, name, high):
            return name
    return None


def _is_utf16_text(raw: bytes, name: str, high_bytes: bytes) -> bool:
    """Whether bytes are text in UTF-16 and could not be UTF-8 with a NUL too many."""
    try:
        text = raw.decode(name)
    except UnicodeDecodeError:
        return False
    if not text.replace("\t", " ").rstrip("\r\n").isprintable():
        return False
    # the high bytes of alphabets are control characters, as 4 is for Cyrillic and 0 for Latin;
    # those of Chinese are letters, but its low bytes make no UTF-8
    controls = sum(byte < 32 for byte in high_bytes)
    return controls > 0.8 * len(high_bytes) or _is_no_utf8(raw)


def _is_no_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return True
    return False


def conversion_command(path: str, encoding: str) -> str:
    """A command that writes a file again in UTF-8, under another name."""
    converted = f"utf8-{Path(path).name}"
    return f"iconv -f {encoding} -t UTF-8 {shlex.quote(path)} > {shlex.quote(converted)}"
