"""Logs: what one system answered, or what one scorer measured of it, example by example.

A log grows in ``<names>.part.jsonl``, batch by batch, and is finished into a file whose records
stand in example order, so that an interrupted run and an undisturbed one end alike. Other processes
may add parts, ``<names>.part-1.jsonl``.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeVar
from zlib import crc32

from parabench.contracts import NOT_FINITE, UserError
from parabench.store.files import (
    append_durably,
    os_errors_as_user_errors,
    quarantine_file,
    quarantine_tail,
    write_atomically,
)
from parabench.store.index import RecordIndex
from parabench.store.records import (
    LogRecord,
    canonical_json,
    encode_line,
    json_differences,
    record_lines,
    slug,
    with_reason,
)
from parabench.store.tables import (
    LogContents,
    LogLines,
    StoredRows,
    identity_of,
    load_log,
    open_statistics,
    packed_array,
    packed_lines,
)

LogKind = Literal["predictions", "statistics"]
_Found = TypeVar("_Found")
SUFFIX: dict[LogKind, str] = {"predictions": "jsonl", "statistics": "npz"}


class Log:
    """The records of one system, or of one system and scorer: ``done`` maps example ids to values.

    Records made under another key are never in it: their file is moved to the quarantine folder.
    ``sealed`` says that the log is finished, ``notes`` what was set aside on opening. With ``rank``
    one of several processes opens it, which writes a part of its own, reads those of the others,
    and leaves everything else alone.
    """

    def __init__(
        self,
        folder: Path,
        kind: LogKind,
        names: Sequence[str],
        key: Mapping[str, Any],
        rank: int | None = None,
    ) -> None:
        self._identity = {"kind": kind, "names": list(names), "key": dict(key)}
        self._quarantine = folder / "quarantine"
        self._path, part = _paths(folder, kind, names)
        self._part = part.with_name(part.name.replace(".part.", f".part-{rank}.")) if rank else part
        self._rank, self._first = rank, part
        self._size = 0
        self.notes: list[str] = []
        self.done = RecordIndex(self._path)
        self.sealed = False
        if rank is not None:
            self.refresh()
            return
        self.sealed = bool(_unless_gone(self._path, self._recover))
        if self.sealed:  # killed after finishing, before the parts went
            for part in _parts(self._first):
                quarantine_file(part, self._quarantine)
        else:
            self._recover_parts()

    def refresh(self) -> bool:
        """Take over what other processes have written since; whether the log is finished."""
        if not self.sealed:
            self.done = RecordIndex(self._path)
            self._recover_parts()
            # The whole last: it is in place before the parts go, so what was not among them is in
            # it.
            self.sealed = bool(_unless_gone(self._path, self._recover))
        return self.sealed

    def append(
        self, records: Sequence[LogRecord], why: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Add a batch; once this returns, no kill and no power cut loses it.

        For statistics a value is a row of numbers, whose NaN and infinities become null; ``why``
        gives reasons for what is undefined, by id, and no null is without one.
        """
        if self._identity["kind"] == "statistics":
            records = [(name, _measured(row, why.get(name))) for name, row in records]
        names = [name for name, _ in records]
        if self.sealed or len(set(names)) != len(names) or any(name in self.done for name in names):
            raise ValueError(f"records appended twice to {self._part}")
        if not self._size:
            self._begin()
        made = list(record_lines(self._identity, records))
        self._size = append_durably(self._part, self._size, b"".join(made))
        self.done.grow(names, list(map(len, made)))

    def seal(self, order: Sequence[str]) -> None:
        """Finish the log, its records in this order of ids; UserError unless it holds exactly
        these.
        """
        if not order or not self.done.consists_of(order):
            missing = reprlib.repr([name for name in order if name not in self.done])
            found = f"{len(self.done)} records for {len(order)} examples; missing: {missing}"
            raise UserError(
                f"finish {self._path}", found, mend="run the same command again: it resumes"
            )
        if self.sealed:
            return
        write_atomically(self._path, self._packed(order))
        self.sealed = True
        for part in _parts(self._first):
            with os_errors_as_user_errors(part):
                part.unlink()

    def _packed(self, order: Sequence[str]) -> Iterator[bytes]:
        if self._identity["kind"] == "statistics":
            return packed_array(
                self._identity, order, map(self.done.__getitem__, order), self._path.parent
            )
        return packed_lines(self._identity, lambda: map(self.done.line, order))

    def _begin(self) -> None:
        """Make the part that this process writes."""
        first = encode_line({"identity": self._identity})
        write_atomically(self._part, first)
        self._size = len(first)
        self.done.take(LogLines(self._part, crc32(canonical_json(self._identity)), len(first)))

    def _recover_parts(self) -> None:
        """Take over all parts, the own one last: it grows."""
        for part in sorted(_parts(self._first), key=lambda part: part == self._part):
            _unless_gone(part, self._recover)

    def _owns(self, path: Path) -> bool:
        return self._rank is None or path == self._part

    def _recover(self, path: Path) -> bool:
        """Take over what a file holds for this identity, cutting a torn end off; False if it is
        another's.
        """
        contents = load_log(path)
        if canonical_json(contents.identity) != canonical_json(self._identity):
            if not self._owns(path):
                return False
            changed = "; ".join(json_differences(contents.identity, self._identity))
            moved = quarantine_file(path, self._quarantine)
            self.notes.append(f"{path} has other settings ({changed}): moved to {moved}")
            return False
        grows = path != self._path and self._owns(path)
        if grows and (kept := quarantine_tail(path, contents.size, self._quarantine)):
            self.notes.append(f"the torn end of {path} moved to {kept}")
        if path == self._part:
            self._size = contents.size
        self.done.take(contents.records)
        return True


