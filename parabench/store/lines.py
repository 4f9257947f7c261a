"""Lines of a file, read when they are asked for; memory holds the place of every 16th one only."""

from __future__ import annotations

import os
import weakref
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from parabench.sequences import LazyMap
from parabench.store.files import os_errors_as_user_errors
from parabench.store.records import LogRecord, damaged_log, decode_record, line_verifies

LINES_PER_OFFSET = 16
"""Lines of which only the first one's place is held, and which are read together."""


class FileLines(Sequence[bytes]):
    """The lines of an open file: half a byte of memory a line."""

    def __init__(self, file: int, start: int = 0) -> None:
        """No lines yet; the first one will begin at byte ``start``.

        ``file``: a descriptor, which is closed when this object goes.
        """
        self._file = file
        self._begins = array("Q")
        self._count = 0
        # The block of lines that was read last, by its number.
        self._held: tuple[int, list[bytes]] = (-1, [])
        self.size = start
        weakref.finalize(self, os.close, file)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return LazyMap(self.__getitem__, range(len(self))[at])
        # A range gives negative numbers their meaning, and raises IndexError behind the end.
        number = range(len(self))[at]
        block, place = divmod(number, LINES_PER_OFFSET)
        held, lines = self._held  # looked at once: another thread may change it
        if held != block:
            lines = self._read_block(block)
            self._held = block, lines
        if place >= len(lines):
            # The file was cut off since; what is no line does not verify.
            return b""
        return lines[place] + b"\n"

    def _read_block(self, block: int) -> list[bytes]:
        begin = self._begins[block]
        is_last = block + 1 == len(self._begins)
        end = self.size if is_last else self._begins[block + 1]
        data = os.pread(self._file, end - begin, begin)
        return data.split(b"\n")

    def extend(self, sizes: Iterable[int]) -> None:
        """Take over lines of these sizes in bytes, which stand behind those that are known."""
        self._held = -1, []
        for size in sizes:
            if self._count % LINES_PER_OFFSET == 0:
                self._begins.append(self.size)
            self._count += 1
            self.size += size


class LogLines(Sequence[LogRecord]):
    """The records of a log of lines, each verified whenever it is read."""

    def __init__(
        self,
        path: Path,
        checksum_start: int,
        header: int,
    ) -> None:
        """Open the file at ``path``; no records yet.

        ``checksum_start``: where the checksums of its lines start from. ``header``: the bytes of
        line 1. Raises UserError where the file cannot be read.
        """
        self._path = path
        self._checksum_start = checksum_start
        with os_errors_as_user_errors(path, "read"):
            self._lines = FileLines(os.open(path, os.O_RDONLY), header)

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return LazyMap(self.__getitem__, range(len(self))[at])
        line = self.line(at)
        record = decode_record(line[:-1], self._checksum_start)
        if record is None:
            raise self._damaged(at)
        return record["id"], record["value"]

    def ids(self) -> Iterator[str]:
        """The ids of all records, in order."""
        for name, _ in self:
            yield name

    def value(self, at: int, name: str) -> Any:
        """The value of record ``at``, whose id is ``name``; UserError where it does not verify."""
        return self[at][1]

    @property
    def size(self) -> int:
        """The bytes of all lines, the first among them."""
        return self._lines.size

    def extend(self, sizes: Iterable[int]) -> None:
        """Take over records of these sizes in bytes, which were appended to the file."""
        self._lines.extend(sizes)

    def line(self, at: int) -> bytes:
        """One record as it is written.

        Raises UserError where it is no longer what verified when the file was opened.
        """
        with os_errors_as_user_errors(self._path, "read"):
            line = self._lines[at]
        if not line_verifies(line[:-1], self._checksum_start):
            raise self._damaged(at)
        return line

    def _damaged(self, at: int) -> Exception:
        # Lines are numbered from 1, and line 1 is the header.
        return damaged_log(self._path, [at + 2])
