"""One engine for every trainer: from batches to updates, a log line each, and nothing else."""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor

from parabench.contracts import UserError
from parabench.training.batches import STREAM_START, Batch, StreamPosition
from parabench.training.config import TrainingConfig
from parabench.training.losses import TrainingRow, target_tokens
from parabench.training.ranks import SINGLE_PROCESS, Ranks
from parabench.training.schedules import PlateauState, rate_factor

LossFunction = Callable[[Sequence[TrainingRow]], Tensor]


class StepLog(NamedTuple):
    """One update: its number from 1, the mean loss in nats a target token, text tokens a second,
    and the rate used.

    ``tokens`` is how many text tokens the update read.
    """

    step: int
    loss: float
    tokens_per_second: float
    learning_rate: float
    gradient_norm: float
    tokens: int = 0


class LossTrend(NamedTuple):
    """A running mean of the loss and the lowest it has been."""

    mean: float = math.nan
    lowest: float = math.inf

    def after(self, loss: float) -> LossTrend:
        """The trend with one more loss, over about the last fifty."""
        mean = loss if math.isnan(self.mean) else self.mean + (loss - self.mean) / 50
        return LossTrend(mean, min(mean, self.lowest))


class BestValidation(NamedTuple):
    """The lowest validation loss, after which step it was, and how many validations since have not
    beaten it.
    """

    loss: float = math.inf
    step: int = 0
    waited: int = 0

    def after(self, loss: float, step: int) -> BestValidation:
        """The state after one more validation."""
        return (
            BestValidation(loss, step)
            if loss < self.loss
            else self._replace(waited=self.waited + 1)
        )


@dataclass
class TrainingProgress:
    """Where a run stands: with the weights, all that is needed to go on exactly.

    ``rows`` is how many rows are computed at once, less than a batch after memory ran out (0: the
    whole batch). ``validated`` is the last step that was validated.
    """

    optimizer: torch.optim.Optimizer
    step: int = 0
    position: StreamPosition = STREAM_START
    plateau: PlateauState = field(default_factory=PlateauState)
    trend: LossTrend = field(default_factory=LossTrend)
    best: BestValidation = field(default_factory=BestValidation)
    rows: int = 0
    validated: int = 0
    skipped: Counter[str] = field(default_factory=Counter)


