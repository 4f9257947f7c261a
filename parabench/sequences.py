"""Lazy sequences: items that are computed, or read from a file, whenever one is asked for."""

from __future__ import annotations

import os
import weakref
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Any, TypeVar

Item = TypeVar("Item")

LINES_PER_OFFSET = 16
"""Lines, or rows, of which only the first one's place is held, and which are read together."""


def numbered_blocks(items: Sequence[Item], size: int = 1024) -> Iterator[list[tuple[int, Item]]]:
    """Yield ``(position, item)`` pairs in blocks of at most ``size``.

    For systems that answer at once: a block is one acknowledged write, so a block of one row would
    cost a disk sync a row, and a single block of everything would hold all answers in memory.
    """
    for start in range(0, len(items), size):
        yield list(enumerate(items[start : start + size], start))


def text_hash64(text: str) -> int:
    """64 bits that stand for a text."""
    return int.from_bytes(
        blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big"
    )


class LazyMap(Sequence[Any]):
    """What a function makes of the items of a sequence, made anew whenever one is asked for."""

    def __init__(self, function: Callable[[Any], Any], items: Sequence[Any]) -> None:
        """Nothing is made yet."""
        self._function, self._items = function, items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return LazyMap(self._function, self._items[at])
        return self._function(self._items[at])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)


class FileLines(Sequence[bytes]):
    """The lines of a file, read when they are asked for; memory holds only where every 16th of them
    begins.
    """

    def __init__(self, file: int, start: int = 0) -> None:
        """None yet, of an open file, which is closed with this; the first will stand at
        ``start``.
        """
        self._file, self._begins, self._count = file, array("Q"), 0
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
            begin, *end = self._begins[block : block + 2]
            lines = os.pread(self._file, (end[0] if end else self.size) - begin, begin).split(b"\n")
            self._held = block, lines
        return lines[place] + b"\n" if place < len(lines) else b""

    def extend(self, sizes: Iterable[int]) -> None:
        """Lines of these sizes stand behind those that are known."""
        self._held = -1, []
        for size in sizes:
            if self._count % LINES_PER_OFFSET == 0:
                self._begins.append(self.size)
            self._count += 1
            self.size += size
