"""Files of records, verified whole; the records stay on disk until they are asked for.

Memory holds only where each of them stands, so that a run of a million examples is read like one of
ten.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from itertools import chain
from math import isnan
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, NamedTuple
from zlib import crc32

from parabench.sequences import LINES_PER_OFFSET, FileLines, LazyMap
from parabench.store.files import in_chunks, joined_to_chunks, os_errors_as_user_errors
from parabench.store.records import (
    LogRecord,
    canonical_json,
    damaged_log,
    decode_line,
    encode_line,
    line_verifies,
    reasons_by_id,
    statistics_row,
    with_reason,
)


class LogContents(NamedTuple):
    """What verifies in a file: whose records they are, the records, and the bytes they take
    together with line 1.
    """

    identity: dict[str, Any]
    records: Sequence[LogRecord]
    size: int


class LogLines(Sequence[LogRecord]):
    """The records of a file of lines after the first, each verified whenever it is read."""

    def __init__(self, path: Path, start: int, header: int) -> None:
        """Opens the file; ``start`` is that of the lines' checksums, ``header`` the bytes of the
        first line.
        """
        self._path, self._start = path, start
        with os_errors_as_user_errors(path, "read"):
            self._lines = FileLines(os.open(path, os.O_RDONLY), header)

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [self[one] for one in range(len(self))[at]]
        record = decode_line(self.line(at)[:-1], self._start)
        if record is None:
            raise damaged_log(self._path, [at + 2])
        return record["id"], record["value"]

    @property
    def size(self) -> int:
        """The bytes of all lines, the first among them."""
        return self._lines.size

    def extend(self, sizes: Iterable[int]) -> None:
        """Take over records of these sizes, which were appended to the file."""
        self._lines.extend(sizes)

    def line(self, at: int) -> bytes:
        """One record as it is written; UserError where it is no longer what verified when the file
        was opened.
        """
        with os_errors_as_user_errors(self._path, "read"):
            line = self._lines[at]
        if not line_verifies(line[:-1], self._start):
            raise damaged_log(self._path, [at + 2])
        return line


def load_log(path: Path) -> LogContents:
    """Open and verify a log, growing or finished.

    Lines at the end of a growing log that do not verify are what an interrupted write leaves;
    ``size`` ends before them. Whatever else does not verify is a UserError with the line and the
    command that mends it.
    """
    if path.suffix == ".npz":
        header, ids, rows = open_statistics(path)
        why = header["why"]

        def record(at: int) -> LogRecord:
            numbers = [None if isnan(number) else number for number in rows[at].tolist()]
            return ids[at], with_reason(numbers, why.get(ids[at]))

        return LogContents(header["identity"], LazyMap(record, range(len(ids))), 0)
    with os_errors_as_user_errors(path, "read"), path.open("rb") as file:
        header, first = _header(path, file.readline())
        digest, start, last = sha256(), crc32(canonical_json(header["identity"])), 1
        records, wrong = LogLines(path, start, first), list[int]()
        for number, line in enumerate(file, start=2):
            digest.update(line)
            if line.endswith(b"\n") and line_verifies(line[:-1], start):
                records.extend([len(line)])
                last = number
            else:
                wrong.append(number)
    if header.get("sha256", digest.hexdigest()) != digest.hexdigest():
        raise damaged_log(path, [])
    if wrong := [number for number in wrong if number < last]:
        raise damaged_log(path, wrong)
    return LogContents(header["identity"], records, records.size)


def identity_of(path: Path) -> dict[str, Any]:
    """Whose records a file holds, by its header alone."""
    if path.suffix == ".npz":
        return _array_header(path)["identity"]
    with os_errors_as_user_errors(path, "read"), path.open("rb") as file:
        return _header(path, file.readline())[0]["identity"]


def _header(path: Path, first: bytes) -> tuple[dict[str, Any], int]:
    """Line 1 and its bytes."""
    header = decode_line(first.removesuffix(b"\n"))
    if header is None or "identity" not in header:
        raise damaged_log(path, [1])
    return header, len(first)


class StoredRows:
    """Rows of float64 ``[N, K]`` in a file, read as far as they are asked for, each time anew."""

    ndim = 2

    def __init__(self, path: Path, start: int, shape: Sequence[int]) -> None:
        """They begin at byte ``start`` of the file."""
        self._path, self._start, self._shape = path, start, shape
        self._held: tuple[int, Any] = (-1, None)

    def __len__(self) -> int:
        return self._shape[0]

    def __getitem__(self, at: Any) -> Any:
        """One row, or an array of those in a slice or in an array of places."""
        import numpy as np

        if isinstance(at, slice):
            begin, end, step = at.indices(len(self))
            return self._read([(begin, max(begin, end))])[::step]
        if isinstance(at, np.ndarray):
            breaks = np.flatnonzero(np.diff(at) != 1) + 1
            return self._read([(run[0], run[-1] + 1) for run in np.split(at, breaks) if len(run)])
        block, place = divmod(range(len(self))[at], LINES_PER_OFFSET)
        held, rows = self._held
        if held != block:
            rows = self[block * LINES_PER_OFFSET : (block + 1) * LINES_PER_OFFSET]
            self._held = block, rows
        return rows[place]

    def _read(self, runs: Iterable[tuple[int, int]]) -> Any:
        import numpy as np

        parts, width = list[bytes](), 8 * self._shape[1]
        with os_errors_as_user_errors(self._path, "read"), self._path.open("rb") as file:
            for at, end in runs:
                file.seek(self._start + at * width)
                parts.append(file.read((end - at) * width))
                if len(parts[-1]) != (end - at) * width:
                    raise damaged_log(self._path, [])
        return np.frombuffer(b"".join(parts), "<f8").reshape(-1, self._shape[1])


class FinishedStatistics(NamedTuple):
    """A finished measurement: ``identity`` and ``why``, the reasons by id, are in the header; ids
    and rows on disk.
    """

    header: dict[str, Any]
    ids: Sequence[str]
    values: StoredRows


def open_statistics(path: Path) -> FinishedStatistics:
    """Finished statistics, rows of float64 ``[N, K]`` in the order of their ids; UserError if
    damaged.
    """
    header, digest = _array_header(path), sha256()
    try:
        with zipfile.ZipFile(path) as stored:
            with _array(stored, "ids", "|u1", 1) as (file, _):
                names = FileLines(
                    os.open(path, os.O_RDONLY), _member_start(path, stored, "ids") + file.tell()
                )
                # The last line also checks what the zip says of the member, as the last chunk does.
                for line in file:
                    digest.update(line)
                    names.extend([len(line)])
            with _array(stored, "statistics", "<f8", 2) as (file, shape):
                values = StoredRows(
                    path, _member_start(path, stored, "statistics") + file.tell(), shape
                )
                left = 8 * shape[0] * shape[1]
                for chunk in in_chunks(file):
                    digest.update(chunk)
                    left -= len(chunk)
        if header["sha256"] != digest.hexdigest() or left or len(names) != len(values):
            raise ValueError("other bytes")
        return FinishedStatistics(header, LazyMap(json.loads, names), values)
    except (
        Exception
    ) as error:  # zipfile and numpy raise a dozen kinds for bytes that are not what they wrote
        raise damaged_log(path, []) from error


@contextmanager
def _array(
    stored: zipfile.ZipFile, name: str, kind: str, axes: int
) -> Iterator[tuple[IO[bytes], tuple[int, ...]]]:
    """An array in an uncompressed zip, to be read behind what is written of its shape."""
    import numpy as np

    with stored.open(f"{name}.npy") as file:
        np.lib.format.read_magic(file)
        shape, by_columns, dtype = np.lib.format.read_array_header_1_0(file)
        if by_columns or dtype.str != kind or len(shape) != axes:
            raise ValueError("another array")
        yield file, shape


def _array_header(path: Path) -> dict[str, Any]:
    import numpy as np

    with os_errors_as_user_errors(path, "read"):
        os.stat(path)
    try:
        with np.load(path, allow_pickle=False) as stored:
            header = decode_line(stored["header"].tobytes())
    except Exception as error:
        raise damaged_log(path, []) from error
    if header is None or "identity" not in header:
        raise damaged_log(path, [])
    return header


def _member_start(path: Path, stored: zipfile.ZipFile, array_name: str) -> int:
    """Where the bytes of an uncompressed member begin: behind 30 bytes, its name and its extra
    field.
    """
    member = stored.getinfo(f"{array_name}.npy")
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError("compressed")
    with path.open("rb") as file:
        file.seek(member.header_offset + 26)
        name, extra = (int.from_bytes(file.read(2), "little") for _ in range(2))
    return member.header_offset + 30 + name + extra


def packed_array(
    identity: Mapping[str, Any], ids: Sequence[str], values: Iterable[Any], folder: Path
) -> Iterator[bytes]:
    """Finished statistics: an uncompressed zip with fixed times, so that equal numbers are equal
    bytes.

    It is put together in a nameless file on the disk of ``folder``.
    """
    import numpy as np

    why, digest, rows = dict[str, str](), sha256(), iter(values)
    first = next(rows)
    width = len(statistics_row(first))

    def row(name: str, value: Any) -> bytes:
        why.update(reasons_by_id([(name, value)]))
        if len(statistics_row(value)) != width:
            raise ValueError(f"rows of {width} and of {len(statistics_row(value))} numbers")
        return np.array(statistics_row(value), np.float64).tobytes()  # null becomes NaN

    with TemporaryFile(dir=folder) as file:
        with zipfile.ZipFile(file, "w") as stored:
            names = (canonical_json(name) + b"\n" for name in ids)
            size = sum(len(canonical_json(name)) + 1 for name in ids)
            _pack(stored, "ids", np.uint8, (size,), names, digest)
            numbers = (row(*pair) for pair in zip(ids, chain([first], rows), strict=True))
            _pack(stored, "statistics", np.float64, (len(ids), width), numbers, digest)
            header = encode_line({"identity": identity, "sha256": digest.hexdigest(), "why": why})[
                :-1
            ]
            _pack(stored, "header", np.uint8, (len(header),), [header], sha256())
        file.seek(0)
        yield from in_chunks(file)


def _pack(
    stored: zipfile.ZipFile,
    name: str,
    dtype: Any,
    shape: Sequence[int],
    parts: Iterable[bytes],
    digest: Any,
) -> None:
    """Write an array into the zip, piece by piece."""
    import numpy as np

    with stored.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
        about = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": tuple(shape)}
        np.lib.format.write_array_header_1_0(member, about)
        for part in joined_to_chunks(parts):
            digest.update(part)
            member.write(part)


def packed_lines(
    identity: Mapping[str, Any], lines: Callable[[], Iterable[bytes]]
) -> Iterator[bytes]:
    """A finished log of lines, which are gone through twice."""
    digest = sha256()
    for line in lines():
        digest.update(line)
    yield encode_line({"identity": identity, "sha256": digest.hexdigest()})
    yield from lines()
