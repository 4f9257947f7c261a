"""Files of records, growing or finished: opened and verified as a whole.

The records stay on disk until they are asked for, so that a run of a million examples is read like
one of ten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from zlib import crc32

from parabench.store import statistics_store
from parabench.store.files import os_errors_as_user_errors
from parabench.store.lines import LogLines
from parabench.store.records import (
    canonical_json,
    damaged_log,
    decode_record,
    encode_record,
    line_verifies,
)
from parabench.store.statistics_store import StatisticsStore


class RecordFile(Protocol):
    """The records of one file, which are numbered from 0."""

    def __len__(self) -> int: ...

    def ids(self) -> Iterator[str]:
        """The ids of all records, in order."""
        ...

    def value(self, at: int, name: str) -> Any:
        """The value of record ``at``, whose id is ``name``."""
        ...


class LogFile(NamedTuple):
    """What verifies in a file: whose records they are, the records, and the bytes they take."""

    identity: dict[str, Any]
    records: RecordFile
    size: int


class LinesFile(NamedTuple):
    """A ``LogFile`` of lines, whose records can be read in order."""

    identity: dict[str, Any]
    records: LogLines
    size: int


def load_log(path: Path) -> LogFile:
    """Open and verify a log; raises UserError where it is damaged or absent."""
    if path.suffix == ".npz":
        stored = StatisticsStore.open(path)
        return LogFile(stored.identity, stored, 0)
    return LogFile(*load_lines(path))


def load_lines(path: Path) -> LinesFile:
    """Open and verify a log of lines.

    Lines at the end of a growing log that do not verify are what an interrupted write leaves;
    ``size`` ends before them. Whatever else does not verify is a UserError with the line and the
    command that mends it.
    """
    with os_errors_as_user_errors(path, "read"), path.open("rb") as file:
        first = file.readline()
        header = _read_header(path, first)
        digest = sha256()
        checksum_start = crc32(canonical_json(header["identity"]))
        records = LogLines(path, checksum_start, len(first))
        last_good = 1
        wrong = list[int]()
        for number, line in enumerate(file, start=2):
            digest.update(line)
            # A line without its end may verify and still be torn: of its last byte.
            is_whole = line.endswith(b"\n")
            if is_whole and line_verifies(line[:-1], checksum_start):
                records.extend([len(line)])
                last_good = number
            else:
                wrong.append(number)
    # Only a finished log has a digest in its header.
    if header.get("sha256", digest.hexdigest()) != digest.hexdigest():
        raise damaged_log(path, [])
    # A line that does not verify before one that does was changed later, and is no torn end.
    changed = [number for number in wrong if number < last_good]
    if changed:
        raise damaged_log(path, changed)
    return LinesFile(header["identity"], records, records.size)


def finished_log(
    identity: Mapping[str, Any], lines: Callable[[], Iterable[bytes]]
) -> Iterator[bytes]:
    """The lines of a finished log: line 1 with the digest, then those of its records.

    ``lines`` is called twice: the digest comes before what it is of, and nothing is held.
    """
    digest = sha256()
    for line in lines():
        digest.update(line)
    yield encode_record({"identity": identity, "sha256": digest.hexdigest()})
    yield from lines()


def identity_of(path: Path) -> dict[str, Any]:
    """Whose records a file holds, by its header alone; UserError where that is damaged."""
    if path.suffix == ".npz":
        return statistics_store.read_identity(path)
    with os_errors_as_user_errors(path, "read"), path.open("rb") as file:
        header = _read_header(path, file.readline())
    identity: dict[str, Any] = header["identity"]
    return identity


def _read_header(path: Path, first: bytes) -> dict[str, Any]:
    """Line 1 of a log of lines."""
    header = decode_record(first.removesuffix(b"\n"))
    if header is None or "identity" not in header:
        raise damaged_log(path, [1])
    return header
