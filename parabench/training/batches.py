"""Batches from a stream: tokenised once, shuffled and grouped by length within a window, repeatable
from any batch.

The order of everything follows from (seed, epoch, window), so a batch's place in the stream is
three integers and resuming needs no stored buffer (datasets' own shuffle buffer loses rows on
resume, huggingface/datasets#8408).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import NamedTuple, TypeVar

from parabench.contracts import UserError
from parabench.training.losses import TrainingRow

_Item = TypeVar("_Item")
RowEncoder = Callable[[Sequence[_Item]], Sequence[TrainingRow]]


@dataclass(frozen=True)
class Batching:
    """How rows become batches: ``rows`` per batch, or as many as ``tokens`` padded positions hold,
    whichever is fewer.

    ``longest`` is the row length in tokens beyond which a row is left out, and counted; ``epochs``
    None is endless.
    """

    rows: int = 32
    tokens: int = 1 << 30
    window: int = 4096
    longest: int = 1024
    epochs: int | None = None
    seed: int = 0


class StreamPosition(NamedTuple):
    """The next batch of a stream."""

    epoch: int = 0
    window: int = 0
    batch: int = 0


STREAM_START = StreamPosition()


class Batch(NamedTuple):
    """Rows to train on, and where the stream goes on after them."""

    rows: list[TrainingRow]
    then: StreamPosition


def iterate_batches(
    items: Iterable[_Item],
    encode: RowEncoder[_Item],
    config: Batching,
    start: StreamPosition = STREAM_START,
    skipped: Counter[str] | None = None,
) -> Iterator[Batch]:
    """Batches of ``items`` from ``start`` on; items that can be read only once give one epoch.

    Rows before ``start`` are passed over unencoded. Rows longer than ``config.longest`` are counted
    in ``skipped``, in the first epoch, each once however often the stream goes on.
    """
    for epoch in count(start.epoch):
        if epoch == config.epochs or (epoch and iter(items) is items):
            return
        first = start.window if epoch == start.epoch else 0
        stream, empty = islice(items, first * config.window, None), True
        for window in count(first):
            texts = list(islice(stream, config.window))
            if not texts:
                break
            here = StreamPosition(epoch, window)
            done = start.batch if here == start._replace(batch=0) else 0
            plan = _plan(encode(texts), config, here, None if done or epoch else skipped)
            empty = empty and not plan
            for number, rows in enumerate(plan[done:], start=done + 1):
                yield Batch(rows, here._replace(batch=number))
        if empty and first == 0:
            raise UserError(
                "make training batches", f"no row of at most {config.longest} tokens in the data"
            )


def _plan(
    rows: Sequence[TrainingRow],
    config: Batching,
    here: StreamPosition,
    skipped: Counter[str] | None,
) -> list[list[TrainingRow]]:
    """A window's batches: alike in length within, in random order, each row in exactly one."""
    draw = random.Random(f"{config.seed}-{here.epoch}-{here.window}")
    kept = [row for row in rows if len(row.source) + len(row.target) <= config.longest]
    if skipped is not None:
        skipped["longer than the limit"] += len(rows) - len(kept)
    draw.shuffle(kept)
    kept.sort(key=lambda row: len(row.source) + len(row.target))
    plan = list(_cut(kept, config))
    draw.shuffle(plan)
    return plan


def _cut(rows: Sequence[TrainingRow], config: Batching) -> Iterator[list[TrainingRow]]:
    batch: list[TrainingRow] = []
    for row in rows:
        length = len(row.source) + len(row.target)
        if batch and (len(batch) == config.rows or (len(batch) + 1) * length > config.tokens):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
