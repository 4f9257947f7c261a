"""One run's folder: what it is, what it was given, what came out, and the proof that all of it is there.

::

    spec.json                          what the run is, compared whole whenever the folder is opened again
    examples.jsonl                     the examples as scored
    predictions/<system>.jsonl         one record an example, in example order (growing: <system>.part.jsonl)
    statistics/<system>.<scorer>.npz   the [N, K] array of a scorer (growing: <system>.<scorer>.part.jsonl)
    provenance.json                    what made it: versions, code, device
    manifest.json                      SHA-256, bytes and records of all of these, written last
    quarantine/                        what was cut off, or was made with other settings
    lock                               held by the one process that writes here

A run is complete when ``verify`` finds nothing, not when files exist.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import re
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from parabench.contracts import UserError
from parabench.disk import append, cut, make_folder, read, set_aside, told, write_atomically
from parabench.journal import Contents, Record, canonical, encode, lines, load, load_array, packed_array, packed_lines

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

__all__ = [
    "Log",
    "Run",
    "load_statistics",
    "log_names",
    "open_run",
    "read_examples",
    "read_log",
    "verify",
    "write_atomically",
]

Kind = Literal["predictions", "statistics"]


@contextmanager
def open_run(folder: Path, spec: Mapping[str, Any]) -> Iterator[Run]:
    """Make a run folder or reopen it, for this process alone.

    UserError at once if another process holds it (its number is given), if it was made for another spec (the
    differing fields are named), or if it holds something that is not a run.
    """
    with told(folder):
        make_folder(folder)
    with _locked(folder):
        _claim(folder, spec)
        for stray in [*folder.glob(".*.tmp"), *folder.glob("*/.*.tmp")]:  # of writers that were killed
            with told(stray):
                stray.unlink()
        yield Run(folder)


@dataclass(frozen=True)
class Run:
    """An open run folder, made by ``open_run``."""

    folder: Path

    def write_examples(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Store the examples, each with its ``id``; UserError if others are there already."""
        identity = {"kind": "examples", "names": [], "key": {}}
        data = packed_lines(identity, [(record["id"], record) for record in records])
        path = self.folder / "examples.jsonl"
        if not path.exists():
            write_atomically(path, data)
        elif read(path) != data:
            raise UserError(f"reuse {self.folder}", "its examples are others", mend="give another --output")

    def read_examples(self) -> list[dict[str, Any]]:
        """The examples as scored, in order."""
        return read_examples(self.folder)

    def log(self, kind: Kind, *names: str, key: Mapping[str, Any]) -> Log:
        """The log of a system's predictions, or of a system's and a scorer's statistics."""
        return Log(self.folder, kind, names, key)

    def seal(self) -> None:
        """Write the manifest of all finished files; the same files give the same bytes."""
        write_atomically(self.folder / "manifest.json", _manifest(self.folder))


