"""One training in one folder: it goes on from wherever the folder stands, and ends the same however
often it was cut.

``last.safetensors`` is where it stands, ``best.safetensors`` where the validation loss was lowest,
``log.jsonl`` what happened, ``spec.json`` what the training is of (another one is refused),
``finished.json`` that nothing is left to do.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parabench.contracts import UserError
from parabench.store.files import read_bytes, write_atomically
from parabench.store.run_folder import open_run
from parabench.training import state
from parabench.training.batches import iterate_batches
from parabench.training.config import TrainingConfig
from parabench.training.loop import StepLog, TrainingProgress, run_updates, start_progress
from parabench.training.loss_log import LossLog
from parabench.training.objectives import Objective
from parabench.training.ranks import SINGLE_PROCESS, Ranks
from parabench.training.recipes import StepCallback, limit_row_length

_FOLDER, _LAST, _BEST, _LOG, _FINISHED = (
    "training",
    "last.safetensors",
    "best.safetensors",
    "log.jsonl",
    "finished.json",
)

Validator = Callable[[int], Mapping[str, Any]]
"""Measures the present state, after so many updates; ``"loss"`` decides which state is the best,
the rest is logged.
"""


@dataclass(frozen=True)
class TrainingJob:
    """A training: what learns, from which pairs, how; and the facts that two runs of one job have
    in common.
    """

    objective: Objective
    pairs: Iterable[Any]
    config: TrainingConfig
    spec: Mapping[str, Any]
    validate: Validator | None = None


@dataclass(frozen=True)
class TrainingOutcome:
    """How a training ended: updates made, the step kept and its validation loss, rows left out, the
    log.
    """

    steps: int
    kept: int
    loss: float
    skipped: Mapping[str, int]
    history: tuple[Mapping[str, Any], ...]


def finished_outcome(folder: Path) -> TrainingOutcome | None:
    """The outcome of a training that is done."""
    path = folder / _FOLDER / _FINISHED
    if not path.exists():
        return None
    found = json.loads(read_bytes(path))
    return TrainingOutcome(**{**found, "history": tuple(found["history"])})


def train_resumable(
    job: TrainingJob,
    folder: Path,
    keep: Callable[[TrainingOutcome], object],
    watch: StepCallback = id,
    ranks: Ranks = SINGLE_PROCESS,
) -> TrainingOutcome:
    """Train to the end in ``folder`` and leave the best state in the objective's module for ``keep``
    to store.

    A training that is done is not touched. UserError where the folder is of another job or another
    process has it.
    """
    place = folder / _FOLDER
    if not ranks.first:
        return finished_outcome(folder) or _follow(job, place, keep, watch, ranks)
    with open_run(place, {"schema": 1, **job.spec}):
        return finished_outcome(folder) or _follow(job, place, keep, watch, ranks)


def _follow(
    job: TrainingJob,
    place: Path,
    keep: Callable[[TrainingOutcome], object],
    watch: StepCallback,
    ranks: Ranks,
) -> TrainingOutcome:
    progress = start_progress(job.objective.module.parameters(), job.config)
    history = _resume(job, place, progress, ranks)
    config = limit_row_length(job.config, job.objective)
    supply = iterate_batches(
        job.pairs, job.objective.encode, config.batching, progress.position, progress.skipped
    )
    try:
        for log in (
            []
            if _over(progress, config)
            else run_updates(job.objective.loss, progress, supply, config, ranks)
        ):
            _note(job, place, progress, history, log, ranks)
            watch(log)
            if _over(progress, config):
                break
    except UserError:
        _save(place / _LAST, job, progress, history, ranks)
        raise
    return _finish(job, place, progress, history, keep, ranks)


def _resume(
    job: TrainingJob, place: Path, progress: TrainingProgress, ranks: Ranks
) -> LossLog | None:
    """Put the last stored state back; the log is cut to what it was then."""
    ranks.wait()
    notes = (
        state.load_into(place / _LAST, job.objective.module, progress)
        if (place / _LAST).exists()
        else {"log": 0}
    )
    ranks.wait()
    return LossLog(place / _LOG, notes["log"]) if ranks.first else None


def _over(progress: TrainingProgress, config: TrainingConfig) -> bool:
    return progress.step >= config.steps or 0 < config.patience <= progress.best.waited


def _note(
    job: TrainingJob,
    place: Path,
    progress: TrainingProgress,
    history: LossLog | None,
    log: StepLog,
    ranks: Ranks,
) -> None:
    """Log one update, validate where it is time, and store where it is time."""
    config = job.config
    if history:
        line = log._asdict()
        del line["tokens_per_second"]
        history.add(**line)
    if config.validate_every and progress.step % config.validate_every == 0:
        _validate(job, place, progress, history, ranks)
    if progress.step % config.save_every == 0:
        _save(place / _LAST, job, progress, history, ranks)


def _validate(
    job: TrainingJob, place: Path, progress: TrainingProgress, history: LossLog | None, ranks: Ranks
) -> None:
    if job.validate is None or progress.validated == progress.step:
        return
    measured, progress.validated = dict(job.validate(progress.step)), progress.step
    progress.plateau = progress.plateau.after(measured["loss"], job.config)
    progress.best = progress.best.after(measured["loss"], progress.step)
    if history:
        history.add(step=progress.step, validation=measured)
    if progress.best.step == progress.step:
        _save(place / _BEST, job, progress, history, ranks)


def _save(
    path: Path, job: TrainingJob, progress: TrainingProgress, history: LossLog | None, ranks: Ranks
) -> None:
    if ranks.first and history:
        write_atomically(
            path, state.to_bytes(job.objective.module, progress, {"log": history.size})
        )


def _finish(
    job: TrainingJob,
    place: Path,
    progress: TrainingProgress,
    history: LossLog | None,
    keep: Callable[[TrainingOutcome], object],
    ranks: Ranks,
) -> TrainingOutcome:
    """Store the last state, then hand the best one over, then say that it is done: in this
    order.
    """
    _validate(job, place, progress, history, ranks)
    _save(place / _LAST, job, progress, history, ranks)
    ranks.wait()
    best = progress.best
    if (place / _BEST).exists() and best.step:
        state.load_parameters(job.objective.module, state.read_parameters(place / _BEST))
    records = tuple(history.records()) if history else ()
    kept = best.step or progress.step
    outcome = TrainingOutcome(progress.step, kept, best.loss, dict(progress.skipped), records)
    if ranks.first:
        keep(outcome)
        write_atomically(
            place / _FINISHED, json.dumps(vars(outcome) | {"history": list(records)}).encode()
        )
    ranks.wait()
    return outcome


def loss_curve(outcome: TrainingOutcome, points: int = 200) -> tuple[tuple[int, float], ...]:
    """At most ``points`` evenly spaced (step, nats per token) of the updates."""
    losses = [(line["step"], round(line["loss"], 5)) for line in outcome.history if "loss" in line]
    every = max(1, math.ceil(len(losses) / points))
    return tuple(losses[every - 1 :: every])
