"""Which rows go through a model together, and what happens when they do not fit."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

from parabench.contracts import UserError

Result = TypeVar("Result")


def by_length(lengths: Sequence[int]) -> list[int]:
    """Order positions longest first, ties by position, so that the dearest batch comes first and shows what fits."""
    return sorted(range(len(lengths)), key=lambda position: (-lengths[position], position))


def in_batches(
    order: Sequence[int], run: Callable[[Sequence[int]], Result], batch_size: int | None, start: int
) -> Iterator[Result]:
    """Run ``order`` batch by batch; with ``batch_size`` None begin at ``start`` and halve whenever memory runs out.

    Every position is in exactly one result. Raises UserError where a fixed batch, or one single row, does not fit.
    """
    size, done = batch_size or start, 0
    while done < len(order):
        batch = order[done : done + size]
        fits, result = _try(run, batch)
        if fits:
            done += len(batch)
            yield result  # type: ignore[misc]
        elif batch_size is not None or len(batch) == 1:
            raise UserError(
                f"run a batch of {len(batch)} rows",
                "not enough memory",
                mend="use --batch-size auto, or a smaller model",
            )
        else:
            size = len(batch) // 2


def _try(run: Callable[[Sequence[int]], Result], batch: Sequence[int]) -> tuple[bool, Result | None]:
    try:
        return True, run(batch)
    except RuntimeError as error:  # torch.OutOfMemoryError is one; the CPU's allocator raises the plain kind
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
    gc.collect()  # frees the failed attempt's tensors, held by its traceback until here
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return False, None
