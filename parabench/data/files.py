"""Text files as lines, whatever they are packed in; nothing is ever held whole."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, TextIO

from parabench.contracts import UserError
from parabench.data.tally import Tally

LONGEST_LINE = 64 * 1024


@contextmanager
def opened(path: str) -> Iterator[IO[bytes]]:
    """The unpacked bytes of a plain, gzip, zstandard or zip file (``file.zip!member``); UserError where damaged."""
    import zstandard

    name, _, member = path.partition("!")
    try:
        with ExitStack() as stack:
            if name.endswith(".zip"):
                archive = stack.enter_context(zipfile.ZipFile(name))
                yield stack.enter_context(archive.open(_member(archive, name, member)))
            elif name.endswith(".gz"):
                yield stack.enter_context(gzip.open(name, "rb"))  # type: ignore[arg-type]
            elif name.endswith(".zst"):
                yield io.BufferedReader(stack.enter_context(zstandard.open(name, "rb")))
            else:
                yield stack.enter_context(Path(name).open("rb"))
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, zstandard.ZstdError) as error:
        found = getattr(error, "strerror", None) or str(error)
        raise UserError(f"read {path}", found, mend="give the path of a whole, readable file") from None


@contextmanager
def opened_text(path: str) -> Iterator[TextIO]:
    """The same as text, strict UTF-8, line ends as they are."""
    with opened(path) as file:
        yield io.TextIOWrapper(file, encoding="utf-8-sig", newline="")


def numbered_lines(path: str, tally: Tally) -> Iterator[tuple[int, str]]:
    """Lines from 1, split at line feeds alone; those that are blank, too long or no UTF-8 are counted."""
    with opened(path) as file:
        number = 0
        while raw := file.readline(LONGEST_LINE + 1):
            number += 1
            if len(raw) > LONGEST_LINE:
                tally.count(f"longer than {LONGEST_LINE} bytes", number)
                while raw and not raw.endswith(b"\n"):
                    raw = file.readline(LONGEST_LINE)
                continue
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError:
                tally.count("not UTF-8", number)
                continue
            if line.strip():
                yield number, line
            else:
                tally.count("blank", number)


def file_digest(path: str) -> str:
    """SHA-256 of the file as it lies there, packed."""
    digest = sha256()
    try:
        with Path(path.partition("!")[0]).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise UserError(f"read {path}", error.strerror or str(error), mend="give the path of a readable file") from None
    return digest.hexdigest()


def _member(archive: zipfile.ZipFile, name: str, member: str) -> str:
    names = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
    texts = [entry for entry in names if entry.endswith((".tsv", ".txt", ".csv", ".jsonl"))]
    if member in names:
        return member
    if not member and len(texts) == 1:
        return texts[0]
    raise UserError(f"read {name}", f"no member {member!r}" if member else "several members", names, f"{name}!MEMBER")