def log_path(folder: Path, kind: LogKind, names: Sequence[str]) -> Path:
    """Where the finished log of these names lies."""
    return _paths(folder, kind, names)[0]


def read_log(folder: Path, kind: LogKind, *names: str) -> tuple[dict[str, Any], RecordIndex]:
    """The key and the records (id to value) of a log, finished or growing, read without the lock;
    UserError if none.
    """
    path, part = _paths(folder, kind, names)
    # The parts first: whoever finishes the log meanwhile puts the whole in place before the parts
    # go.
    found = [
        contents for file in [*_parts(part), path] if (contents := _unless_gone(file, load_log))
    ]
    identities = {canonical_json(contents.identity) for contents in found}
    if len(identities) != 1 or found[0].identity["names"] != list(names):
        wrong = "it is of several settings or another system" if found else "no such file"
        raise UserError(f"read {path}", wrong, mend="run the command that makes it again")
    index = RecordIndex(path)
    for contents in found:
        index.take(contents.records)
    return found[0].identity["key"], index


def read_finished(folder: Path, kind: LogKind, *names: str) -> LogContents:
    """A finished log, its records in example order; UserError where it is absent or of other
    names.
    """
    path = _paths(folder, kind, names)[0]
    contents = load_log(path)
    if contents.identity["names"] != list(names):
        found = f"it is of {', '.join(contents.identity['names'])}"
        raise UserError(f"read {path}", found, mend="run the command that makes it again")
    return contents


def load_statistics(folder: Path, system: str, scorer: str) -> tuple[dict[str, Any], StoredRows]:
    """The key and the rows of a finished measurement, in example order, NaN where undefined."""
    found = open_statistics(_paths(folder, "statistics", (system, scorer))[0])
    return found.header["identity"]["key"], found.values


def load_reasons(folder: Path, system: str, scorer: str) -> dict[str, str]:
    """Why examples have no value in a finished measurement, by id."""
    return open_statistics(_paths(folder, "statistics", (system, scorer))[0]).header["why"]


def log_names(folder: Path, kind: LogKind) -> list[tuple[str, ...]]:
    """The names of all finished logs of a kind, sorted by file."""
    return [tuple(identity_of(path)["names"]) for path in finished_logs(folder, kind)]


def finished_logs(folder: Path, kind: LogKind) -> list[Path]:
    """The files of all finished logs of a kind, sorted."""
    return sorted(
        path for path in (folder / kind).glob(f"*.{SUFFIX[kind]}") if ".part" not in path.name
    )


def _unless_gone(path: Path, read: Callable[[Path], _Found]) -> _Found | None:
    """What is read of a file; None where it is not there, or no longer, as parts are when their log
    is finished.
    """
    try:
        return read(path)
    except UserError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        return None


def _measured(row: Sequence[float], why: str | None) -> Any:
    whole = all(map(math.isfinite, row))
    return with_reason(
        [float(x) if math.isfinite(x) else None for x in row],
        why or (None if whole else NOT_FINITE),
    )


def _paths(folder: Path, kind: LogKind, names: Sequence[str]) -> tuple[Path, Path]:
    """Where a log lies when finished, and where it grows; no slug holds a dot, so no two logs share
    a path.
    """
    stem = ".".join(slug(name) for name in names)
    return folder / kind / f"{stem}.{SUFFIX[kind]}", folder / kind / f"{stem}.part.jsonl"


def _parts(part: Path) -> list[Path]:
    """A growing log's own part and those of other processes, ``.part-1.jsonl`` and so on."""
    return sorted(part.parent.glob(part.name.replace(".part.", ".part*.")))
