"""Sequences cut into blocks, and lazy ones: items that are computed whenever one is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from typing import Any, TypeVar

_Item = TypeVar("_Item")


def blocks_of(items: Sequence[_Item], size: int) -> list[Sequence[_Item]]:
    """A sequence cut into blocks of ``size`` items, the last one shorter."""
    starts = range(0, len(items), size)
    return [items[start : start + size] for start in starts]


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
