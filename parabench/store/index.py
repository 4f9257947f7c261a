"""Where the record of each example stands, so that a log of a million of them need not be held."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from parabench.contracts import UserError
from parabench.store.positions import IdPositions
from parabench.store.records import LogRecord
from parabench.store.tables import LogLines


class RecordIndex(Mapping[str, Any]):
    """Values by example id, read from the files in which they stand whenever one is asked for."""

    def __init__(self, path: Path) -> None:
        """``path`` is named where two records of one example disagree."""
        self._path = path
        self._files: list[Sequence[LogRecord]] = []
        self._starts: list[int] = []
        self._places = IdPositions()  # numbered through all files

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[str]:
        for start, file in zip(self._starts, self._files, strict=True):
            yield from (
                name
                for place, (name, _) in enumerate(file, start)
                if self._places.get(name) == place
            )

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._places.get(name) is not None

    def __getitem__(self, name: str) -> Any:
        file, at = self._find(name)
        return file[at][1]

    def line(self, name: str) -> bytes:
        """One record as it is written, of files of lines."""
        file, at = self._find(name)
        if not isinstance(file, LogLines):
            raise TypeError(f"{self._path} is no file of lines")
        return file.line(at)

    def take(self, records: Sequence[LogRecord]) -> None:
        """Add a file; UserError where it disagrees with those that are here."""
        start = self._starts[-1] + len(self._files[-1]) if self._files else 0
        self._files.append(records)
        self._starts.append(start)
        for place, (name, value) in enumerate(records, start):
            if self._places.add(name, place) != place and self[name] != value:
                mend = (
                    f"mv {self._path} {self._path}.disagrees"
                    "   # then the same command makes it anew"
                )
                raise UserError(
                    f"read {self._path}", f"two different records of example {name!r}", mend=mend
                )

    def grow(self, names: Sequence[str], sizes: Sequence[int]) -> None:
        """Records of these sizes were appended to the file that was added last."""
        grown = self._files[-1]
        if not isinstance(grown, LogLines):
            raise TypeError(f"{self._path} does not grow")
        place = self._starts[-1] + len(grown)
        grown.extend(sizes)
        for at, name in enumerate(names, place):
            self._places.add(name, at)

    def consists_of(self, names: Sequence[str]) -> bool:
        """Whether it holds exactly these ids, each given once."""
        given = bytearray(self._starts[-1] + len(self._files[-1])) if self._files else bytearray()
        for name in names:
            if (place := self._places.get(name)) is not None:
                given[place] = 1
        return given.count(1) == len(names) == len(self)

    def _find(self, name: str) -> tuple[Sequence[LogRecord], int]:
        if (place := self._places.get(name)) is None:
            raise KeyError(name)
        number = bisect_right(self._starts, place) - 1
        return self._files[number], place - self._starts[number]
