"""Headers of Parquet pages, read without unpacking a page.

A page's header says how large the page is once it is unpacked, and a reader allocates as much. The
file's footer says it too, for all pages of a column together, but nothing makes the two agree.

Source: ``parquet.thrift`` of apache/parquet-format (``PageHeader``), in the compact protocol of
Apache Thrift (``doc/specs/thrift-compact-protocol.md``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any, NamedTuple

_FIRST_READ = 1 << 12
_LARGEST_HEADER = 1 << 24
"""Bytes of a header, whose statistics may hold texts; Arrow reads no larger one either."""
_DEEPEST = 16
"""Structures within structures; a header has three levels."""
_STOP, _TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY = 0, 1, 2, 3, 7, 8
_INTEGERS, _LISTS, _MAP, _STRUCT = (4, 5, 6), (9, 10), 11, 12
_VALUES_OF = (5, 7, 8)
"""Fields of a header whose own first field counts values: data page, dictionary, data page 2."""


class PageHeader(NamedTuple):
    """What a page says of itself: ``packed`` and ``unpacked`` bytes, and how many ``values``."""

    packed: int
    unpacked: int
    values: int


class PageError(ValueError):
    """Why a page's header cannot be read."""


def page_headers(file: IO[bytes], start: int, length: int) -> Iterator[PageHeader]:
    """The headers of a column's pages, one after the other.

    ``file``: the Parquet file. ``start``, ``length``: the bytes of the column in it.

    Raises PageError where a header is malformed, or a page extends beyond the column.
    """
    place = start
    end = start + length
    while place < end:
        fields, size = _read_header(file, place)
        unpacked = _number(fields, 2)
        packed = _number(fields, 3)
        if packed < 0 or unpacked < 0:
            raise PageError(f"a page at byte {place:,} has a negative size")
        place += size + packed
        if place > end:
            raise PageError(f"a page goes on behind its column, to byte {place:,}")
        several = [fields[at] for at in _VALUES_OF if isinstance(fields.get(at), dict)]
        yield PageHeader(packed, unpacked, sum(_number(one, 1) for one in several))


def _number(fields: dict[int, Any], at: int) -> int:
    value = fields.get(at, 0)
    if not isinstance(value, int):
        raise PageError(f"the field {at} of a page's header is no number")
    return value


def _read_header(file: IO[bytes], place: int) -> tuple[dict[int, Any], int]:
    """The fields of the header at ``place``, and its length in bytes."""
    size = _FIRST_READ
    while True:
        file.seek(place)
        data = file.read(size)
        parser = _Parser(data)
        try:
            return parser.struct(), parser.place
        except IndexError:
            # it goes on behind what was read, or behind the end of the file
            if len(data) < size or size >= _LARGEST_HEADER:
                raise PageError(f"no page begins at byte {place:,}") from None
        size *= 16


class _Parser:
    """Values of the compact protocol; IndexError where the bytes end within one."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.place = 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """The fields of a structure, by their numbers."""
        if depth > _DEEPEST:
            raise PageError("a page's header is nested too deeply")
        fields: dict[int, Any] = {}
        number = 0
        while True:
            byte = self._byte()
            kind = byte & 0x0F
            step = byte >> 4
            if kind == _STOP:
                return fields
            # a step of 0 says that the number itself follows
            number = number + step if step else self._signed()
            fields[number] = self._value(kind, depth)

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (_TRUE, _FALSE):
            return kind == _TRUE
        if kind == _BYTE:
            return self._byte()
        if kind in _INTEGERS:
            return self._signed()
        if kind == _DOUBLE:
            return self._skipped(8)
        if kind == _BINARY:
            return self._skipped(self._varint())
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind in _LISTS:
            return self._list(depth)
        # no field of a page's header is a map
        raise PageError(f"a page's header holds a value of the kind {kind}")

    def _list(self, depth: int) -> list[Any]:
        byte = self._byte()
        kind = byte & 0x0F
        count = byte >> 4
        if count == 15:
            count = self._varint()
        # an element takes a byte at least, so that more are not there
        if count > len(self._data):
            raise IndexError
        if kind in (_TRUE, _FALSE):
            return [self._byte() for _ in range(count)]
        return [self._value(kind, depth + 1) for _ in range(count)]

    def _byte(self) -> int:
        byte = self._data[self.place]
        self.place += 1
        return byte

    def _varint(self) -> int:
        """An unsigned number, seven bits a byte, the lowest first."""
        number = shift = 0
        while True:
            byte = self._byte()
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number
            if shift > 63:
                raise PageError("a number of a page's header has more than 64 bits")

    def _signed(self) -> int:
        """A signed number: 0, -1, 1, -2 … are written as 0, 1, 2, 3 …"""
        number = self._varint()
        return (number >> 1) ^ -(number & 1)

    def _skipped(self, count: int) -> None:
        if self.place + count > len(self._data):
            raise IndexError
        self.place += count
