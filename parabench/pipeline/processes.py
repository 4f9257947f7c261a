"""Several processes on one run: how they wait for one another.

Process 0 leads: it holds the folder's lock, and finishes every log. The others write parts of their
own. Nobody sends anything: what is on disk, and which locks are held, is all that anybody needs to
know. So a process that dies costs only what it had not written, and the next launch may have
another number of processes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from parabench.contracts import UserError
from parabench.store.log import Log
from parabench.store.run_folder import worker_status
from parabench.torchrun import ProcessRank


class Waiting(NamedTuple):
    """How processes wait for one another.

    ``patience``: seconds without any new record after which a process that still holds its lock is
    given up. ``interval``: seconds between two looks.
    """

    patience: float = 1800.0
    interval: float = 1.0


def await_leader(
    folder: Path,
    is_done: Callable[[], bool],
    waiting: Waiting,
) -> bool:
    """Wait until a process leads the run in ``folder``; whether one does.

    False where ``is_done`` says that everything is done already, as it may be before this process
    starts. ``waiting`` bounds the wait: UserError behind it.
    """
    end = time.monotonic() + waiting.patience
    while worker_status(folder, 0) != "there":
        if is_done():
            return False
        if time.monotonic() > end:
            mend = "start one with RANK=0, or without torchrun"
            raise UserError(f"join {folder}", "no process leads it", mend=mend)
        time.sleep(waiting.interval)
    return True


def await_records(
    log: Log,
    folder: Path,
    units: Sequence[Sequence[str]],
    size: int,
    waiting: Waiting,
) -> None:
    """Wait until all records are in ``log``, or until nobody is left to write those missing.

    ``folder``: the run's. ``units``: the ids of all records, in the units in which work is dealt
    out to ``size`` processes. ``waiting``: how long.

    Raises UserError where a process is alive but nothing new has come for ``waiting.patience``
    seconds.
    """
    ids_of_rank = [_ids_of_rank(units, ProcessRank(rank, size)) for rank in range(size)]
    most_seen = -1
    last_news = time.monotonic()
    while True:
        # Who has ended is asked before the log is read: what they wrote is then in it.
        gone = {rank for rank in range(size) if worker_status(folder, rank) == "gone"}
        log.refresh()
        written = log.done.keys()
        late = [rank for rank in range(1, size) if not written >= ids_of_rank[rank]]
        if gone.issuperset(late):
            return
        now = time.monotonic()
        if len(written) > most_seen:
            most_seen = len(written)
            last_news = now
        elif now - last_news > waiting.patience:
            seconds = f"{waiting.patience:.0f} s"
            found = f"process {late[0]} of {size} has written nothing for {seconds}"
            mend = "end what is left of it; the same command then goes on"
            raise UserError(f"finish {folder}", found, mend=mend)
        time.sleep(waiting.interval)


def _ids_of_rank(units: Sequence[Sequence[str]], process: ProcessRank) -> set[str]:
    """The ids of the records that one process is to write."""
    found = set[str]()
    for unit in process.share(units):
        found.update(unit)
    return found


def await_seal(
    log: Log,
    folder: Path,
    waiting: Waiting,
) -> None:
    """Wait until the leading process has finished ``log``, which is one of ``folder``.

    ``waiting`` says how often to look. Raises UserError where the leading process has ended before.
    """
    while not log.refresh():
        # The leading process may have finished the log after the look and before it ended.
        if worker_status(folder, 0) == "gone" and not log.refresh():
            found = "the leading process has ended"
            raise UserError(f"go on with {folder}", found, mend="give the same command again")
        time.sleep(waiting.interval)
