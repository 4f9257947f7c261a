"""Files of records, verified whole; the records stay on disk until they are asked for.

Memory holds only where each of them stands, so that a run of a million examples is read like one of ten.
"""

from __future__ import annotations

import os
import weakref
import zipfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b, sha256
from itertools import chain
from math import isnan
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple
from zlib import crc32

from parabench.disk import in_chunks, told
from parabench.records import Record, canonical, damaged, decode, encode, explained, reasons, row_of, verifies


class Contents(NamedTuple):
    """What verifies in a file: whose records they are, the records, and the bytes they take together with line 1."""

    identity: dict[str, Any]
    records: Sequence[Record]
    size: int


def mark(text: str) -> int:
    """64 bits that stand for a text."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


class Mapped(Sequence[Any]):
    """What a function makes of the items of a sequence, made anew whenever one is asked for."""

    def __init__(self, function: Callable[[Any], Any], items: Sequence[Any]) -> None:
        """Nothing is made yet."""
        self._function, self._items = function, items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return Mapped(self._function, self._items[at])
        return self._function(self._items[at])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)


class Lines(Sequence[Record]):
    """The records of a file of lines after the first; ``ends`` are the bytes up to the first record, the second …"""

    def __init__(self, path: Path, start: int, ends: array[int]) -> None:
        """Opens the file, until this is no longer used; ``start`` is that of the lines' checksums."""
        self._path, self._start, self._ends = path, start, ends
        with told(path, "read"):
            self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [self[one] for one in range(len(self))[at]]
        record = decode(self.line(at)[:-1], self._start)
        if record is None:
            raise damaged(self._path, [at + 2])
        return record["id"], record["value"]

    def line(self, at: int) -> bytes:
        """One record as it is written; UserError where it is no longer what verified when the file was opened."""
        at = range(len(self))[at]
        with told(self._path, "read"):
            line = os.pread(self._file, self._ends[at + 1] - self._ends[at], self._ends[at])
        if not verifies(line[:-1], self._start):
            raise damaged(self._path, [at + 2])
        return line

    def extend(self, sizes: Iterable[int]) -> None:
        """Take over records of these sizes, which were appended to the file."""
        for size in sizes:
            self._ends.append(self._ends[-1] + size)


def load(path: Path) -> Contents:
    """Open and verify a log, growing or finished.

    Lines at the end of a growing log that do not verify are what an interrupted write leaves; ``size`` ends before
    them. Whatever else does not verify is a UserError with the line and the command that mends it.
    """
    if path.suffix == ".npz":
        header, rows = load_array(path)
        ids, why = header["ids"], header["why"]

        def record(at: int) -> Record:
            numbers = [None if isnan(number) else number for number in rows[at].tolist()]
            return ids[at], explained(numbers, why.get(ids[at]))

        return Contents(header["identity"], Mapped(record, range(len(ids))), 0)
    with told(path, "read"), path.open("rb") as file:
        header, first = _header(path, file.readline())
        digest, start, last = sha256(), crc32(canonical(header["identity"])), 1
        ends, wrong = array("Q", [first]), list[int]()
        for number, line in enumerate(file, start=2):
            digest.update(line)
            if line.endswith(b"\n") and verifies(line[:-1], start):
                ends.append(ends[-1] + len(line))
                last = number
            else:
                wrong.append(number)
    if header.get("sha256", digest.hexdigest()) != digest.hexdigest():
        raise damaged(path, [])
    if wrong := [number for number in wrong if number < last]:
        raise damaged(path, wrong)
    return Contents(header["identity"], Lines(path, start, ends), ends[-1])


def identity_of(path: Path) -> dict[str, Any]:
    """Whose records a file holds, by its header alone."""
    if path.suffix == ".npz":
        return _array_header(path)["identity"]
    with told(path, "read"), path.open("rb") as file:
        return _header(path, file.readline())[0]["identity"]


def _header(path: Path, first: bytes) -> tuple[dict[str, Any], int]:
    """Line 1 and its bytes."""
    header = decode(first.removesuffix(b"\n"))
    if header is None or "identity" not in header:
        raise damaged(path, [1])
    return header, len(first)


