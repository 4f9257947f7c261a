"""A run's folder.

It records what the run is, what it was given and what came out, with the proof that all is there.

::

    spec.json                          what the run is, compared whole whenever the folder is
                                       opened again
    examples.jsonl                     the examples as scored
    predictions/<system>.jsonl         one record an example, in example order
                                       (growing: <system>.part.jsonl)
    statistics/<system>.<scorer>.npz   the [N, K] array of a scorer
                                       (growing: <system>.<scorer>.part.jsonl)
    provenance.json                    what made it: versions, code, device
    manifest.json                      SHA-256, bytes and records of all of these, written last
    quarantine/                        what was cut off, or was made with other settings
    lock                               held by the one process that writes here, or leads those
                                       that do (lock-1 …)

A run is complete when ``verify`` finds nothing, not when files exist.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import reprlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

from parabench.contracts import UserError
from parabench.sequences import LazyMap
from parabench.store.files import (
    file_equals,
    make_folder,
    os_errors_as_user_errors,
    read_bytes,
    refuse_links,
    write_atomically,
)
from parabench.store.log import (
    Log,
    LogKind,
    finished_logs,
)
from parabench.store.records import json_differences, record_lines
from parabench.store.seal import content_problems, manifest_problems, seal_problems, write_seal
from parabench.store.tables import load_log, packed_lines

_SUBFOLDERS = ("predictions", "statistics", "quarantine")


@contextmanager
def open_run(folder: Path, spec: Mapping[str, Any]) -> Iterator[RunFolder]:
    """Make a run folder or reopen it, for this process alone.

    UserError at once if another process holds it (its number is given), if it was made for another
    spec (the differing fields are named), or if it holds something that is not a run.
    """
    with os_errors_as_user_errors(folder):
        make_folder(folder)
    refuse_links(folder, _SUBFOLDERS)
    with _locked(folder):
        _claim(folder, spec)
        for stray in [
            *folder.glob(".*.tmp"),
            *folder.glob("*/.*.tmp"),
        ]:  # of writers that were killed
            with os_errors_as_user_errors(stray):
                stray.unlink()
        _sign(folder / "lock", str(os.getpid()))
        yield RunFolder(folder)


@contextmanager
def join_run(folder: Path, spec: Mapping[str, Any], rank: int) -> Iterator[RunFolder]:
    """Take part, as process ``rank``, in a run that another process leads.

    UserError if none does, if the run is of another spec, or if another process has this rank.
    """
    if not _led(folder):
        raise UserError(
            f"join {folder}",
            "no process leads it",
            mend="start one with RANK=0, or without torchrun",
        )
    refuse_links(folder, _SUBFOLDERS)
    with _locked(folder, rank):
        _claim(folder, spec)
        _sign(_lock(folder, rank), _signed(folder / "lock"))
        yield RunFolder(folder, rank)


def worker_status(folder: Path, rank: int) -> Literal["unknown", "there", "gone"]:
    """Whether a process of the present run holds its lock, or has held it; what earlier runs left
    tells nothing.
    """
    path, leader = _lock(folder, rank), _signed(folder / "lock")
    signed = _signed(path)
    if not signed or signed != leader:
        return "unknown"
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:  # by another one than has signed it, if that one is about to sign
            return "there" if _signed(path) == signed else "unknown"
    return "gone"


def _led(folder: Path) -> bool:
    """Whether a process leads the run; asked for a moment, because it locks the folder before it
    signs.
    """
    for _ in range(20):
        if worker_status(folder, 0) == "there":
            return True
        time.sleep(0.01)
    return False


@dataclass(frozen=True)
class RunFolder:
    """An open run folder, made by ``open_run``; with a ``rank`` where several processes write it at
    once.
    """

    folder: Path
    rank: int | None = None

    def write_examples(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Store the examples, each with its ``id``; UserError if others are there already."""
        identity = {"kind": "examples", "names": [], "key": {}}
        data = packed_lines(
            identity, lambda: record_lines(identity, ((record["id"], record) for record in records))
        )
        path = self.folder / "examples.jsonl"
        if not path.exists():
            write_atomically(path, data)
        elif not file_equals(path, data):
            raise UserError(
                f"reuse {self.folder}", "its examples are others", mend="give another --output"
            )

    def read_examples(self) -> Sequence[dict[str, Any]]:
        """The examples as scored, in order."""
        return stored_examples(self.folder)

    def log(self, kind: LogKind, *names: str, key: Mapping[str, Any]) -> Log:
        """The log of a system's predictions, or of a system's and a scorer's statistics."""
        return Log(self.folder, kind, names, key, self.rank)

    def seal(self) -> None:
        """Write the manifest of all finished files; the same files give the same bytes."""
        write_seal(self.folder)


