"""Which rows go through a model together, and what happens when they do not fit."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import torch
from transformers import PreTrainedModel

from parabench.contracts import UserError

Result = TypeVar("Result")

FITTING_ATTRIBUTE = "parabench_fitting"
"""Attribute of a model: what fits on its device beside it, by what did not."""


def check_lengths(model: PreTrainedModel, lengths: Sequence[int], what: str) -> None:
    """Raise UserError naming the first position whose length exceeds the model's positions."""
    limit = getattr(model.config, "max_position_embeddings", None)
    for position, length in enumerate(lengths):
        if limit is not None and length > limit:
            raise UserError(
                f"run the model on row {position}",
                f"{what} of {length} tokens; the model has {limit} positions",
                mend="shorten the text, the prompt or max_new_tokens",
            )


def by_length(lengths: Sequence[int]) -> list[int]:
    """Order positions longest first, ties by position, so that the dearest batch comes first and
    shows what fits.
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
    """Run ``order`` batch by batch, of ``batch_size`` rows; if None, halve whenever memory runs
    out, first ``start``.

    With ``costs`` (say tokens, by position) ``start`` bounds a batch's cost instead of its rows.
    What was found to fit is where the next call with the same ``model`` starts. Every position is
    in exactly one result. Raises UserError where a fixed batch, or one single row, does not fit.
    """
    budget, done = batch_size or fitting_size(model, start), 0
    prices = (
        costs if costs is not None and batch_size is None else [1] * (max(order, default=0) + 1)
    )
    while done < len(order):
        batch = _affordable(order[done:], prices, budget)
        fits, result = try_in_memory(lambda batch=batch: run(batch))  # type: ignore[misc]
        if fits:
            done += len(batch)
            yield result  # type: ignore[misc]
        elif batch_size is not None or len(batch) == 1:
            raise out_of_memory_error(len(batch))
        else:
            budget = max(1, sum(prices[position] for position in batch) // 2)
            remember_fitting_size(model, start, budget)


def fitting_size(model: Any, start: int) -> int:
    """What was last found to fit where ``start`` did not, at this model; else ``start``."""
    return int(getattr(model, FITTING_ATTRIBUTE, {}).get(start, start))


def remember_fitting_size(model: Any, start: int, found: int) -> None:
    """Let the model remember that so much fits where ``start`` did not."""
    if model is not None:
        vars(model).setdefault(FITTING_ATTRIBUTE, {})[start] = found


def try_in_memory(run: Callable[[], Result]) -> tuple[bool, Result | None]:
    """Call ``run``; whether it fitted into memory, and its result if so. Other errors pass."""
    try:
        return True, run()
    except (
        RuntimeError
    ) as error:  # torch.OutOfMemoryError is one; the CPU's allocator raises the plain kind
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(
            error
        ):
            raise
    gc.collect()  # frees the failed attempt's tensors, held by its traceback until here
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return False, None


def out_of_memory_error(rows: int) -> UserError:
    """The error of a batch that may not be halved, or cannot."""
    return UserError(
        f"run a batch of {rows} rows",
        "not enough memory",
        mend="use --batch-size auto, or a smaller model",
    )


def _affordable(order: Sequence[int], prices: Sequence[int], budget: int) -> Sequence[int]:
    spent = 0
    for count, position in enumerate(order):
        spent += prices[position]
        if count and spent > budget:
            return order[:count]
    return order
