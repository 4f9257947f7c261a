"""Examples that are too many to hold: on disk in a file without a name, read one by one when they are asked for."""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from typing import Any

from parabench.contents import Mapped
from parabench.contracts import Example
from parabench.disk import told

MANY = 20_000
"""Examples that are held."""


def kept(examples: Iterable[Example]) -> Sequence[Example]:
    """All of them as a list, or on disk where they are many."""
    stream = iter(examples)
    few = list(islice(stream, MANY + 1))
    return few if len(few) <= MANY else OnDisk(chain(few, stream))


class OnDisk(Sequence[Example]):
    """Examples of which only where they stand is in memory, 8 bytes each; the file goes when this does."""

    def __init__(self, examples: Iterable[Example]) -> None:
        """Writes them all."""
        self._ends = array("Q", [0])
        with told(Path(gettempdir())):
            self._file = TemporaryFile()  # noqa: SIM115  (as long as the examples are needed)
            for one in examples:
                line = json.dumps([one.id, one.source, one.references, one.cluster]).encode()
                self._file.write(line)
                self._ends.append(self._ends[-1] + len(line))
            self._file.flush()

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return Mapped(self.__getitem__, range(len(self))[at])
        at = range(len(self))[at]
        data = os.pread(self._file.fileno(), self._ends[at + 1] - self._ends[at], self._ends[at])
        name, source, references, cluster = json.loads(data)
        return Example(name, source, tuple(references), cluster)
