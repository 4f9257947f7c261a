"""The records of one log by example id, in whichever of its files each is.

Values are read from the files whenever one is asked for, so that a log of a million records need
not be held.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from parabench.contracts import UserError
from parabench.store.lines import LogLines
from parabench.store.log_files import RecordFile
from parabench.store.positions import IdPositions


class RecordIndex(Mapping[str, Any]):
    """Values by example id, of the files of one log."""

    def __init__(self, path: Path) -> None:
        """No files yet; ``path`` is named where two records of one example disagree."""
        self._path = path
        self._files: list[RecordFile] = []
        # Records are numbered through all files; where the numbers of each file begin.
        self._starts: list[int] = []
        self._positions = IdPositions()

    def __len__(self) -> int:
        return len(self._positions)

    def __iter__(self) -> Iterator[str]:
        for start, file in zip(self._starts, self._files, strict=True):
            for position, name in enumerate(file.ids(), start):
                first = self._positions.get(name)
                # An id may stand in several files: it is told where it was found first.
                if first == position:
                    yield name

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        return self._positions.get(name) is not None

    def __getitem__(self, name: str) -> Any:
        file, at = self._find(name)
        return file.value(at, name)

    def line(self, name: str) -> bytes:
        """One record as it is written, of files of lines."""
        file, at = self._find(name)
        if not isinstance(file, LogLines):
            raise TypeError(f"{self._path} is no file of lines")
        return file.line(at)

    def take(self, records: RecordFile) -> None:
        """Add a file; raises UserError where it disagrees with those that are here."""
        start = self._end()
        self._files.append(records)
        self._starts.append(start)
        for at, name in enumerate(records.ids()):
            position = start + at
            known = self._positions.add(name, position)
            if known == position:
                continue
            # An id that was there already is no error: parts of several processes may overlap.
            value = records.value(at, name)
            if self[name] != value:
                raise self._disagreement(name)

    def _disagreement(self, name: str) -> UserError:
        path = self._path
        found = f"two different records of example {name!r}"
        mend = f"mv {path} {path}.disagrees   # then the same command makes it again"
        return UserError(f"read {path}", found, mend=mend)

    def grow(self, names: Sequence[str], sizes: Sequence[int]) -> None:
        """Take over records that were appended to the file that was added last.

        ``names``: their ids. ``sizes``: their bytes.
        """
        grown = self._files[-1]
        if not isinstance(grown, LogLines):
            raise TypeError(f"{self._path} does not grow")
        first = self._end()
        grown.extend(sizes)
        for position, name in enumerate(names, first):
            self._positions.add(name, position)

    def consists_of(self, names: Sequence[str]) -> bool:
        """Whether it holds exactly these ids, each given once."""
        # A byte for each record: a set of a million ids would take a hundred.
        is_given = bytearray(self._end())
        for name in names:
            position = self._positions.get(name)
            if position is not None:
                is_given[position] = 1
        different = is_given.count(1)
        return different == len(names) == len(self)

    def _end(self) -> int:
        """The number behind that of the last record."""
        if not self._files:
            return 0
        last_start = self._starts[-1]
        last_file = self._files[-1]
        return last_start + len(last_file)

    def _find(self, name: str) -> tuple[RecordFile, int]:
        """The file that holds an id, and the number of its record there."""
        position = self._positions.get(name)
        if position is None:
            raise KeyError(name)
        # The last file that begins at this number or before it.
        number = bisect_right(self._starts, position) - 1
        at = position - self._starts[number]
        return self._files[number], at
