"""Data-parallel processes: the same batches dealt out, gradients summed, nothing else shared.

W processes that accumulate A batches each are one process that accumulates W x A: every rank deals
the same group of W x A batches and takes every W-th, so ranks see disjoint rows and together see
each row once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist

from parabench.torchrun import SINGLE_PROCESS, ProcessRank


@dataclass(frozen=True)
class Ranks:
    """The processes of a training, of which this one is ``process``: what they sum together."""

    process: ProcessRank = SINGLE_PROCESS

    def device(self, asked: str) -> str:
        """The device of this process: each has a CUDA device of its own."""
        if self.process.size == 1 or not asked.startswith("cuda"):
            return asked
        return f"cuda:{self.process.rank % torch.cuda.device_count()}"

    def sum(self, values: float, *more: float) -> list[float]:
        """Numbers summed over the processes."""
        numbers = torch.tensor([values, *more], dtype=torch.float64)
        if self.process.size > 1:
            numbers = numbers.to(_backend_device())
            dist.all_reduce(numbers)
        return numbers.tolist()

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Leave in every process the sum of all their gradients."""
        if self.process.size == 1:
            return
        for parameter in parameters:
            # A process with no batch of its own has no gradient, but has to take part in the sum.
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            dist.all_reduce(parameter.grad)

    def wait(self) -> None:
        """Return once all processes have called this."""
        if self.process.size > 1:
            dist.barrier()


NO_OTHERS = Ranks()
"""A training in one process."""


@contextmanager
def join_processes(device: str) -> Iterator[Ranks]:
    """The processes that torchrun started, or this one alone.

    ``device`` is what was asked for; it decides how the processes talk.
    """
    if not dist.is_torchelastic_launched():
        yield NO_OTHERS
        return
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    ranks = Ranks(ProcessRank(dist.get_rank(), dist.get_world_size()))
    try:
        if device.startswith("cuda"):
            torch.cuda.set_device(ranks.device(device))
        yield ranks
    finally:
        dist.destroy_process_group()


def _backend_device() -> str:
    """Where tensors have to be to be summed."""
    if dist.get_backend() == "nccl":
        return f"cuda:{torch.cuda.current_device()}"
    return "cpu"
