"""The examples of a run: held where they are few, else on disk and read when they are asked for."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain, islice
from operator import attrgetter
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from typing import TYPE_CHECKING, Any

from parabench.contracts import Example
from parabench.sequences import LazyMap
from parabench.store.files import os_errors_as_user_errors
from parabench.store.lines import FileLines
from parabench.store.positions import sorted_positions

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import UInt32

HELD_IN_MEMORY = 20_000
"""Examples that are held; a million with their references would take a gigabyte."""


class ExampleStore(Sequence[Example]):
    """Examples in order; memory does not grow with those beyond ``HELD_IN_MEMORY``.

    ``is_held`` says whether all of them are in memory.
    """

    def __init__(self, examples: Sequence[Example]) -> None:
        """Of ``examples`` that are held, or made whenever one is asked for."""
        self._examples = examples
        self.is_held = isinstance(examples, (tuple, list))

    @classmethod
    def collect(cls, examples: Iterable[Example]) -> ExampleStore:
        """Take over a stream of examples: held, or written to a file without a name.

        The file goes when the store does. Raises UserError for what the disk refuses.
        """
        stream = iter(examples)
        # One more than may be held tells whether there are more.
        few = tuple(islice(stream, HELD_IN_MEMORY + 1))
        if len(few) <= HELD_IN_MEMORY:
            return cls(few)
        folder = Path(gettempdir())
        with os_errors_as_user_errors(folder), TemporaryFile() as file:
            # Lines keep a descriptor of their own: this one is closed below.
            lines = FileLines(os.dup(file.fileno()))
            for example in chain(few, stream):
                record = example_record(example)
                line = json.dumps(record).encode() + b"\n"
                file.write(line)
                lines.extend([len(line)])
        return cls(LazyMap(_example_of_line, lines))

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return ExampleStore(self._examples[at])
        return self._examples[at]

    @property
    def ids(self) -> Sequence[str]:
        """The id of each example."""
        return self._each("id")

    @property
    def sources(self) -> Sequence[str]:
        """The source of each example."""
        return self._each("source")

    @property
    def references(self) -> Sequence[tuple[str, ...]]:
        """The references of each example."""
        return self._each("references")

    def _each(self, name: str) -> Sequence[Any]:
        value_of = attrgetter(name)
        if self.is_held:
            return tuple(map(value_of, self._examples))
        return LazyMap(value_of, self._examples)

    @cached_property
    def by_id(self) -> UInt32[np.ndarray, " N"]:
        """The positions of all examples in the order of their ids."""
        return sorted_positions(self.ids, HELD_IN_MEMORY)


def example_record(example: Example) -> dict[str, Any]:
    """An example as it is stored."""
    return {
        "id": example.id,
        "source": example.source,
        "references": list(example.references),
        "cluster": example.cluster,
    }


def example_of_record(record: Mapping[str, Any]) -> Example:
    """An example from how it is stored; folders of early versions have no clusters."""
    return Example(
        id=record["id"],
        source=record["source"],
        references=tuple(record["references"]),
        cluster=record.get("cluster", ""),
    )


def _example_of_line(line: bytes) -> Example:
    return example_of_record(json.loads(line))
