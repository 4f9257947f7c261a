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

A run is complete when ``verify_run`` finds nothing, not when files exist.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import reprlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from parabench.contracts import UserError
from parabench.store.contents import check_is_run
from parabench.store.files import (
    file_equals,
    make_folder,
    os_errors_as_user_errors,
    read_bytes,
    refuse_links,
    write_atomically,
)
from parabench.store.log import Log
from parabench.store.log_files import finished_log
from parabench.store.log_paths import LogKind, finished_logs
from parabench.store.records import json_differences, record_lines
from parabench.store.seal import content_problems, manifest_problems, seal_problems, write_seal

_SUBFOLDERS = ("predictions", "statistics", "quarantine")
_LOOKS = 20
_SECONDS_BETWEEN_LOOKS = 0.01
"""How often, and how long after one another, a lock is looked at before it counts as held."""


@contextmanager
def open_run(folder: Path, spec: Mapping[str, Any]) -> Iterator[RunFolder]:
    """Make a run folder or open it again, for this process alone.

    ``spec``: all that the run is. Raises UserError at once where another process holds the folder
    (its number is given), where it was made for another spec (the differing fields are named), or
    where it holds something that is not a run.
    """
    with os_errors_as_user_errors(folder):
        make_folder(folder)
    refuse_links(folder, _SUBFOLDERS)
    with _locked(folder):
        _claim(folder, spec)
        _remove_strays(folder)
        # Signed last: who joins looks for the signature, and finds a folder that is ready.
        _sign(folder / "lock", str(os.getpid()))
        yield RunFolder(folder)


def _remove_strays(folder: Path) -> None:
    """Remove temporary files of writers that were killed; whoever holds the lock is the only one
    that writes.
    """
    strays = [*folder.glob(".*.tmp"), *folder.glob("*/.*.tmp")]
    for stray in strays:
        with os_errors_as_user_errors(stray):
            stray.unlink()


@contextmanager
def join_run(
    folder: Path,
    spec: Mapping[str, Any],
    rank: int,
) -> Iterator[RunFolder]:
    """Take part, as process ``rank``, in a run of ``folder`` that another process leads.

    ``spec``: all that the run is. Raises UserError where no process leads, where the run is of
    another spec, or where another process has this rank.
    """
    if not _is_led(folder):
        mend = "start one with RANK=0, or without torchrun"
        raise UserError(f"join {folder}", "no process leads it", mend=mend)
    refuse_links(folder, _SUBFOLDERS)
    with _locked(folder, rank):
        _claim(folder, spec)
        # With the leader's number: so the lock of an earlier launch is told from this one's.
        leader = _signature(folder / "lock")
        _sign(_lock(folder, rank), leader)
        yield RunFolder(folder, rank)


def worker_status(folder: Path, rank: int) -> Literal["unknown", "there", "gone"]:
    """Whether a process of the present run holds its lock, or has held it.

    What earlier runs left tells nothing: a worker signs with the number of its leading process.
    """
    path = _lock(folder, rank)
    leader = _signature(folder / "lock")
    signature = _signature(path)
    if not signature or signature != leader:
        return "unknown"
    with path.open("rb") as file:
        try:
            # Shared, so that several processes may look at once.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            # Held, but by another process than has signed it, if that one is about to sign.
            if _signature(path) == signature:
                return "there"
            return "unknown"
    return "gone"


def _is_led(folder: Path) -> bool:
    """Whether a process leads the run; asked for a moment, because it locks before it signs."""
    for _ in range(_LOOKS):
        if worker_status(folder, 0) == "there":
            return True
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    return False


