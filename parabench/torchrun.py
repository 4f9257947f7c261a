"""Processes that ``torchrun`` started together: which one this is, and its part of the work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from parabench.contracts import UserError

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class ProcessRank:
    """One process, number ``rank`` from 0, of ``size``."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process leads: it writes what is written once, and speaks to the user."""
        return self.rank == 0

    def share(self, items: Sequence[_Item]) -> Sequence[_Item]:
        """The items of this process: every ``size``-th from ``rank`` on."""
        return items[self.rank :: self.size]


SINGLE_PROCESS = ProcessRank()


def rank_from_environment(variables: Mapping[str, str]) -> ProcessRank:
    """The process that torchrun's ``RANK`` and ``WORLD_SIZE`` name; a single one without them.

    Raises UserError where they are no numbers or do not fit together.
    """
    rank = variables.get("RANK", "0")
    size = variables.get("WORLD_SIZE", "1")
    try:
        process = ProcessRank(int(rank), int(size))
    except ValueError:
        process = ProcessRank(-1)
    if not 0 <= process.rank < process.size:
        found = f"RANK={variables.get('RANK')} WORLD_SIZE={variables.get('WORLD_SIZE')}"
        mend = "torchrun --nproc-per-node N -m parabench run …"
        raise UserError("share the run", found, mend=mend)
    return process


def device_of_rank(device: str, variables: Mapping[str, str]) -> str:
    """The CUDA device of this process among those of its machine (``LOCAL_RANK``).

    ``device``: what was asked for; only ``auto`` and ``cuda`` leave a choice.
    """
    local = variables.get("LOCAL_RANK")
    if device not in ("auto", "cuda") or not local:
        return device
    import torch

    if not torch.cuda.is_available():
        return device
    count = torch.cuda.device_count()
    return f"cuda:{int(local) % count}" if count else device
