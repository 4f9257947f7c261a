"""Examples that are too many to hold: on disk in a file without a name, read one by one when they
are asked for.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from typing import Any

from parabench.contracts import Example
from parabench.sequences import FileLines, LazyMap
from parabench.store.files import os_errors_as_user_errors

HELD_IN_MEMORY = 20_000
"""Examples that are held."""


def spill_if_large(examples: Iterable[Example]) -> Sequence[Example]:
    """All of them as a list, or on disk where they are many."""
    stream = iter(examples)
    few = list(islice(stream, HELD_IN_MEMORY + 1))
    return few if len(few) <= HELD_IN_MEMORY else SpilledExamples(chain(few, stream))


class SpilledExamples(Sequence[Example]):
    """Examples in a file without a name, a line each; the file goes when this does."""

    def __init__(self, examples: Iterable[Example]) -> None:
        """Writes them all."""
        with os_errors_as_user_errors(Path(gettempdir())), TemporaryFile() as file:
            self._lines = FileLines(os.dup(file.fileno()))
            for one in examples:
                line = (
                    json.dumps([one.id, one.source, one.references, one.cluster]).encode() + b"\n"
                )
                file.write(line)
                self._lines.extend([len(line)])

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return LazyMap(self.__getitem__, range(len(self))[at])
        name, source, references, cluster = json.loads(self._lines[at])
        return Example(name, source, tuple(references), cluster)