@dataclass(frozen=True)
class RunFolder:
    """An open run folder, made by ``open_run``.

    It has a ``rank`` where several processes write it at once.
    """

    folder: Path
    rank: int | None = None

    def write_examples(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Store the examples, each with its ``id``; UserError if others are there already."""
        identity = {"kind": "examples", "names": [], "key": {}}

        def lines() -> Iterable[bytes]:
            pairs = ((record["id"], record) for record in records)
            return record_lines(identity, pairs)

        data = finished_log(identity, lines)
        path = self.folder / "examples.jsonl"
        if not path.exists():
            write_atomically(path, data)
        elif not file_equals(path, data):
            found = "its examples are others"
            raise UserError(f"reuse {self.folder}", found, mend="give another --output")

    def log(self, kind: LogKind, *names: str, key: Mapping[str, Any]) -> Log:
        """The log of a system's predictions, or of a system's and a scorer's statistics.

        ``kind`` and ``names``: which. ``key``: all that can change its records. Raises UserError
        where it is damaged.
        """
        return Log(self.folder, kind, names, key, self.rank)

    def seal(self) -> None:
        """Write the manifest of all finished files; the same files give the same bytes."""
        write_seal(self.folder)


def verify_run(folder: Path) -> list[str]:
    """What keeps a run from being complete and true, each with the file it is about.

    Empty when nothing does. Every digest and count is computed again: of what the run is made of,
    of tables and page, and of the texts that the statistics were measured from.
    """
    try:
        check_is_run(folder)
    except UserError as error:
        return [str(error)]
    problems = []
    for path in sorted(folder.glob("*/*.part*.jsonl")):
        problems.append(f"{path.relative_to(folder)}: unfinished")
    try:
        problems += seal_problems(folder, "files", "reports")
        problems += content_problems(folder)
        if not finished_logs(folder, "predictions"):
            problems.append("predictions: none")
        # The manifest is looked at last: it differs wherever a file does, and that is said above.
        problems += [] if problems else manifest_problems(folder)
    except UserError as error:
        return [str(error)]
    return list(dict.fromkeys(problems))


def _pretty_json(value: Any) -> bytes:
    text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False)
    return text.encode("ascii") + b"\n"


@contextmanager
def _locked(folder: Path, rank: int = 0) -> Iterator[None]:
    """Hold the folder, or a rank in it, until the block ends or the process dies.

    The system frees the lock; the text in the file is for reading.
    """
    path = _lock(folder, rank)
    with os_errors_as_user_errors(path):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    try:
        with os_errors_as_user_errors(path):
            if not _try_lock(file):
                found = f"process {_signature(path) or 'unknown'} is writing it"
                mend = "wait until it ends, or give another --output"
                raise UserError(f"write {folder}", found, mend=mend)
            # Who held it before is of no use to whoever reads the file now.
            os.ftruncate(file, 0)
        yield
    finally:
        os.close(file)


def _try_lock(file: int) -> bool:
    """Take a lock; whether that was possible.

    Tried for a moment, because ``worker_status`` holds it for an instant when it looks.
    """
    for _ in range(_LOOKS):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    return False


def _lock(folder: Path, rank: int) -> Path:
    return folder / (f"lock-{rank}" if rank else "lock")


def _sign(path: Path, text: str) -> None:
    with os_errors_as_user_errors(path), path.open("r+b") as file:
        file.write(f"{text}\n".encode())


def _signature(path: Path) -> str:
    """The number of the leading process as a lock tells it, empty where there is none."""
    try:
        text = path.read_bytes()[:20].decode("ascii", "replace")
        return text.strip()
    except FileNotFoundError:
        return ""


def _claim(folder: Path, spec: Mapping[str, Any]) -> None:
    """Write the spec into an empty folder, or compare it with the one that is there.

    Raises UserError where the folder is of another spec, or holds something else.
    """
    path = folder / "spec.json"
    if not path.exists():
        names = (entry.name for entry in folder.iterdir())
        ours = re.compile(r"lock(-\d+)?|\.spec\.json\..*")
        others = sorted(name for name in names if not ours.fullmatch(name))
        if others:
            found = f"it is no run folder, yet holds {reprlib.repr(others)}"
            mend = "give an empty or new --output"
            raise UserError(f"write a run into {folder}", found, mend=mend)
        write_atomically(path, _pretty_json(spec))
    elif read_bytes(path) != _pretty_json(spec):
        try:
            # Through JSON, as what is stored went: tuples become lists, keys become texts.
            present = json.loads(_pretty_json(spec))
            stored = json.loads(read_bytes(path))
            found = "; ".join(json_differences(stored, present))
        except ValueError:
            found = "its spec.json is damaged"
        mend = "give another --output, or the settings it was made with"
        raise UserError(f"reuse {folder}", found, mend=mend)