def start_progress(
    parameters: Iterable[torch.nn.Parameter], config: TrainingConfig
) -> TrainingProgress:
    """A run at its start; weight decay is for matrices only."""
    trained = [p for p in parameters if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return TrainingProgress(_optimizer([group for group in groups if group["params"]], config))


def _optimizer(groups: list[dict[str, object]], config: TrainingConfig) -> torch.optim.Optimizer:
    rate = config.learning_rate
    match config.optimizer:
        case "adamw":
            return torch.optim.AdamW(groups, lr=rate, betas=config.betas, fused=True)
        case "adam":
            return torch.optim.Adam(groups, lr=rate, betas=config.betas, fused=True)
        case "sgd":
            return torch.optim.SGD(groups, lr=rate, momentum=config.betas[0], fused=True)
        case "adafactor":
            return torch.optim.Adafactor(groups, lr=rate)
    choices = ("adamw", "adam", "sgd", "adafactor")
    raise UserError(
        f"use the optimiser {config.optimizer!r}", choices=choices, mend=f"--optimizer {choices[0]}"
    )


def run_updates(
    loss: LossFunction,
    progress: TrainingProgress,
    batches: Iterable[Batch],
    config: TrainingConfig,
    ranks: Ranks = SINGLE_PROCESS,
) -> Iterator[StepLog]:
    """Update until ``config.steps`` updates are made or the batches end; ``progress`` is kept up to
    date.

    ``loss`` gives a batch's mean per target token; an update's loss is the mean over all its target
    tokens. A loss or gradient that is not finite, or a loss far above what it was, raises
    UserError; the former before the update, so that the weights are the last good ones.
    """
    supply, started = iter(batches), time.perf_counter()
    size = config.accumulation * ranks.count
    while progress.step < config.steps and (group := list(islice(supply, size))):
        value, norm = _gradients(loss, progress, group, config, ranks)
        _check(value, norm, progress, config)
        rate = config.learning_rate * rate_factor(config, progress.step) * progress.plateau.scale
        for parameters in progress.optimizer.param_groups:
            parameters["lr"] = rate
        progress.optimizer.step()
        progress.step, progress.position = progress.step + 1, group[-1].then
        read = sum(len(row.source) + len(row.target) for batch in group for row in batch.rows)
        yield StepLog(
            progress.step, value, read / (time.perf_counter() - started), rate, norm, read
        )
        started = time.perf_counter()


def _gradients(
    loss: LossFunction,
    progress: TrainingProgress,
    group: list[Batch],
    config: TrainingConfig,
    ranks: Ranks,
) -> tuple[float, float]:
    """Leave the gradient of the group's mean loss in the parameters; give that loss and the
    gradient's norm.
    """
    parameters = [p for group in progress.optimizer.param_groups for p in group["params"]]
    tokens, mine = sum(target_tokens(batch.rows) for batch in group), ranks.share(group)
    while (total := _backward(loss, progress, mine, tokens, config, parameters[0].device)) is None:
        _halve(progress, mine)
    ranks.sum_gradients(parameters)
    norm = torch.nn.utils.clip_grad_norm_(parameters, config.clip or math.inf)
    return ranks.sum(total)[0], norm.item()


def _backward(
    loss: LossFunction,
    progress: TrainingProgress,
    batches: Sequence[Batch],
    tokens: int,
    config: TrainingConfig,
    device: torch.device,
) -> float | None:
    """The batches' part of the mean loss, its gradient left behind; None where the memory did not
    suffice.
    """
    progress.optimizer.zero_grad()
    total = 0.0
    try:
        for batch in batches:
            size = progress.rows or len(batch.rows)
            for first in range(0, len(batch.rows), size):
                rows, place = (
                    batch.rows[first : first + size],
                    f"{config.seed}-{batch.then}-{first}",
                )
                with (
                    _seeded(place, device),
                    torch.autocast(device.type, torch.bfloat16, config.bf16),
                ):
                    part = loss(rows) * (target_tokens(rows) / tokens)
                part.backward()
                total += part.item()
    except torch.OutOfMemoryError:
        return None
    return total


def _halve(progress: TrainingProgress, batches: Sequence[Batch]) -> None:
    """Compute half as many rows at once from now on; the batch, and so the update, stays what it
    was.
    """
    size = progress.rows or max(len(batch.rows) for batch in batches)
    if size == 1:
        raise UserError(
            "train on this device",
            "one row does not fit its memory",
            mend="a smaller model, or bfloat16",
        )
    progress.rows = (size + 1) // 2
    progress.optimizer.zero_grad()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextmanager
def _seeded(place: str, device: torch.device) -> Iterator[None]:
    """Dropout drawn from the batch's place in the stream, so that no generator state needs to be
    stored.
    """
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(random.Random(place).getrandbits(63))
        yield


def _check(value: float, norm: float, progress: TrainingProgress, config: TrainingConfig) -> None:
    trend = progress.trend.after(value)
    if not (math.isfinite(value) and math.isfinite(norm)):
        found = f"at step {progress.step + 1} the loss is {value} and the gradient's norm {norm}"
    elif trend.mean > 2 * trend.lowest + 1:
        found = (
            f"the loss rose from {trend.lowest:.2f} to {trend.mean:.2f} by step {progress.step + 1}"
        )
    else:
        progress.trend = trend
        return
    mend = f"a learning rate below {config.learning_rate:g}, more warm-up, or a smaller clip"
    raise UserError("go on training", f"{found}; the last good state is kept", mend=mend)
