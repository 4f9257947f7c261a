"""Logs: what one system answered, or what one scorer measured of it, example by example.

A log grows in ``<names>.part.jsonl``, batch by batch, and is finished into a file whose records
stand in example order, so that an interrupted run and an undisturbed one end alike. Other processes
may add parts, ``<names>.part-1.jsonl``.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar
from zlib import crc32

from parabench.contracts import NOT_FINITE, UserError
from parabench.store.append_only import AppendOnlyFile
from parabench.store.files import os_errors_as_user_errors, quarantine_file, write_atomically
from parabench.store.index import RecordIndex
from parabench.store.lines import LogLines
from parabench.store.log_files import LinesFile, finished_log, identity_of, load_lines, load_log
from parabench.store.log_paths import (
    LogKind,
    finished_logs,
    log_parts,
    log_path,
    part_of_rank,
    part_path,
)
from parabench.store.records import (
    LogRecord,
    canonical_json,
    encode_record,
    json_differences,
    record_lines,
    with_reason,
)
from parabench.store.statistics_store import StatisticsStore, packed_statistics

_Found = TypeVar("_Found")


class Log:
    """The records of one system, or of one system and scorer: ``done`` maps example ids to values.

    Records made under another key are never in it: their file is moved to the quarantine folder.
    ``sealed`` says that the log is finished, ``notes`` what was set aside on opening.
    """

    def __init__(
        self,
        folder: Path,
        kind: LogKind,
        names: Sequence[str],
        key: Mapping[str, Any],
        rank: int | None = None,
    ) -> None:
        """Open the log of these ``names`` in the run ``folder``, and recover what it holds.

        ``kind``: predictions of a system, or statistics of a system and a scorer. ``key``: all that
        can change its records. With ``rank`` one of several processes opens it, which writes a part
        of its own, reads those of the others, and leaves everything else alone.

        Raises UserError where a file is damaged.
        """
        self._identity = {"kind": kind, "names": list(names), "key": dict(key)}
        self._quarantine = folder / "quarantine"
        self._path = log_path(folder, kind, names)
        self._first_part = part_path(folder, kind, names)
        self._own_part = part_of_rank(self._first_part, rank)
        self._rank = rank
        # The part that this process writes; made with its first records.
        self._part: AppendOnlyFile | None = None
        self.notes: list[str] = []
        self.done = RecordIndex(self._path)
        self.sealed = False
        if rank is not None:
            self.refresh()
            return
        self.sealed = bool(_unless_gone(self._path, self._recover))
        if self.sealed:
            # The process that finished it was killed before the parts were removed.
            for part in log_parts(self._first_part):
                quarantine_file(part, self._quarantine)
        else:
            self._recover_parts()

    def refresh(self) -> bool:
        """Take over what other processes have written since; whether the log is finished."""
        if not self.sealed:
            self.done = RecordIndex(self._path)
            self._recover_parts()
            # The finished file last: it is in place before the parts go, so what was not among
            # them is in it.
            self.sealed = bool(_unless_gone(self._path, self._recover))
        return self.sealed

    def append(
        self, records: Sequence[LogRecord], why: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Add a batch of records; once this returns, no kill and no power cut loses it.

        For statistics a value is a row of numbers, whose NaN and infinities become null; ``why``
        gives reasons for what is undefined, by id, and no null is without one. Raises ValueError
        for an id that is there already.
        """
        if self._identity["kind"] == "statistics":
            records = [(name, _measurement(row, why.get(name))) for name, row in records]
        names = [name for name, _ in records]
        # Looked for before a byte is written: a log with an id twice could not be read again.
        is_repeated = len(set(names)) != len(names)
        is_known = any(name in self.done for name in names)
        if self.sealed or is_repeated or is_known:
            raise ValueError(f"records appended twice to {self._own_part}")
        lines = list(record_lines(self._identity, records))
        # One write and one fsync for the whole batch; only then do the records count as done.
        batch = b"".join(lines)
        if self._part is None:
            self._begin(batch)
        else:
            self._part.append(batch)
        sizes = [len(line) for line in lines]
        self.done.grow(names, sizes)

    def seal(self, order: Sequence[str]) -> None:
        """Finish the log, its records in this order of ids.

        Raises UserError unless it holds exactly these.
        """
        if not order or not self.done.consists_of(order):
            missing = [name for name in order if name not in self.done]
            count = len(self.done)
            found = f"{count} records for {len(order)} examples; missing: {reprlib.repr(missing)}"
            mend = "run the same command again: it resumes"
            raise UserError(f"finish {self._path}", found, mend=mend)
        if self.sealed:
            return
        write_atomically(self._path, self._packed(order))
        self.sealed = True
        for part in log_parts(self._first_part):
            with os_errors_as_user_errors(part):
                part.unlink()

    def _packed(self, order: Sequence[str]) -> Iterator[bytes]:
        """The bytes of the finished log."""
        if self._identity["kind"] == "statistics":
            values = map(self.done.__getitem__, order)
            return packed_statistics(self._identity, order, values, self._path.parent)

        def lines() -> Iterable[bytes]:
            return map(self.done.line, order)

        return finished_log(self._identity, lines)

    def _begin(self, batch: bytes) -> None:
        """Make the part that this process writes, with its first batch of records in it."""
        first = encode_record({"identity": self._identity})
        self._part = AppendOnlyFile.create(self._own_part, first + batch)
        # The checksums of all further lines start from the identity.
        checksum_start = crc32(canonical_json(self._identity))
        records = LogLines(self._own_part, checksum_start, len(first))
        self.done.take(records)

    def _recover_parts(self) -> None:
        """Take over all parts."""
        parts = log_parts(self._first_part)
        # The own one last (False sorts before True): only the last file of the index can grow.
        parts.sort(key=lambda part: part == self._own_part)
        for part in parts:
            _unless_gone(part, self._recover)

    def _owns(self, path: Path) -> bool:
        return self._rank is None or path == self._own_part

    def _recover(self, path: Path) -> bool:
        """Take over what a file holds for this identity, cutting a torn end off.

        Returns False where the file is of another identity.
        """
        contents = load_log(path)
        if canonical_json(contents.identity) != canonical_json(self._identity):
            if self._owns(path):
                differences = json_differences(contents.identity, self._identity)
                changed = "; ".join(differences)
                moved = quarantine_file(path, self._quarantine)
                note = f"{path} has other settings ({changed}): moved to {moved}"
                self.notes.append(note)
            return False
        # What another process writes may be in the middle of a line.
        grows = path != self._path and self._owns(path)
        if grows:
            part = AppendOnlyFile.reopen(path, contents.size, self._quarantine)
            if part.moved is not None:
                self.notes.append(f"the torn end of {path} moved to {part.moved}")
            if path == self._own_part:
                self._part = part
        self.done.take(contents.records)
        return True