class Log:
    """The records of one system, or of one system and scorer: ``done`` maps example ids to values.

    Records made under another key are never in it: their file is moved to the quarantine folder. ``sealed`` says that
    the log is finished, ``notes`` what was set aside on opening.
    """

    def __init__(self, folder: Path, kind: Kind, names: Sequence[str], key: Mapping[str, Any]) -> None:
        self._identity = {"kind": kind, "names": list(names), "key": dict(key)}
        self._quarantine = folder / "quarantine"
        self._path, self._part = _paths(folder, kind, names)
        self._size = 0
        self.notes: list[str] = []
        self.done: dict[str, Any] = {}
        self.sealed = self._recover(self._path) is not None
        for part in _parts(self._part):
            if self.sealed:  # killed after finishing, before the parts went
                set_aside(part, self._quarantine)
            elif (contents := self._recover(part)) and part == self._part:
                self._size = contents.size

    def append(self, records: Sequence[Record]) -> None:
        """Add a batch; once this returns, no kill and no power cut loses it.

        For statistics a value is a row of numbers, whose NaN and infinities become null.
        """
        if self._identity["kind"] == "statistics":
            records = [(name, [float(x) if math.isfinite(x) else None for x in row]) for name, row in records]
        new = dict(records)
        if self.sealed or len(new) != len(records) or new.keys() & self.done.keys():
            raise ValueError(f"records appended twice to {self._part}")
        if not self._size:
            first = encode({"identity": self._identity})
            write_atomically(self._part, first)
            self._size = len(first)
        self._size = append(self._part, self._size, lines(self._identity, records))
        self.done.update(new)

    def seal(self, order: Sequence[str]) -> None:
        """Finish the log, its records in this order of ids; UserError unless it holds exactly these."""
        if not order or len(set(order)) != len(order) or self.done.keys() != set(order):
            missing = reprlib.repr([name for name in order if name not in self.done])
            found = f"{len(self.done)} records for {len(order)} examples; missing: {missing}"
            raise UserError(f"finish {self._path}", found, mend="run the same command again: it resumes")
        if self.sealed:
            return
        records = [(name, self.done[name]) for name in order]
        pack = packed_array if self._identity["kind"] == "statistics" else packed_lines
        write_atomically(self._path, pack(self._identity, records))
        self.sealed = True
        for part in _parts(self._part):
            with told(part):
                part.unlink()

    def _recover(self, path: Path) -> Contents | None:
        """Take over what a file holds for this identity, cutting a torn end off; None if it is absent or another's."""
        if not path.exists():
            return None
        contents = load(path)
        if canonical(contents.identity) != canonical(self._identity):
            changed = "; ".join(_differences(contents.identity, self._identity))
            self.notes.append(f"{path} has other settings ({changed}): moved to {set_aside(path, self._quarantine)}")
            return None
        if path != self._path and (kept := cut(path, contents.size, self._quarantine)):
            self.notes.append(f"the torn end of {path} moved to {kept}")
        self.done = _union([self.done.items(), contents.records], path)
        return contents


