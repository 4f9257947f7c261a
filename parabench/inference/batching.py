"""Which rows go through a model together, and what happens when they do not fit into memory."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import torch
from transformers import PreTrainedModel

from parabench.contracts import UserError

Result = TypeVar("Result")

FITTING_ATTRIBUTE = "parabench_fitting"
"""Attribute of a model: the size found to fit on its device, by the size that did not."""


def check_lengths(
    model: PreTrainedModel,
    lengths: Sequence[int],
    what: str,
) -> None:
    """Refuse rows that are longer than the model's position embeddings.

    ``lengths`` are in tokens; ``what`` names the counted text in the message. Raises UserError
    for the first row that is too long.
    """
    limit = getattr(model.config, "max_position_embeddings", None)
    if limit is None:
        return
    for position, length in enumerate(lengths):
        if length > limit:
            raise UserError(
                f"run the model on row {position}",
                f"{what} of {length} tokens; the model has {limit} positions",
                mend="shorten the text, the prompt or max_new_tokens",
            )


def by_length(lengths: Sequence[int]) -> list[int]:
    """Positions from the longest row to the shortest, equal ones in their order.

    The batch that needs most memory thus comes first, and shows what fits.
    """
    return sorted(range(len(lengths)), key=lambda position: (-lengths[position], position))


def in_batches(
    order: Sequence[int],
    run: Callable[[Sequence[int]], Result],
    batch_size: int | None,
    start: int,
    costs: Sequence[int] | None = None,
    model: Any = None,
) -> Iterator[Result]:
    """Run positions batch by batch, and halve the batch whenever memory runs out.

    ``order``: the positions to run, each in exactly one batch.
    ``run``: computes one batch of positions.
    ``batch_size``: rows of every batch; None to find out what fits.
    ``start``: the first batch to try where ``batch_size`` is None: rows, or with ``costs`` the
    sum of their costs (say tokens, by position).
    ``model``: remembers what was found to fit, where the next call begins.

    Raises UserError where a batch of fixed size, or a single row, does not fit.
    """
    budget = batch_size or fitting_size(model, start)
    if costs is None or batch_size is not None:
        costs = [1] * (max(order, default=0) + 1)
    done = 0
    while done < len(order):
        batch = _affordable(order[done:], costs, budget)
        fits, result = try_in_memory(lambda batch=batch: run(batch))  # type: ignore[misc]
        if fits:
            done += len(batch)
            yield result  # type: ignore[misc]
        elif batch_size is not None or len(batch) == 1:
            raise out_of_memory_error(len(batch))
        else:
            # half of what was tried, not of the budget: the last batch may be far below it
            budget = max(1, sum(costs[position] for position in batch) // 2)
            remember_fitting_size(model, start, budget)


def fitting_size(model: Any, start: int) -> int:
    """The size last found to fit where ``start`` did not, with this model; else ``start``."""
    found: dict[int, int] = getattr(model, FITTING_ATTRIBUTE, {})
    return found.get(start, start)


def remember_fitting_size(
    model: Any,
    start: int,
    found: int,
) -> None:
    """Keep on the model that the size ``found`` fits where ``start`` did not."""
    if model is not None:
        vars(model).setdefault(FITTING_ATTRIBUTE, {})[start] = found


def try_in_memory(run: Callable[[], Result]) -> tuple[bool, Result | None]:
    """Call ``run``: whether memory sufficed, and its result if so. Other errors pass through."""
    try:
        return True, run()
    except RuntimeError as error:
        # CUDA's allocator raises torch.OutOfMemoryError, the CPU's the plain RuntimeError
        on_cpu = "can't allocate memory" in str(error)
        if not isinstance(error, torch.OutOfMemoryError) and not on_cpu:
            raise
    # outside the handler: until here the traceback holds the tensors of the failed attempt
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return False, None


def out_of_memory_error(rows: int) -> UserError:
    """The error for a batch of ``rows`` that is of fixed size, or cannot be halved any more."""
    return UserError(
        f"run a batch of {rows} rows",
        "not enough memory",
        mend="use --batch-size auto, or a smaller model",
    )


def _affordable(
    order: Sequence[int],
    costs: Sequence[int],
    budget: int,
) -> Sequence[int]:
    """The longest start of ``order`` within the budget, at least one position."""
    spent = 0
    for count, position in enumerate(order):
        spent += costs[position]
        if count and spent > budget:
            return order[:count]
    return order