def read_log(folder: Path, kind: LogKind, *names: str) -> tuple[dict[str, Any], RecordIndex]:
    """The key and the records (id to value) of a log, finished or growing, read without the lock.

    ``folder``: the run's. ``kind`` and ``names``: which log. Raises UserError where there is none.
    """
    path = log_path(folder, kind, names)
    parts = log_parts(part_path(folder, kind, names))
    found = []
    # The parts first: whoever finishes the log meanwhile puts the whole in place before they go.
    for file in [*parts, path]:
        contents = _unless_gone(file, load_log)
        if contents is not None:
            found.append(contents)
    # All files of one log are of one identity, and that of the names asked for.
    identities = {canonical_json(contents.identity) for contents in found}
    is_one = len(identities) == 1
    if not is_one or found[0].identity["names"] != list(names):
        wrong = "it is of several settings or another system" if found else "no such file"
        raise UserError(f"read {path}", wrong, mend="run the command that makes it again")
    index = RecordIndex(path)
    for contents in found:
        index.take(contents.records)
    return found[0].identity["key"], index


def finished_predictions(folder: Path, system: str) -> LinesFile:
    """A system's finished answers, in example order.

    Raises UserError where they are absent or of another system.
    """
    path = log_path(folder, "predictions", (system,))
    contents = load_lines(path)
    _check_names(path, contents.identity, [system])
    return contents


def finished_statistics(
    folder: Path,
    system: str,
    scorer: str,
) -> StatisticsStore:
    """A finished measurement, in example order, NaN where undefined.

    ``folder``: the run's. ``system`` and ``scorer``: whose. Raises UserError where it is absent or
    of others.
    """
    path = log_path(folder, "statistics", (system, scorer))
    stored = StatisticsStore.open(path)
    _check_names(path, stored.identity, [system, scorer])
    return stored


def _check_names(
    path: Path,
    identity: Mapping[str, Any],
    names: list[str],
) -> None:
    if identity["names"] != names:
        found = f"it is of {', '.join(identity['names'])}"
        raise UserError(f"read {path}", found, mend="run the command that makes it again")


def log_names(folder: Path, kind: LogKind) -> list[tuple[str, ...]]:
    """The names of all finished logs of a kind, sorted by file."""
    found = []
    for path in finished_logs(folder, kind):
        identity = identity_of(path)
        found.append(tuple(identity["names"]))
    return found


def _unless_gone(path: Path, read: Callable[[Path], _Found]) -> _Found | None:
    """What is read of a file; None where it is not there.

    Parts may go at any moment: when their log is finished.
    """
    try:
        return read(path)
    except UserError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        return None


def _measurement(row: Sequence[float], why: str | None) -> Any:
    """A row of statistics as it is stored: JSON has no NaN and no infinities."""
    numbers = [float(x) if math.isfinite(x) else None for x in row]
    if None in numbers:
        why = why or NOT_FINITE
    return with_reason(numbers, why or None)
