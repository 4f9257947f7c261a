"""Sequences cut into blocks, and lazy ones: items that are computed whenever one is asked for."""

from __future__ import annotations

import os
import weakref
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from typing import Any, TypeVar

_Item = TypeVar("_Item")

LINES_PER_OFFSET = 16
"""Lines, or rows, of which only the first one's place is held, and which are read together."""


def blocks_of(items: Sequence[_Item], size: int) -> list[Sequence[_Item]]:
    """A sequence cut into blocks of ``size`` items, the last one shorter."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def in_blocks(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """A stream in lists of ``size`` items, the last one shorter."""
    stream = iter(items)
    while block := list(islice(stream, size)):
        yield block


def numbered_blocks(items: Sequence[_Item], size: int = 1024) -> Iterator[list[tuple[int, _Item]]]:
    """Yield ``(position, item)`` pairs in blocks of at most ``size``.

    For systems that answer at once: a block is one acknowledged write, so a block of one row would
    cost a disk sync a row, and a single block of everything would hold all answers in memory.
    """
    for start in range(0, len(items), size):
        block = items[start : start + size]
        yield list(enumerate(block, start))


def text_hash64(text: str) -> int:
    """64 bits that stand for a text (BLAKE2b)."""
    # Half of a surrogate pair is no UTF-8, but may stand in a file all the same.
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")


class LazyMap(Sequence[Any]):
    """Lazy ``map`` over a sequence: an item is computed again on every access."""

    def __init__(self, function: Callable[[Any], Any], items: Sequence[Any]) -> None:
        """``function`` makes an item of this sequence of each of ``items``."""
        self._function = function
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return LazyMap(self._function, self._items[at])
        return self._function(self._items[at])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)


class FileLines(Sequence[bytes]):
    """The lines of a file, read when they are asked for.

    Memory holds the place of every 16th line only: half a byte a line.
    """

    def __init__(self, file: int, start: int = 0) -> None:
        """No lines yet, of an open file; the first one will begin at byte ``start``.

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
            return [self[one] for one in range(len(self))[at]]
        block, place = divmod(range(len(self))[at], LINES_PER_OFFSET)
        held, lines = self._held  # looked at once: another thread may change it
        if held != block:
            lines = self._read_block(block)
            self._held = block, lines
        # A file that was cut off since has fewer lines than it had.
        return lines[place] + b"\n" if place < len(lines) else b""

    def _read_block(self, block: int) -> list[bytes]:
        begin = self._begins[block]
        is_last = block + 1 == len(self._begins)
        end = self.size if is_last else self._begins[block + 1]
        return os.pread(self._file, end - begin, begin).split(b"\n")

    def extend(self, sizes: Iterable[int]) -> None:
        """Take over lines of these sizes in bytes, which stand behind those that are known."""
        self._held = -1, []
        for size in sizes:
            if self._count % LINES_PER_OFFSET == 0:
                self._begins.append(self.size)
            self._count += 1
            self.size += size
