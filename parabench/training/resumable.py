"""Resumable training in one folder: however often it is stopped, it ends the same.

``last.safetensors`` is the newest checkpoint, ``best.safetensors`` the one with the lowest
validation loss, ``log.jsonl`` the loss log, ``spec.json`` the settings (others are refused),
``finished.json`` the outcome, once nothing is left to do.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from parabench.contracts import UserError
from parabench.store.files import read_bytes, write_atomically
from parabench.store.run_folder import open_run
from parabench.training import state
from parabench.training.batches import iterate_batches
from parabench.training.config import TrainingConfig
from parabench.training.loop import StepLog, is_complete, run_updates, start_progress
from parabench.training.loss_log import LossLog
from parabench.training.objectives import Objective
from parabench.training.ranks import NO_OTHERS, Ranks
from parabench.training.recipes import StepCallback, limit_row_length

_FOLDER = "training"
_LAST = "last.safetensors"
_BEST = "best.safetensors"
_LOG = "log.jsonl"
_FINISHED = "finished.json"

Validator = Callable[[int], Mapping[str, Any]]
"""Measures the present parameters, given how many updates were made.

``"loss"`` decides which checkpoint is the best; the rest is logged.
"""


@dataclass
class StopRequest:
    """A request to stop after the present update, made from outside, say by a signal handler.

    ``stored`` is kept up to date by the training: the update that it would be resumed from; None
    as long as it has not looked what its folder holds.
    """

    requested: bool = False
    stored: int | None = None


class TrainingStopped(Exception):  # noqa: N818 - it is no error
    """A training was stopped as requested, after update ``step``, and can be resumed from there."""

    def __init__(self, step: int) -> None:
        super().__init__(f"stopped after update {step}")
        self.step = step


@dataclass(frozen=True)
class TrainingJob:
    """A training: what learns (``objective``), from which ``pairs``, with which ``config``.

    ``spec`` are the JSON values that two runs of one job have in common. Without ``validate`` the
    last state is the result. ``stop`` is looked at after every update.
    """

    objective: Objective
    pairs: Iterable[Any]
    config: TrainingConfig
    spec: Mapping[str, Any]
    validate: Validator | None = None
    stop: StopRequest = field(default_factory=StopRequest)


@dataclass(frozen=True)
class TrainingOutcome:
    """How a training ended.

    ``steps`` updates were made; the parameters after update ``kept`` are the result, of validation
    loss ``loss`` (infinite without validations). ``skipped`` counts rows left out by reason;
    ``history`` is the loss log.
    """

    steps: int
    kept: int
    loss: float
    skipped: Mapping[str, int]
    history: tuple[Mapping[str, Any], ...]


Exporter = Callable[[TrainingOutcome], object]
"""Stores the result, which is in the objective's module, where the user looks for it."""


def finished_outcome(folder: Path) -> TrainingOutcome | None:
    """The outcome of the training in ``folder``, None while it is unfinished."""
    path = folder / _FOLDER / _FINISHED
    if not path.exists():
        return None
    found = json.loads(read_bytes(path))
    found["history"] = tuple(found["history"])
    return TrainingOutcome(**found)


def train_resumable(
    job: TrainingJob,
    folder: Path,
    export: Exporter,
    watch: StepCallback = id,
    ranks: Ranks = NO_OTHERS,
) -> TrainingOutcome:
    """Train to the end in ``folder``, then ``export`` the best parameters.

    ``watch`` is called after every update; ``ranks`` are the processes that share the work. A
    finished training is not touched. Raises UserError where the folder is of another job, where
    another process has it, and where the training diverges; TrainingStopped where it was asked to
    stop.
    """
    place = folder / _FOLDER
    # The first process alone holds the folder and writes there.
    is_first = ranks.process.is_first
    holding: AbstractContextManager[object] = nullcontext()
    if is_first:
        holding = open_run(place, {"schema": 1, **job.spec})
    with holding:
        done = finished_outcome(folder)
        if done is not None:
            return done
        training = _Training(job, place, ranks)
        return training.run(export, watch)


