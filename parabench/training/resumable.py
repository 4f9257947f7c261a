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
from parabench.store.files import read, write_atomically
from parabench.store.run_folder import open_run
from parabench.training import state
from parabench.training.batches import batches
from parabench.training.config import TrainingConfig
from parabench.training.history import History
from parabench.training.loop import Progress, StepLog, begin, train
from parabench.training.ranks import ALONE, Ranks
from parabench.training.recipes import Watch, fitted
from parabench.training.trainees import Trainee

FOLDER, LAST, BEST, LOG, FINISHED = (
    "training",
    "last.safetensors",
    "best.safetensors",
    "log.jsonl",
    "finished.json",
)

Validate = Callable[[int], Mapping[str, Any]]
"""Measures the present state, after so many updates; ``"loss"`` decides which state is the best,
the rest is logged.
"""


@dataclass(frozen=True)
class Job:
    """A training: what learns, from which pairs, how; and the facts that two runs of one job have
    in common.
    """

    trainee: Trainee
    pairs: Iterable[Any]
    config: TrainingConfig
    spec: Mapping[str, Any]
    validate: Validate | None = None


@dataclass(frozen=True)
class Outcome:
    """How a training ended: updates made, the step kept and its validation loss, rows left out, the
    log.
    """

    steps: int
    kept: int
    loss: float
    skipped: Mapping[str, int]
    history: tuple[Mapping[str, Any], ...]


def finished(folder: Path) -> Outcome | None:
    """The outcome of a training that is done."""
    path = folder / FOLDER / FINISHED
    if not path.exists():
        return None
    found = json.loads(read(path))
    return Outcome(**{**found, "history": tuple(found["history"])})


def follow(
    job: Job,
    folder: Path,
    keep: Callable[[Outcome], object],
    watch: Watch = id,
    ranks: Ranks = ALONE,
) -> Outcome:
    """Train to the end in ``folder`` and leave the best state in the trainee's module for ``keep``
    to store.

    A training that is done is not touched. UserError where the folder is of another job or another
    process has it.
    """
    place = folder / FOLDER
    if not ranks.first:
        return finished(folder) or _follow(job, place, keep, watch, ranks)
    with open_run(place, {"schema": 1, **job.spec}):
        return finished(folder) or _follow(job, place, keep, watch, ranks)


def _follow(
    job: Job, place: Path, keep: Callable[[Outcome], object], watch: Watch, ranks: Ranks
) -> Outcome:
    progress = begin(job.trainee.module.parameters(), job.config)
    history = _resume(job, place, progress, ranks)
    config = fitted(job.config, job.trainee)
    supply = batches(
        job.pairs, job.trainee.encode, config.batching, progress.position, progress.skipped
    )
    try:
        for log in (
            []
            if _over(progress, config)
            else train(job.trainee.loss, progress, supply, config, ranks)
        ):
            _note(job, place, progress, history, log, ranks)
            watch(log)
            if _over(progress, config):
                break
    except UserError:
        _save(place / LAST, job, progress, history, ranks)
        raise
    return _finish(job, place, progress, history, keep, ranks)


def _resume(job: Job, place: Path, progress: Progress, ranks: Ranks) -> History | None:
    """Put the last stored state back; the log is cut to what it was then."""
    ranks.wait()
    notes = (
        state.thaw(place / LAST, job.trainee.module, progress)
        if (place / LAST).exists()
        else {"log": 0}
    )
    ranks.wait()
    return History(place / LOG, notes["log"]) if ranks.first else None


def _over(progress: Progress, config: TrainingConfig) -> bool:
    return progress.step >= config.steps or 0 < config.patience <= progress.best.waited


def _note(
    job: Job, place: Path, progress: Progress, history: History | None, log: StepLog, ranks: Ranks
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
        _save(place / LAST, job, progress, history, ranks)


def _validate(
    job: Job, place: Path, progress: Progress, history: History | None, ranks: Ranks
) -> None:
    if job.validate is None or progress.validated == progress.step:
        return
    measured, progress.validated = dict(job.validate(progress.step)), progress.step
    progress.plateau = progress.plateau.after(measured["loss"], job.config)
    progress.best = progress.best.after(measured["loss"], progress.step)
    if history:
        history.add(step=progress.step, validation=measured)
    if progress.best.step == progress.step:
        _save(place / BEST, job, progress, history, ranks)


def _save(path: Path, job: Job, progress: Progress, history: History | None, ranks: Ranks) -> None:
    if ranks.first and history:
        write_atomically(path, state.freeze(job.trainee.module, progress, {"log": history.size}))


def _finish(
    job: Job,
    place: Path,
    progress: Progress,
    history: History | None,
    keep: Callable[[Outcome], object],
    ranks: Ranks,
) -> Outcome:
    """Store the last state, then hand the best one over, then say that it is done: in this
    order.
    """
    _validate(job, place, progress, history, ranks)
    _save(place / LAST, job, progress, history, ranks)
    ranks.wait()
    best = progress.best
    if (place / BEST).exists() and best.step:
        state.restore(job.trainee.module, state.weights_of(place / BEST))
    records = tuple(history.records()) if history else ()
    kept = best.step or progress.step
    outcome = Outcome(progress.step, kept, best.loss, dict(progress.skipped), records)
    if ranks.first:
        keep(outcome)
        write_atomically(
            place / FINISHED, json.dumps(vars(outcome) | {"history": list(records)}).encode()
        )
    ranks.wait()
    return outcome


def loss_curve(outcome: Outcome, points: int = 200) -> tuple[tuple[int, float], ...]:
    """At most ``points`` evenly spaced (step, nats per token) of the updates."""
    losses = [(line["step"], round(line["loss"], 5)) for line in outcome.history if "loss" in line]
    every = max(1, math.ceil(len(losses) / points))
    return tuple(losses[every - 1 :: every])
