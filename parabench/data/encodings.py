"""Other contents than text in UTF-8, recognised by the first bytes of a file."""

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

_NO_TEXT = {
    b"PK\x03\x04": "a zip archive, as workbooks of Excel (.xlsx) are",
    b"\xd0\xcf\x11\xe0": "a workbook or document of an older Office",
    b"\x1f\x8b": "packed by gzip",
    b"\x28\xb5\x2f\xfd": "packed by zstandard",
    b"BZh91AY&SY": "packed by bzip2",
    b"\xfd7zXZ\x00": "packed by xz",
    b"PAR1\x15": "a Parquet table",
    b"%PDF-": "a PDF document",
}
"""What files of other kinds begin with, which users give for tables."""
_SUFFIX_OF_KIND = {b"\x1f\x8b": ".gz", b"\x28\xb5\x2f\xfd": ".zst", b"PAR1\x15": ".parquet"}
"""Kinds that are read, but only under names that say so."""
_UNPACKERS = {b"BZh91AY&SY": "bunzip2 --stdout", b"\xfd7zXZ\x00": "unxz --stdout"}


def other_content(path: str, raw: bytes) -> tuple[str, str] | None:
    """What a file holds that is no text at all, and what to do about it; None where it may be text.

    ``raw``: its first bytes.
    """
    for mark, kind in _NO_TEXT.items():
        if not raw.startswith(mark):
            continue
        if mark in _SUFFIX_OF_KIND:
            named = shlex.quote(f"{path}{_SUFFIX_OF_KIND[mark]}")
            return kind, f"name it so: mv {shlex.quote(path)} {named}"
        if mark in _UNPACKERS:
            unpacked = shlex.quote(f"unpacked-{Path(path).name}")
            return kind, f"{_UNPACKERS[mark]} {shlex.quote(path)} > {unpacked}"
        return kind, "save the table as CSV in UTF-8, or as JSONL, and give that file"
    return None


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
