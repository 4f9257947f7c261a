"""Files of records, verified whole; the records stay on disk until they are asked for.

Memory holds only where each of them stands, so that a run of a million examples is read like one of ten.
"""

from __future__ import annotations

import json
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

from parabench.disk import gathered, in_chunks, told
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
        header, ids, rows = load_array(path)
        why = header["why"]

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


class Names(Sequence[str]):
    """Ids as they are stored, a line of JSON each."""

    def __init__(self, data: Any) -> None:
        """``data`` are all the bytes."""
        import numpy as np

        self._data = data
        self._ends = np.append(-1, np.flatnonzero(data == ord("\n")))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [self[one] for one in range(len(self))[at]]
        at = range(len(self))[at]
        return json.loads(self._data[self._ends[at] + 1 : self._ends[at + 1]].tobytes())


class Statistics(NamedTuple):
    """A finished measurement: ``identity`` and ``why``, the reasons by id, are in the header; ids and rows mapped."""

    header: dict[str, Any]
    ids: Sequence[str]
    values: Any


def load_array(path: Path) -> Statistics:
    """Finished statistics, rows of float64 ``[N, K]`` in the order of their ids; UserError if damaged."""
    import numpy as np

    header, digest = _array_header(path), sha256()
    try:
        with zipfile.ZipFile(path) as stored:
            ids, values = (_mapped(path, stored, f"{name}.npy", digest) for name in ("ids", "statistics"))
        if values.dtype != np.float64 or ids.dtype != np.uint8 or header["sha256"] != digest.hexdigest():
            raise ValueError("another array")
        names = Names(ids)
        if len(names) != len(values) or values.ndim != 2:
            raise ValueError("another shape")
        return Statistics(header, names, values)
    except Exception as error:  # zipfile and numpy raise a dozen kinds for bytes that are not what they wrote
        raise damaged(path, []) from error


def _mapped(path: Path, stored: zipfile.ZipFile, name: str, digest: Any) -> Any:
    """An array in an uncompressed zip, mapped, not read, once the digest has seen all of its bytes."""
    import numpy as np

    with stored.open(name) as file:
        np.lib.format.read_magic(file)
        shape, by_columns, dtype = np.lib.format.read_array_header_1_0(file)
        skipped = file.tell()
        for chunk in in_chunks(file):  # the last one also checks what the zip says of the member
            digest.update(chunk)
    if by_columns:
        raise ValueError("another array")
    return np.asarray(np.memmap(path, dtype, "r", _member_start(path, stored.getinfo(name)) + skipped, shape))


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

    why, digest, rows = dict[str, str](), sha256(), iter(values)
    first = next(rows)
    width = len(row_of(first))

    def row(name: str, value: Any) -> bytes:
        why.update(reasons([(name, value)]))
        if len(row_of(value)) != width:
            raise ValueError(f"rows of {width} and of {len(row_of(value))} numbers")
        return np.array(row_of(value), np.float64).tobytes()  # null becomes NaN

    with TemporaryFile(dir=folder) as file:
        with zipfile.ZipFile(file, "w") as stored:
            names = (canonical(name) + b"\n" for name in ids)
            size = sum(len(canonical(name)) + 1 for name in ids)
            _pack(stored, "ids", np.uint8, (size,), names, digest)
            numbers = (row(*pair) for pair in zip(ids, chain([first], rows), strict=True))
            _pack(stored, "statistics", np.float64, (len(ids), width), numbers, digest)
            header = encode({"identity": identity, "sha256": digest.hexdigest(), "why": why})[:-1]
            _pack(stored, "header", np.uint8, (len(header),), [header], sha256())
        file.seek(0)
        yield from in_chunks(file)


def _pack(
    stored: zipfile.ZipFile, name: str, dtype: Any, shape: Sequence[int], parts: Iterable[bytes], digest: Any
) -> None:
    """Write an array into the zip, piece by piece."""
    import numpy as np

    with stored.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
        about = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": tuple(shape)}
        np.lib.format.write_array_header_1_0(member, about)
        for part in gathered(parts):
            digest.update(part)
            member.write(part)


def packed_lines(identity: Mapping[str, Any], lines: Callable[[], Iterable[bytes]]) -> Iterator[bytes]:
    """A finished log of lines, which are gone through twice."""
    digest = sha256()
    for line in lines():
        digest.update(line)
    yield encode({"identity": identity, "sha256": digest.hexdigest()})
    yield from lines()
