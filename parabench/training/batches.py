"""Training batches from a stream of examples, repeatable from any batch.

Rows are tokenised, shuffled and grouped by length within a window. The order of everything follows
from (seed, epoch, window), so a batch's place in the stream is three integers and resuming needs no
stored buffer (datasets' own shuffle buffer loses rows on resume, huggingface/datasets#8408).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import NamedTuple, TypeVar

from parabench.contracts import UserError
from parabench.training.losses import TrainingRow, row_length

_Item = TypeVar("_Item")
RowEncoder = Callable[[Sequence[_Item]], Sequence[TrainingRow]]


@dataclass(frozen=True)
class Batching:
    """How rows become batches.

    A batch has ``rows`` rows, or as many as ``tokens`` padded positions hold, whichever is fewer.
    ``window`` examples are shuffled at a time. A row of more than ``longest`` tokens is left out,
    and counted; ``epochs`` None is endless.
    """

    rows: int = 32
    tokens: int = 1 << 30
    window: int = 4096
    longest: int = 1024
    epochs: int | None = None
    seed: int = 0


class StreamPosition(NamedTuple):
    """The next batch of a stream: how many batches of this window of this epoch were taken."""

    epoch: int = 0
    window: int = 0
    batch: int = 0


STREAM_START = StreamPosition()


class Batch(NamedTuple):
    """Rows to train on, and the position in the stream after them."""

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

    Items before ``start`` are passed over without ``encode``. Rows longer than ``config.longest``
    are counted in ``skipped``, in the first epoch, each once however often the stream is resumed.
    Raises UserError where no row of a whole epoch is short enough.
    """
    reads_once = iter(items) is items
    for epoch in count(start.epoch):
        if epoch == config.epochs or (epoch and reads_once):
            return
        first = start.window if epoch == start.epoch else 0
        # What lies before is read and not encoded: there is no index of the rows.
        stream = islice(items, first * config.window, None)
        empty = True
        for window in count(first):
            texts = list(islice(stream, config.window))
            if not texts:
                break
            here = StreamPosition(epoch, window)
            is_first = here == start._replace(batch=0)
            done = start.batch if is_first else 0
            # A window that is entered in its middle was counted before the stream was stopped.
            counts = None if done or epoch else skipped
            plan = _plan_window(encode(texts), config, here, counts)
            empty = empty and not plan
            for number, rows in enumerate(plan[done:], start=done + 1):
                yield Batch(rows, here._replace(batch=number))
        if empty and first == 0:
            raise UserError(
                "make training batches", f"no row of at most {config.longest} tokens in the data"
            )


def _plan_window(
    rows: Sequence[TrainingRow],
    config: Batching,
    here: StreamPosition,
    skipped: Counter[str] | None,
) -> list[list[TrainingRow]]:
    """A window's batches: similar lengths within each, in random order, each row in exactly one."""
    generator = random.Random(f"{config.seed}-{here.epoch}-{here.window}")
    fitting = [row for row in rows if row_length(row) <= config.longest]
    if skipped is not None:
        skipped["longer than the limit"] += len(rows) - len(fitting)
    # The sort is stable, so that the shuffle decides among rows of one length.
    generator.shuffle(fitting)
    fitting.sort(key=row_length)
    plan = list(_cut(fitting, config))
    generator.shuffle(plan)
    return plan


def _cut(rows: Sequence[TrainingRow], config: Batching) -> Iterator[list[TrainingRow]]:
    """Batches of rows in order of length: the newest row is the longest, so it sets the padding."""
    batch: list[TrainingRow] = []
    for row in rows:
        padded = (len(batch) + 1) * row_length(row)
        if batch and (len(batch) == config.rows or padded > config.tokens):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
