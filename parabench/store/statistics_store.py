"""Finished statistics: an ``[N, K]`` array in a file, read as far as it is asked for.

The file is a ``.npz``, an uncompressed zip of arrays that ``numpy.load`` opens: ``ids`` (the JSON
of each id on a line, as bytes), ``statistics`` (float64 ``[N, K]`` in the order of the ids) and
``header`` (a line as in a log: identity, reasons for undefined numbers, and the SHA-256 of the two
others). Its times are fixed, so that equal numbers are equal bytes. It stays one file, which is in
place in one step, rather than an array beside its ids and header.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from math import isnan
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any

from parabench.store.files import in_chunks, joined_to_chunks, os_errors_as_user_errors
from parabench.store.records import (
    canonical_json,
    damaged_log,
    decode_record,
    encode_record,
    statistics_row,
    undefined_why,
    with_reason,
)

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

_Header = dict[str, Any]


class StatisticsStore:
    """The statistics of one system by one scorer: float64 ``[N, K]``, which stay on disk.

    Indexed like an array (``store[:]``, ``store[10:20]``, ``store[positions]``), it maps the file
    and copies out what is asked for, so that memory does not grow with N.

    ``identity``: whose statistics they are. ``why``: by id, the reasons for undefined numbers.
    """

    ndim = 2

    def __init__(
        self,
        path: Path,
        header: _Header,
        start: int,
        shape: tuple[int, int],
    ) -> None:
        """Of a verified file at ``path`` in which the array of this ``shape`` begins at ``start``.

        ``header``: what the file says of itself.
        """
        self._path = path
        self._start = start
        self._shape = shape
        self.identity: dict[str, Any] = header["identity"]
        self.why: dict[str, str] = header["why"]

    @classmethod
    def open(cls, path: Path) -> StatisticsStore:
        """Open and verify a file, all of it; raises UserError where it is damaged or absent."""
        header = _read_header(path)
        digest = sha256()
        try:
            with zipfile.ZipFile(path) as archive:
                count = 0
                # Reading to the end also checks what the zip says of a member.
                with _member(archive, "ids", "|u1", 1) as (lines, _):
                    for line in lines:
                        digest.update(line)
                        count += 1
                with _member(archive, "statistics", "<f8", 2) as (data, shape):
                    # The array begins behind numpy's own header of the member.
                    start = _member_start(path, archive, "statistics") + data.tell()
                    left = 8 * shape[0] * shape[1]
                    for chunk in in_chunks(data):
                        digest.update(chunk)
                        left -= len(chunk)
            if header["sha256"] != digest.hexdigest() or left or count != shape[0]:
                raise ValueError("other bytes")
            rows, width = shape
            return cls(path, header, start, (rows, width))
        except Exception as error:
            # zipfile and numpy raise a dozen kinds for bytes that are not what they wrote
            raise damaged_log(path, []) from error

    def __len__(self) -> int:
        return self._shape[0]

    def __getitem__(self, at: Any) -> Float[np.ndarray, "..."]:
        """One row, or those of a slice or of an array of positions.

        They are copied: a zip does not align its members, and numpy may add up unaligned numbers in
        another order. Mapped only while it is read: every mapping holds a file descriptor, and a
        run has hundreds of arrays. Raises UserError where the file has become shorter.
        """
        import numpy as np

        try:
            with os_errors_as_user_errors(self._path, "read"):
                mapped = np.memmap(
                    self._path,
                    dtype="<f8",
                    mode="r",
                    offset=self._start,
                    shape=self._shape,
                )
        except ValueError as error:
            raise damaged_log(self._path, []) from error
        return np.array(mapped[at])

    def ids(self) -> Iterator[str]:
        """The ids of all rows, in order; raises UserError where the file is damaged."""
        try:
            with (
                zipfile.ZipFile(self._path) as archive,
                _member(archive, "ids", "|u1", 1) as (lines, _),
            ):
                yield from map(json.loads, lines)
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise damaged_log(self._path, []) from error

    def value(self, at: int, name: str) -> Any:
        """Row ``at``, of the example ``name``, as a record's value: None for what is undefined."""
        row = self[at].tolist()
        numbers = [None if isnan(number) else number for number in row]
        return with_reason(numbers, self.why.get(name))


def read_identity(path: Path) -> dict[str, Any]:
    """Whose statistics a file holds, by its header alone; UserError where that is damaged."""
    identity: dict[str, Any] = _read_header(path)["identity"]
    return identity