class _Training:
    """One job in progress, with its folder's files; only the first process writes."""

    def __init__(self, job: TrainingJob, place: Path, ranks: Ranks) -> None:
        """Load the newest checkpoint, and cut the log back to its length of that time."""
        self.job = job
        self.place = place
        self.ranks = ranks
        parameters = job.objective.module.parameters()
        self.progress = start_progress(parameters, job.config)
        # All processes read the checkpoint before the first may write a new one.
        ranks.wait()
        log_size = 0
        if (place / _LAST).exists():
            notes = state.load_into(place / _LAST, job.objective.module, self.progress)
            log_size = notes["log"]
        self.resumed = log_size > 0
        job.stop.stored = self.progress.step
        ranks.wait()
        self.log = LossLog(place / _LOG, log_size) if ranks.process.is_first else None

    def run(self, export: Exporter, watch: StepCallback) -> TrainingOutcome:
        """Make the updates that are left, and finish."""
        if not self.resumed:
            self._validate_start()
        try:
            self._update(watch)
        except UserError:
            # The parameters are those after the last good update.
            self._save(_LAST)
            raise
        return self._finish(export)

    def _update(self, watch: StepCallback) -> None:
        if self._is_over():
            return
        objective = self.job.objective
        progress = self.progress
        config = limit_row_length(self.job.config, objective)
        supply = iterate_batches(
            self.job.pairs,
            objective.encode,
            config.batching,
            progress.position,
            progress.skipped,
        )
        for log in run_updates(objective.loss, progress, supply, config, self.ranks):
            self._after_update(log)
            watch(log)
            if self._is_over():
                return
            # Every process stops after the same update, whichever of them was asked to.
            (asked,) = self.ranks.sum(float(self.job.stop.requested))
            if asked:
                self._save(_LAST)
                raise TrainingStopped(self.progress.step)

    def _is_over(self) -> bool:
        config = self.job.config
        progress = self.progress
        out_of_patience = 0 < config.patience <= progress.best.waited
        return is_complete(progress, config) or out_of_patience

    def _after_update(self, log: StepLog) -> None:
        """Log one update; validate and store where it is time."""
        config = self.job.config
        step = self.progress.step
        if self.log:
            line = log._asdict()
            # Two runs of one training have the same log, so nothing of the clock enters it.
            del line["tokens_per_second"]
            self.log.add(**line)
        if config.validate_every and step % config.validate_every == 0:
            self._validate()
        if step % config.save_every == 0:
            self._save(_LAST)

    def _validate_start(self) -> None:
        """Log what the untrained parameters measure; they are no candidate for the best."""
        if self.job.validate is None:
            return
        measured = dict(self.job.validate(0))
        if self.log:
            self.log.add(step=0, validation=measured)

    def _validate(self) -> None:
        progress = self.progress
        config = self.job.config
        step = progress.step
        if self.job.validate is None or progress.validated == step:
            return
        measured = dict(self.job.validate(step))
        loss = measured["loss"]
        progress.validated = step
        # The plateau schedule watches this loss, where it does not watch that of the updates.
        if not config.plateau_every:
            progress.plateau = progress.plateau.after(loss, config)
        progress.best = progress.best.after(loss, step)
        if self.log:
            self.log.add(step=step, validation=measured)
        if progress.best.step == step:
            self._save(_BEST, with_optimizer=False)

    def _save(self, name: str, with_optimizer: bool = True) -> None:
        if self.log is not None:
            notes = {"log": self.log.size}
            module = self.job.objective.module
            content = state.to_bytes(module, self.progress, notes, with_optimizer)
            write_atomically(self.place / name, content)
        if name == _LAST:
            self.job.stop.stored = self.progress.step

    def _finish(self, export: Exporter) -> TrainingOutcome:
        """Store the last state, export the best, and write the outcome: in this order.

        Whoever is stopped in between begins here again, and ``finished.json`` is only there once
        the result is. No update follows, so the optimiser's state is not stored.
        """
        self._validate()
        self._save(_LAST, with_optimizer=False)
        self.ranks.wait()
        progress = self.progress
        best = self.progress.best
        if best.step and (self.place / _BEST).exists():
            weights = state.read_parameters(self.place / _BEST)
            state.load_parameters(self.job.objective.module, weights)
        history = tuple(self.log.records()) if self.log else ()
        # Without a validation the last parameters are the result.
        kept = best.step or progress.step
        skipped = dict(progress.skipped)
        outcome = TrainingOutcome(progress.step, kept, best.loss, skipped, history)
        if self.ranks.process.is_first:
            export(outcome)
            record = vars(outcome) | {"history": list(history)}
            content = json.dumps(record).encode()
            write_atomically(self.place / _FINISHED, content)
        self.ranks.wait()
        return outcome


def loss_curve(outcome: TrainingOutcome, points: int = 200) -> tuple[tuple[int, float], ...]:
    """At most ``points`` evenly spaced (step, nats a target token) of the updates."""
    losses: list[tuple[int, float]] = []
    for line in outcome.history:
        if "loss" in line:  # a line of a validation has it further in
            loss = round(line["loss"], 5)
            losses.append((line["step"], loss))
    every = math.ceil(len(losses) / points) or 1
    # The last of each group, so that the last update is among them where it can be.
    return tuple(losses[every - 1 :: every])
