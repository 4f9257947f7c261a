"""The training loop: from batches to updates of the parameters, with one log record each."""

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
from parabench.training.losses import TrainingRow, row_length, target_tokens
from parabench.training.ranks import NO_OTHERS, Ranks
from parabench.training.schedules import PlateauState, rate_factor

LossFunction = Callable[[Sequence[TrainingRow]], Tensor]


class StepLog(NamedTuple):
    """Record of one update.

    ``step`` counts from 1; ``loss`` is the mean in nats a target token; ``learning_rate`` is the
    rate used and ``gradient_norm`` the norm before clipping. ``tokens`` is how many text tokens,
    source and target, the update read, and ``tokens_per_second`` how fast.
    """

    step: int
    loss: float
    tokens_per_second: float
    learning_rate: float
    gradient_norm: float
    tokens: int = 0


class LossTrend(NamedTuple):
    """A running mean of the loss over about the last fifty updates, and the lowest it has been."""

    mean: float = math.nan
    lowest: float = math.inf

    def after(self, loss: float) -> LossTrend:
        """The trend with one more ``loss``."""
        mean = loss if math.isnan(self.mean) else self.mean + (loss - self.mean) / 50
        return LossTrend(mean, min(mean, self.lowest))


class BestValidation(NamedTuple):
    """The lowest validation loss, and the step it was measured after (0: none yet).

    ``waited`` counts the validations since that have not been better.
    """

    loss: float = math.inf
    step: int = 0
    waited: int = 0

    def after(self, loss: float, step: int) -> BestValidation:
        """The state after one more validation, of ``loss`` after ``step`` updates."""
        if loss < self.loss:
            return BestValidation(loss, step)
        return self._replace(waited=self.waited + 1)


