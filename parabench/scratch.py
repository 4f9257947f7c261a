"""Arrays with a number or two for each example: in memory where they are small, else on disk.

A scratch file has no name and goes with its array, which is mapped from it. Mapped pages are not
memory that a process keeps: the system writes them back, and takes them where it needs room.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from mmap import mmap
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Shaped
    from numpy.typing import DTypeLike

HELD_BYTES = 1 << 18
"""Bytes up to which an array is in memory."""
BLOCK = 1 << 16
"""Numbers that are worked on at once."""


def scratch_array(count: int, dtype: DTypeLike) -> Shaped[np.ndarray, " N"]:
    """``count`` zeros of a ``dtype``; in memory too where no scratch file can be made."""
    import numpy as np

    size = count * np.dtype(dtype).itemsize
    if size > HELD_BYTES:
        try:
            return np.frombuffer(_mapped_zeros(size), dtype)
        except OSError:
            pass  # the disk is full or may not be written: the numbers are the same in memory
    return np.zeros(count, dtype)


def _mapped_zeros(size: int) -> mmap:
    """A scratch file of ``size`` bytes, mapped. Raises OSError for what the disk refuses."""
    with TemporaryFile() as file:
        # written, and not only made so long: a page without room on disk would end the process
        # when it is first used
        for start in range(0, size, BLOCK):
            file.write(bytes(min(BLOCK, size - start)))
        file.flush()
        return mmap(file.fileno(), size)


def scratch_copy(numbers: Iterable[int], count: int, dtype: DTypeLike) -> Shaped[np.ndarray, " N"]:
    """The first ``count`` of ``numbers`` as a scratch array; ValueError where there are fewer."""
    import numpy as np

    stream = iter(numbers)
    array = scratch_array(count, dtype)
    for block in blocks(count):
        size = block.stop - block.start
        array[block] = np.fromiter(islice(stream, size), dtype, size)
    return array


def blocks(count: int) -> Iterator[slice]:
    """Slices that cover ``count`` numbers, ``BLOCK`` of them each, the last one shorter."""
    for start in range(0, count, BLOCK):
        yield slice(start, min(start + BLOCK, count))


def sort_distinct(numbers: Shaped[np.ndarray, " N"]) -> Shaped[np.ndarray, " U"]:
    """Sort ``numbers`` in place; their beginning, which holds each different one once."""
    import numpy as np

    numbers.sort()
    count = 0  # of different numbers so far: they are moved to the beginning
    for block in blocks(len(numbers)):
        part = numbers[block]
        is_new = np.append(True, part[1:] != part[:-1])
        if count:
            is_new[0] = part[0] != numbers[count - 1]
        new = part[is_new]  # a copy, because what it came from is written over
        numbers[count : count + len(new)] = new
        count += len(new)
    return numbers[:count]