def load_array(path: Path) -> tuple[dict[str, Any], Any]:
    """The header and the float64 ``[N, K]`` array of finished statistics, mapped, not read; UserError if damaged.

    The header holds ``identity``, ``ids`` in the order of the rows, and ``why``, the reasons by id.
    """
    import numpy as np

    header = _array_header(path)
    try:
        with zipfile.ZipFile(path) as stored, stored.open("statistics.npy") as file:
            np.lib.format.read_magic(file)
            shape, by_columns, dtype = np.lib.format.read_array_header_1_0(file)
            skipped, digest = file.tell(), sha256()
            for chunk in in_chunks(file):  # the last one also checks what the zip says of the member
                digest.update(chunk)
            start = _member_start(path, stored.getinfo("statistics.npy")) + skipped
        if by_columns or dtype != np.float64 or header["sha256"] != digest.hexdigest():
            raise ValueError("another array")
        if shape != (len(header["ids"]), shape[-1]):
            raise ValueError("another shape")
        return header, np.asarray(np.memmap(path, np.float64, "r", start, shape))
    except Exception as error:  # zipfile and numpy raise a dozen kinds for bytes that are not what they wrote
        raise damaged(path, []) from error


def _array_header(path: Path) -> dict[str, Any]:
    import numpy as np

    with told(path, "read"):
        os.stat(path)
    try:
        with np.load(path, allow_pickle=False) as stored:
            header = decode(stored["header"].tobytes())
    except Exception as error:
        raise damaged(path, []) from error
    if header is None or "identity" not in header:
        raise damaged(path, [])
    return header


def _member_start(path: Path, member: zipfile.ZipInfo) -> int:
    """Where the bytes of an uncompressed member begin: behind 30 bytes, its name and its extra field."""
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError("compressed")
    with path.open("rb") as file:
        file.seek(member.header_offset + 26)
        name, extra = (int.from_bytes(file.read(2), "little") for _ in range(2))
    return member.header_offset + 30 + name + extra


def packed_array(
    identity: Mapping[str, Any], ids: Sequence[str], values: Iterable[Any], folder: Path
) -> Iterator[bytes]:
    """Finished statistics: an uncompressed zip with fixed times, so that equal numbers are equal bytes.

    It is put together in a nameless file on the disk of ``folder``.
    """
    import numpy as np

    why = dict[str, str]()

    def row(name: str, value: Any) -> Any:
        why.update(reasons([(name, value)]))
        return row_of(value)

    rows = (row(name, value) for name, value in zip(ids, values, strict=True))
    array = _stacked(rows, len(ids))
    digest = sha256(array).hexdigest()
    header = _encoded_header(identity, ids, digest, why)
    with TemporaryFile(dir=folder) as file:
        np.savez(file, statistics=array, header=np.frombuffer(header[:-1], dtype=np.uint8))
        file.seek(0)
        yield from in_chunks(file)


def _encoded_header(identity: Mapping[str, Any], ids: Iterable[str], digest: str, why: Mapping[str, str]) -> bytes:
    """As ``encode`` does, without all ids in memory."""
    line, comma = bytearray(b'{"identity":%b,"ids":[' % canonical(identity)), b""
    for name in ids:
        line += comma + canonical(name)
        comma = b","
    line += b'],"sha256":"%b","why":%b' % (digest.encode(), canonical(why))
    return bytes(line) + b',"h":"%08x"}\n' % crc32(line)


def _stacked(rows: Iterator[Sequence[float | None]], count: int) -> Any:
    """``count`` rows as an array, null becoming NaN."""
    import numpy as np

    first = next(rows)
    array = np.empty((count, len(first)), dtype=np.float64)
    for at, row in enumerate(chain([first], rows)):
        if len(row) != len(first):
            raise ValueError(f"rows of {len(first)} and of {len(row)} numbers")
        array[at] = np.array(row, dtype=np.float64)
    return array


def packed_lines(identity: Mapping[str, Any], lines: Callable[[], Iterable[bytes]]) -> Iterator[bytes]:
    """A finished log of lines, which are gone through twice."""
    digest = sha256()
    for line in lines():
        digest.update(line)
    yield encode({"identity": identity, "sha256": digest.hexdigest()})
    yield from lines()