def packed_statistics(
    identity: Mapping[str, Any],
    ids: Sequence[str],
    values: Iterable[Any],
    folder: Path,
) -> Iterator[bytes]:
    """The bytes of a file of finished statistics.

    ``identity``: whose they are. ``ids``: of the rows. ``values``: of the records, in the same
    order. ``folder``: on whose disk the file is put together, without a name. Raises ValueError
    where rows have different lengths.
    """
    import numpy as np

    digest = sha256()
    rows = _Rows(ids, values)
    with TemporaryFile(dir=folder) as file:
        with zipfile.ZipFile(file, "w") as archive:
            size = sum(len(_id_line(name)) for name in ids)
            _pack(archive, "ids", np.uint8, (size,), map(_id_line, ids), digest)
            shape = (len(ids), rows.width)
            _pack(archive, "statistics", np.float64, shape, rows.packed(), digest)
            # Only now is it known why numbers are undefined, and what the digest is.
            about = {
                "identity": identity,
                "sha256": digest.hexdigest(),
                "why": rows.why,
            }
            header = encode_record(about)[:-1]  # without the newline
            _pack(archive, "header", np.uint8, (len(header),), [header], sha256())
        file.seek(0)
        yield from in_chunks(file)


def _id_line(name: str) -> bytes:
    return canonical_json(name) + b"\n"


class _Rows:
    """The values of records as rows of ``width`` numbers; ``why`` fills while they are packed."""

    def __init__(self, ids: Iterable[str], values: Iterable[Any]) -> None:
        """Look at the first of ``values`` for the width."""
        self._ids = ids
        self._values = iter(values)
        # The shape is written before the rows, and they are not held to be counted.
        self._first = next(self._values)
        self.width = len(statistics_row(self._first))
        self.why: dict[str, str] = {}

    def packed(self) -> Iterator[bytes]:
        """Each row as float64; None becomes NaN."""
        import numpy as np

        for name, value in zip(self._ids, self._all(), strict=True):
            row = statistics_row(value)
            width = len(row)
            if width != self.width:
                raise ValueError(f"rows of {self.width} and of {width} numbers")
            reason = undefined_why(value)
            if reason is not None:
                self.why[name] = reason
            yield np.array(row, np.float64).tobytes()

    def _all(self) -> Iterator[Any]:
        yield self._first
        yield from self._values


def _pack(
    archive: zipfile.ZipFile,
    name: str,
    dtype: Any,
    shape: Sequence[int],
    parts: Iterable[bytes],
    digest: Any,
) -> None:
    """Write an array into the zip, piece by piece."""
    import numpy as np

    about = {
        "descr": np.dtype(dtype).str,
        "fortran_order": False,
        "shape": tuple(shape),
    }
    # A ZipInfo made by hand has the time 1980-01-01.
    entry = zipfile.ZipInfo(f"{name}.npy")
    # How long a member gets is not told in advance: its header has room for 64-bit sizes.
    with archive.open(entry, "w", force_zip64=True) as member:
        np.lib.format.write_array_header_1_0(member, about)
        for part in joined_to_chunks(parts):
            digest.update(part)
            member.write(part)


@contextmanager
def _member(
    archive: zipfile.ZipFile,
    name: str,
    dtype: str,
    axes: int,
) -> Iterator[tuple[IO[bytes], tuple[int, ...]]]:
    """An array in the zip, to be read from behind numpy's header, and its shape.

    Raises ValueError where it is not of this type and number of axes, row by row.
    """
    import numpy as np

    with archive.open(f"{name}.npy") as file:
        np.lib.format.read_magic(file)
        shape, by_columns, found = np.lib.format.read_array_header_1_0(file)
        if by_columns or found.str != dtype or len(shape) != axes:
            raise ValueError("another array")
        yield file, shape


def _member_start(
    path: Path,
    archive: zipfile.ZipFile,
    name: str,
) -> int:
    """Where the bytes of a member begin.

    Its local header has 30 bytes, then the member's name and an extra field, whose lengths are the
    16-bit numbers at 26 and 28 (APPNOTE.TXT of the zip format, 4.3.7). Raises ValueError where the
    member is compressed.
    """
    member = archive.getinfo(f"{name}.npy")
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError("compressed")
    with path.open("rb") as file:
        file.seek(member.header_offset + 26)
        name_length = int.from_bytes(file.read(2), "little")
        extra_length = int.from_bytes(file.read(2), "little")
    return member.header_offset + 30 + name_length + extra_length


def _read_header(path: Path) -> _Header:
    import numpy as np

    with os_errors_as_user_errors(path, "read"):
        os.stat(path)
    try:
        with np.load(path, allow_pickle=False) as stored:
            header = decode_record(stored["header"].tobytes())
    except Exception as error:
        raise damaged_log(path, []) from error
    if header is None or "identity" not in header:
        raise damaged_log(path, [])
    return header