@dataclass
class TrainingProgress:
    """State of a training: with the parameters, all that is needed to resume it exactly.

    ``position`` is the next batch of the stream. ``rows`` is how many rows are computed at once,
    less than a batch after memory ran out (0: the whole batch). ``validated`` is the last step that
    was validated. ``skipped`` counts rows left out, by reason. ``seconds`` is the time spent, where
    the training is given minutes. ``train_loss`` sums the losses since the plateau schedule
    last got one.
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
    seconds: float = 0.0
    train_loss: float = 0.0


def start_progress(
    parameters: Iterable[torch.nn.Parameter], config: TrainingConfig
) -> TrainingProgress:
    """Progress of a training at its start, with a fresh optimiser for those that need gradients.

    Raises UserError where ``config`` names no optimiser.
    """
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    # Weight decay is for matrices only: biases and norms are vectors.
    matrices = [parameter for parameter in trained if parameter.ndim > 1]
    vectors = [parameter for parameter in trained if parameter.ndim < 2]
    groups: list[dict[str, object]] = []
    if matrices:
        groups.append({"params": matrices, "weight_decay": config.weight_decay})
    if vectors:
        groups.append({"params": vectors, "weight_decay": 0.0})
    return TrainingProgress(_make_optimizer(groups, config))


def _make_optimizer(
    groups: list[dict[str, object]], config: TrainingConfig
) -> torch.optim.Optimizer:
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
    asked = f"use the optimiser {config.optimizer!r}"
    raise UserError(asked, choices=choices, mend=f"--optimizer {choices[0]}")


def run_updates(
    loss: LossFunction,
    progress: TrainingProgress,
    batches: Iterable[Batch],
    config: TrainingConfig,
    ranks: Ranks = NO_OTHERS,
) -> Iterator[StepLog]:
    """Update until ``config.steps`` updates are made, time is up, or the ``batches`` end.

    ``loss`` gives a batch's mean per target token; an update's loss is the mean over all its target
    tokens, whatever batches and processes (``ranks``) they came from. ``progress`` is changed in
    place. Raises UserError, before the update, where a loss or gradient is not finite or the loss
    is far above what it was, so that the parameters are the last good ones.
    """
    supply = iter(batches)
    started = clock = time.perf_counter()
    size = config.accumulation * ranks.process.size
    while not is_complete(progress, config) and (group := list(islice(supply, size))):
        value, norm = _compute_gradients(loss, progress, group, config, ranks)
        # Before the update: where it raises, the parameters are the last good ones.
        _check_loss(value, norm, progress, config)
        factor = rate_factor(config, progress.step, progress.seconds)
        rate = config.learning_rate * factor * progress.plateau.scale
        for parameters in progress.optimizer.param_groups:
            parameters["lr"] = rate
        progress.optimizer.step()
        progress.step += 1
        progress.position = group[-1].then
        _report_train_loss(progress, config, value)
        if config.minutes:
            # Validations count too. All processes go by the first one's clock, so that they make
            # the same number of updates.
            now = time.perf_counter()
            spent = now - clock if ranks.process.is_first else 0.0
            (seconds,) = ranks.sum(spent)
            progress.seconds += seconds
            clock = now
        rows = [row for batch in group for row in batch.rows]
        tokens = sum(map(row_length, rows))
        speed = tokens / (time.perf_counter() - started)
        yield StepLog(progress.step, value, speed, rate, norm, tokens)
        # What the caller does with the record, a validation say, is no part of the speed.
        started = time.perf_counter()


def is_complete(progress: TrainingProgress, config: TrainingConfig) -> bool:
    """Whether all updates are made, or the time is up."""
    time_is_up = 0 < 60 * config.minutes <= progress.seconds
    return progress.step >= config.steps or time_is_up


def _report_train_loss(progress: TrainingProgress, config: TrainingConfig, loss: float) -> None:
    """Tell the plateau schedule the mean training loss, where it watches that."""
    if not config.plateau_every:
        return
    progress.train_loss += loss
    if progress.step % config.plateau_every == 0:
        mean = progress.train_loss / config.plateau_every
        progress.plateau = progress.plateau.after(mean, config)
        progress.train_loss = 0.0


def _compute_gradients(
    loss: LossFunction,
    progress: TrainingProgress,
    group: list[Batch],
    config: TrainingConfig,
    ranks: Ranks,
) -> tuple[float, float]:
    """Leave the gradient of the group's mean loss in the parameters; return that loss and the norm.

    The norm is that of the gradient before clipping.
    """
    groups = progress.optimizer.param_groups
    parameters = [parameter for one in groups for parameter in one["params"]]
    device = parameters[0].device
    tokens = sum(target_tokens(batch.rows) for batch in group)
    mine = ranks.process.share(group)
    while (total := _backward(loss, progress, mine, tokens, config, device)) is None:
        _halve_rows(progress, mine)
    ranks.sum_gradients(parameters)
    bound = config.clip or math.inf  # the norm is wanted in any case
    norm = torch.nn.utils.clip_grad_norm_(parameters, bound)
    (mean_loss,) = ranks.sum(total)
    return mean_loss, norm.item()


def _backward(
    loss: LossFunction,
    progress: TrainingProgress,
    batches: Sequence[Batch],
    tokens: int,
    config: TrainingConfig,
    device: torch.device,
) -> float | None:
    """Accumulate the batches' part of the gradient; return their part of the mean loss.

    ``tokens`` counts the target tokens of the whole update. None where memory ran out.
    """
    progress.optimizer.zero_grad()
    total = 0.0
    try:
        for batch in batches:
            size = progress.rows or len(batch.rows)
            for first in range(0, len(batch.rows), size):
                rows = batch.rows[first : first + size]
                place = f"{config.seed}-{batch.then}-{first}"
                autocast = torch.autocast(device.type, torch.bfloat16, config.bf16)
                # The weights of all parts sum to 1, so that the parts' gradients sum to the mean's.
                weight = target_tokens(rows) / tokens
                with _seeded(place, device), autocast:
                    part = loss(rows) * weight
                part.backward()
                total += part.item()
    except torch.OutOfMemoryError:
        return None
    return total


def _halve_rows(progress: TrainingProgress, batches: Sequence[Batch]) -> None:
    """Compute half as many rows at once from now on; the batch, and so the update, is the same.

    Raises UserError where one row at a time was too much already.
    """
    size = progress.rows or max(len(batch.rows) for batch in batches)
    if size == 1:
        found = "one row does not fit its memory"
        raise UserError("train on this device", found, mend="a smaller model, or bfloat16")
    progress.rows = (size + 1) // 2
    progress.optimizer.zero_grad()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextmanager
def _seeded(place: str, device: torch.device) -> Iterator[None]:
    """Dropout drawn from the batch's place in the stream, so that no generator state is stored."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        # PYTHONHASHSEED does not enter: random.Random hashes a string by SHA-512.
        torch.manual_seed(random.Random(place).getrandbits(63))
        yield


def _check_loss(
    value: float, norm: float, progress: TrainingProgress, config: TrainingConfig
) -> None:
    """Note the loss, or raise UserError where it shows that the training diverges."""
    trend = progress.trend.after(value)
    step = progress.step + 1
    if not (math.isfinite(value) and math.isfinite(norm)):
        found = f"at step {step} the loss is {value} and the gradient's norm {norm}"
    elif trend.mean > 2 * trend.lowest + 1:  # a nat of slack, for losses that are near 0
        found = f"the loss rose from {trend.lowest:.2f} to {trend.mean:.2f} by step {step}"
    else:
        progress.trend = trend
        return
    mend = f"a learning rate below {config.learning_rate:g}, more warm-up, or a smaller clip"
    raise UserError("go on training", f"{found}; the last good state is kept", mend=mend)
