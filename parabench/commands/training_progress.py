"""A training before the user's eyes: its progress, its trackers, and how a signal ends it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer

from parabench.commands import signals
from parabench.render.progress import progress_bar

if TYPE_CHECKING:
    from parabench.training.config import TrainingConfig
    from parabench.training.loop import StepLog
    from parabench.training.ranks import Ranks
    from parabench.training.recipes import StepCallback
    from parabench.training.requests import ValidationCallback
    from parabench.training.resumable import StopRequest, TrainingOutcome

_Result = TypeVar("_Result")


def train_with_progress(
    train: Callable[[StepCallback, ValidationCallback, StopRequest], _Result],
    name: str,
    config: TrainingConfig,
    folder: Path,
    ranks: Ranks,
    track: str | None,
) -> _Result:
    """Call ``train`` with what is to hear of its updates and validations, and what stops it.

    ``name`` is shown beside the progress bar, ``folder`` holds what the tracker ``track`` stores.
    Of several processes (``ranks``) the first one speaks. A training that a signal stopped ends the
    program by that signal.
    """
    from parabench.training.resumable import StopRequest, TrainingStopped
    from parabench.training.tracking import open_tracker

    stop = StopRequest()
    watched = _training_progress(name, config, stop, ranks.process.is_first)
    tracked = open_tracker(track if ranks.process.is_first else None, folder)
    try:
        with watched as watch, tracked as tracker:

            def after_update(log: StepLog) -> None:
                watch(log)
                tracker.update(log)

            return train(after_update, tracker.validation, stop)
    except TrainingStopped as stopped:
        # Trackers and the progress bar are closed by now.
        signals.end_after_stop(f"stopped after update {stopped.step}; run again to resume there")


@contextmanager
def _training_progress(
    name: str, config: TrainingConfig, stop: StopRequest, shown: bool
) -> Iterator[Callable[[StepLog], object]]:
    """Show each update's loss: a bar on a terminal, a line now and then elsewhere.

    Of a training that is given minutes the bar shows seconds.
    """
    started = time.monotonic()
    total = round(60 * config.minutes) or config.steps
    bar = progress_bar(name, total, shown)
    with signals.stop_after_update(stop), bar as update:

        def watch(log: StepLog) -> None:
            done = log.step
            step = ""
            # How many updates there will be is not known then.
            if config.minutes:
                done = min(total, round(time.monotonic() - started))
                step = f"update {log.step}  "
            rate = f"rate {log.learning_rate:.2g}"
            speed = f"{log.tokens_per_second:.0f} tokens/s"
            update(done, f"{step}loss {log.loss:.3f}  {rate}  {speed}")

        yield watch


def describe_updates(config: TrainingConfig, ranks: Ranks, unit: str) -> str:
    """How many updates of how many ``unit`` a training makes, and by which optimiser."""
    rows = config.batching.rows * config.accumulation * ranks.process.size
    length = f"{config.minutes:g} minutes" if config.minutes else f"{config.steps}"
    optimizer = f"{config.optimizer} {config.learning_rate:g} {config.schedule}"
    return f"updates   {length} of {rows} {unit}, {optimizer}"


def print_outcome(name: str, outcome: TrainingOutcome) -> None:
    """Print how a training ended: its updates, the one that was kept, and its held-out loss."""
    judged = ""
    if outcome.loss < float("inf"):
        judged = f", held-out loss {outcome.loss:.4f} nats a token"
    typer.echo(f"{name}: {outcome.steps} updates, kept that of step {outcome.kept}{judged}")