def read_log(folder: Path, kind: Kind, *names: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The key and the records (id to value) of a log, finished or growing, read without the lock; UserError if none."""
    path, part = _paths(folder, kind, names)
    # The parts first: whoever finishes the log meanwhile puts the whole in place before the parts go.
    found = [load(file) for file in [*_parts(part), path] if file.exists()]
    identities = {canonical(contents.identity) for contents in found}
    if len(identities) != 1 or found[0].identity["names"] != list(names):
        wrong = "it is of several settings or another system" if found else "no such file"
        raise UserError(f"read {path}", wrong, mend="run the command that makes it again")
    return found[0].identity["key"], _union([contents.records for contents in found], path)


def load_statistics(folder: Path, system: str, scorer: str) -> tuple[dict[str, Any], Float[np.ndarray, "N K"]]:
    """The key and the array of a finished measurement, rows in example order, NaN where undefined."""
    identity, _, array = load_array(_paths(folder, "statistics", (system, scorer))[0])
    return identity["key"], array


def log_names(folder: Path, kind: Kind) -> list[tuple[str, ...]]:
    """The names of all finished logs of a kind, sorted by file."""
    finished = [path for path in _finished(folder) if path.parent.name == kind]
    return [tuple(load(path).identity["names"]) for path in finished]


def read_examples(folder: Path) -> list[dict[str, Any]]:
    """The examples of a run as scored, in order."""
    return [record for _, record in load(folder / "examples.jsonl").records]


def verify(folder: Path) -> list[str]:
    """What keeps a run from being complete and true; empty when nothing does."""
    try:
        problems = [f"{path.relative_to(folder)}: unfinished" for path in sorted(folder.glob("*/*.part*.jsonl"))]
        ids = [record["id"] for record in read_examples(folder)]
        for path in _finished(folder):
            if path.parent != folder and [name for name, _ in load(path).records] != ids:
                problems.append(f"{path.relative_to(folder)}: not one record for each example")
        if not any(folder.glob("predictions/*.jsonl")):
            problems.append("predictions: none")
        if read(folder / "manifest.json") != _manifest(folder):
            problems.append("manifest.json: does not match the files")
        return problems
    except UserError as error:
        return [str(error)]


def slug(name: str) -> str:
    """The file name of any name: itself where it is plain, else its plain characters and a hash of all of it."""
    if re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,47}", name):
        return name
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:32]
    return f"{plain or 'name'}-{sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def _paths(folder: Path, kind: Kind, names: Sequence[str]) -> tuple[Path, Path]:
    """Where a log lies when finished, and where it grows; no slug holds a dot, so no two logs share a path."""
    stem = ".".join(slug(name) for name in names)
    suffix = "npz" if kind == "statistics" else "jsonl"
    return folder / kind / f"{stem}.{suffix}", folder / kind / f"{stem}.part.jsonl"


def _parts(part: Path) -> list[Path]:
    """A growing log's own part and those of other processes, ``.part-1.jsonl`` and so on."""
    return sorted(part.parent.glob(part.name.replace(".part.", ".part*.")))


def _union(several: Iterable[Iterable[Record]], path: Path) -> dict[str, Any]:
    """All records once; UserError where two of the same id disagree."""
    merged: dict[str, Any] = {}
    for records in several:
        for name, value in records:
            if merged.setdefault(name, value) != value:
                mend = f"mv {path} {path}.disagrees   # then the same command makes it anew"
                raise UserError(f"read {path}", f"two different records of example {name!r}", mend=mend)
    return merged


def _finished(folder: Path) -> list[Path]:
    found = [*folder.glob("predictions/*.jsonl"), *folder.glob("statistics/*.npz"), folder / "examples.jsonl"]
    return sorted(path for path in found if ".part" not in path.name)


def _manifest(folder: Path) -> bytes:
    files = {"spec.json": _entry(read(folder / "spec.json"))}
    if (folder / "provenance.json").exists():
        files["provenance.json"] = _entry(read(folder / "provenance.json"))
    for path in _finished(folder):
        rows = [value for _, value in load(path).records]
        undefined = sum(math.isnan(x) for row in rows for x in row) if path.suffix == ".npz" else 0
        entry = _entry(read(path)) | {"records": len(rows)} | ({"undefined": undefined} if undefined else {})
        files[path.relative_to(folder).as_posix()] = entry
    return _pretty({"files": files})


def _entry(data: bytes) -> dict[str, Any]:
    return {"bytes": len(data), "sha256": sha256(data).hexdigest()}


def _pretty(value: Any) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False).encode("ascii") + b"\n"


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder until the block ends or the process dies; the number written inside is for people only."""
    with told(folder / "lock"):
        file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    try:
        with told(folder / "lock"):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.read(file, 20).decode("ascii", "replace").strip() or "unknown"
                mend = "wait until it ends, or give another --output"
                raise UserError(f"write {folder}", f"process {holder} is writing it", mend=mend) from None
            os.ftruncate(file, 0)
            os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(file)


def _claim(folder: Path, spec: Mapping[str, Any]) -> None:
    """Write the spec into an empty folder, or hold it against the one that is there."""
    path = folder / "spec.json"
    if not path.exists():
        names = (entry.name for entry in folder.iterdir())
        others = sorted(name for name in names if not re.fullmatch(r"lock|\.spec\.json\..*", name))
        if others:
            found = f"it is no run folder, yet holds {reprlib.repr(others)}"
            raise UserError(f"write a run into {folder}", found, mend="give an empty or new --output")
        write_atomically(path, _pretty(spec))
    elif read(path) != _pretty(spec):
        try:
            found = "; ".join(_differences(json.loads(read(path)), json.loads(_pretty(spec))))
        except ValueError:
            found = "its spec.json is damaged"
        raise UserError(f"reuse {folder}", found, mend="give another --output, or the settings it was made with")


def _differences(old: Any, new: Any, name: str = "") -> Iterator[str]:
    """The fields in which two JSON values differ, as ``a.b: 1, now 2``."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _differences(old.get(key, "absent"), new.get(key, "absent"), f"{name}.{key}".lstrip("."))
    elif canonical(old) != canonical(new):
        yield f"{name}: {reprlib.repr(old)}, now {reprlib.repr(new)}"
