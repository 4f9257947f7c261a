"""Several processes on one run: who does which examples, and how they wait for one another.

Process 0 leads: it holds the folder's lock, and finishes every log. The others write parts of their
own. Nobody sends anything: what is on disk, and which locks are held, is all that anybody needs to
know. So a process that dies costs only what it had not written, and the next launch may have
another number of processes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from parabench.contracts import UserError
from parabench.store.log import Log
from parabench.store.run_folder import worker_status

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class WorkerRank:
    """One process of ``size``: every ``size``-th unit of work from ``rank`` on is its own.

    ``patience`` is the seconds without any new record after which a process that still holds its
    lock is given up; ``interval`` the seconds between two looks.
    """

    rank: int = 0
    size: int = 1
    patience: float = 1800.0
    interval: float = 1.0

    def of(self, items: Sequence[_Item]) -> Sequence[_Item]:
        """The items of this process."""
        return items[self.rank :: self.size]


def rank_from_environment(variables: Mapping[str, str]) -> WorkerRank:
    """The share that torchrun's ``RANK`` and ``WORLD_SIZE`` mean; the whole where they are not
    set.
    """
    try:
        share = WorkerRank(int(variables.get("RANK", "0")), int(variables.get("WORLD_SIZE", "1")))
    except ValueError:
        share = WorkerRank(-1)
    if not 0 <= share.rank < share.size:
        found = f"RANK={variables.get('RANK')} WORLD_SIZE={variables.get('WORLD_SIZE')}"
        raise UserError(
            "share the run", found, mend="torchrun --nproc-per-node N -m parabench run …"
        )
    return share


def device_of_rank(device: str, variables: Mapping[str, str]) -> str:
    """For ``auto`` and ``cuda``: the CUDA device of this process among those of its machine
    (``LOCAL_RANK``).
    """
    local = variables.get("LOCAL_RANK")
    if device not in ("auto", "cuda") or not local:
        return device
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return f"cuda:{int(local) % count}" if count else device


def await_leader(folder: Path, is_done: Callable[[], bool], share: WorkerRank) -> bool:
    """Wait until a process leads the run; False if everything is done already, as it may be before
    this one starts.
    """
    end = time.monotonic() + share.patience
    while worker_status(folder, 0) != "there":
        if is_done():
            return False
        if time.monotonic() > end:
            raise UserError(
                f"join {folder}",
                "no process leads it",
                mend="start one with RANK=0, or without torchrun",
            )
        time.sleep(share.interval)
    return True


def await_records(
    log: Log, folder: Path, wanted: Sequence[Sequence[str]], share: WorkerRank
) -> None:
    """Wait until all records ``wanted`` are here, dealt out unit by unit, or until nobody is left
    to write the rest.

    UserError where a process is there but nothing new has come for ``share.patience`` seconds.
    """
    theirs = [
        {name for unit in wanted[rank :: share.size] for name in unit} for rank in range(share.size)
    ]
    seen, since = -1, time.monotonic()
    while True:
        gone = {rank for rank in range(share.size) if worker_status(folder, rank) == "gone"}
        log.refresh()
        late = [rank for rank in range(1, share.size) if not log.done.keys() >= theirs[rank]]
        if gone.issuperset(late):
            return
        if len(log.done) > seen:
            seen, since = len(log.done), time.monotonic()
        elif time.monotonic() - since > share.patience:
            found = (
                f"process {late[0]} of {share.size} has written nothing for {share.patience:.0f} s"
            )
            raise UserError(
                f"finish {folder}",
                found,
                mend="end what is left of it; the same command then goes on",
            )
        time.sleep(share.interval)


def await_seal(log: Log, folder: Path, share: WorkerRank) -> None:
    """Wait, as one who assists, until the leading process has finished a log; UserError where it
    has ended before.
    """
    while not log.refresh():
        if worker_status(folder, 0) == "gone" and not log.refresh():
            raise UserError(
                f"go on with {folder}",
                "the leading process has ended",
                mend="give the same command again",
            )
        time.sleep(share.interval)
