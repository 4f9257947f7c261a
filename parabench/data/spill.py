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
    """All examples as a list, or on disk where they are more than ``HELD_IN_MEMORY``.

    Raises UserError where the disk cannot hold them.
    """
    stream = iter(examples)
    # one more than is held tells whether there are more
    few = list(islice(stream, HELD_IN_MEMORY + 1))
    if len(few) <= HELD_IN_MEMORY:
        return few
    return SpilledExamples(chain(few, stream))


class SpilledExamples(Sequence[Example]):
    """Examples in a file without a name, a line each; the file goes when this does."""

    def __init__(self, examples: Iterable[Example]) -> None:
        """Write all examples. Raises UserError where the disk cannot hold them."""
        folder = Path(gettempdir())
        with os_errors_as_user_errors(folder), TemporaryFile() as file:
            # a descriptor of its own outlives this block, and with it the nameless file
            self._lines = FileLines(os.dup(file.fileno()))
            for one in examples:
                values = [one.id, one.source, one.references, one.cluster]
                line = json.dumps(values).encode() + b"\n"
                file.write(line)
                self._lines.extend([len(line)])

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return LazyMap(self.__getitem__, range(len(self))[at])
        name, source, references, cluster = json.loads(self._lines[at])
        return Example(name, source, tuple(references), cluster)