def stored_examples(folder: Path) -> Sequence[dict[str, Any]]:
    """The examples of a run as scored, in order, read when they are asked for."""
    return LazyMap(itemgetter(1), load_log(folder / "examples.jsonl").records)


def verify_run(folder: Path) -> list[str]:
    """What keeps a run from being complete and true, each with the file it is about; empty when
    nothing does.

    Every digest and count is computed again: of what the run is made of, of tables and page, and of
    the texts that the statistics were measured from.
    """
    unfinished = [
        f"{path.relative_to(folder)}: unfinished" for path in sorted(folder.glob("*/*.part*.jsonl"))
    ]
    try:
        problems = [*unfinished, *seal_problems(folder, "files", "reports")]
        problems += content_problems(folder)
        problems += [] if finished_logs(folder, "predictions") else ["predictions: none"]
        # The manifest is looked at last: it differs wherever a file does, and that is said above.
        problems += [] if problems else manifest_problems(folder)
    except UserError as error:
        return [str(error)]
    return list(dict.fromkeys(problems))


def _pretty(value: Any) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False).encode("ascii") + b"\n"


@contextmanager
def _locked(folder: Path, rank: int = 0) -> Iterator[None]:
    """Hold the folder, or a rank in it, until the block ends or the process dies; the file's text
    is for reading.
    """
    path = _lock(folder, rank)
    with os_errors_as_user_errors(path):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    try:
        with os_errors_as_user_errors(path):
            if not _taken(file):
                mend = "wait until it ends, or give another --output"
                found = f"process {_signed(path) or 'unknown'} is writing it"
                raise UserError(f"write {folder}", found, mend=mend)
            os.ftruncate(file, 0)
        yield
    finally:
        os.close(file)


def _taken(file: int) -> bool:
    """Take a lock; tried for a moment, because ``standing`` holds it for an instant when it
    looks.
    """
    for _ in range(20):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(0.01)
    return False


def _lock(folder: Path, rank: int) -> Path:
    return folder / (f"lock-{rank}" if rank else "lock")


def _sign(path: Path, text: str) -> None:
    with os_errors_as_user_errors(path), path.open("r+b") as file:
        file.write(f"{text}\n".encode())


def _signed(path: Path) -> str:
    """The number of the leading process as a lock tells it, empty where there is none."""
    try:
        return path.read_bytes()[:20].decode("ascii", "replace").strip()
    except FileNotFoundError:
        return ""


def _claim(folder: Path, spec: Mapping[str, Any]) -> None:
    """Write the spec into an empty folder, or hold it against the one that is there."""
    path = folder / "spec.json"
    if not path.exists():
        names = (entry.name for entry in folder.iterdir())
        others = sorted(
            name for name in names if not re.fullmatch(r"lock(-\d+)?|\.spec\.json\..*", name)
        )
        if others:
            found = f"it is no run folder, yet holds {reprlib.repr(others)}"
            raise UserError(
                f"write a run into {folder}", found, mend="give an empty or new --output"
            )
        write_atomically(path, _pretty(spec))
    elif read_bytes(path) != _pretty(spec):
        try:
            found = "; ".join(
                json_differences(json.loads(read_bytes(path)), json.loads(_pretty(spec)))
            )
        except ValueError:
            found = "its spec.json is damaged"
        raise UserError(
            f"reuse {folder}", found, mend="give another --output, or the settings it was made with"
        )
