"""Search for settings: trials of one equal budget, stopped early where they fall behind, shared by any workers.

The trials are kept in a journal file that a crash leaves readable and several processes may append to (Optuna's journal
storage). Each trial is an ordinary resumable training, so a worker that comes back goes on inside its last trial.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from parabench.contracts import UserError
from parabench.disk import make_folder, write_atomically

Pruner = Literal["median", "hyperband", "none"]
Sampler = Literal["tpe", "random", "grid"]
Settings = Mapping[str, Any]
Objective = Callable[[Settings, Path, Callable[[int, float], None]], float]
"""Trains with settings in a folder, reports (step, loss) as it goes, and gives the loss at the end."""


@dataclass(frozen=True)
class Search:
    """What is varied and how: a choice among values for each name, or a (low, high) range of logarithmic scale.

    ``startup`` trials run to their end before any is stopped; a validation comes every ``interval`` of ``steps``.
    """

    choices: Mapping[str, Sequence[Any]]
    ranges: Mapping[str, tuple[float, float]]
    trials: int
    steps: int
    interval: int
    sampler: Sampler = "tpe"
    pruner: Pruner = "median"
    startup: int = 4
    seed: int = 0


def search(search: Search, folder: Path, objective: Objective, told: Callable[[FrozenTrial], object] = id) -> None:
    """Make trials until the study has ``search.trials`` that ended; run it again, or beside itself, for more hands."""
    make_folder(folder)
    study = _study(search, folder)
    _requeue(study)

    def attempt(trial: optuna.Trial) -> float:
        settings = {name: trial.suggest_categorical(name, values) for name, values in search.choices.items()}
        for name, (low, high) in search.ranges.items():
            settings[name] = trial.suggest_float(name, low, high, log=True)
        trial.set_user_attr("process", os.getpid())

        def report(step: int, loss: float) -> None:
            trial.report(loss, step)
            if trial.should_prune():
                raise optuna.TrialPruned

        try:
            return objective(settings, folder / "trials" / digest(settings), report)
        except UserError as error:  # a training that diverges is a result, not the end of the search
            trial.set_user_attr("error", " ".join(str(error).split()))
            raise optuna.TrialPruned from error

    def after(study: optuna.Study, trial: FrozenTrial) -> None:
        told(trial)
        if len(ended(study)) >= search.trials:
            study.stop()

    if len(ended(study)) < search.trials:
        study.optimize(attempt, callbacks=[after])
    write_tables(study, folder)


def ended(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that gave a result: completed or stopped early."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def digest(settings: Settings) -> str:
    """The folder's name of a trial: the same settings find the same training again."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]


def _study(search: Search, folder: Path) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(folder / "trials.journal")))
    return optuna.create_study(
        storage=storage,
        study_name="parabench",
        direction="minimize",
        sampler=_sampler(search),
        pruner=_pruner(search),
        load_if_exists=True,
    )


def _sampler(search: Search) -> optuna.samplers.BaseSampler:
    if search.sampler == "grid":
        if search.ranges:
            raise UserError("search a grid", f"a range for {next(iter(search.ranges))}", mend="give values: A,B,C")
        return optuna.samplers.GridSampler({name: list(values) for name, values in search.choices.items()}, search.seed)
    if search.sampler == "random":
        return optuna.samplers.RandomSampler(search.seed)
    if search.sampler == "tpe":
        return optuna.samplers.TPESampler(seed=search.seed, n_startup_trials=search.startup)
    raise UserError(f"search with the sampler {search.sampler!r}", choices=("tpe", "random", "grid"))


def _pruner(search: Search) -> optuna.pruners.BasePruner:
    """Pruners count in training steps, as the reports do; a warm-up beyond the budget could never fire."""
    if search.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=search.startup, n_warmup_steps=0)
    if search.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=search.interval, max_resource=search.steps)
    if search.pruner == "none":
        return optuna.pruners.NopPruner()
    raise UserError(f"search with the pruner {search.pruner!r}", choices=("median", "hyperband", "none"))


def _requeue(study: optuna.Study) -> None:
    """Begin the trials of workers that died again: their trainings go on where they stood."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        process = trial.user_attrs.get("process")
        if process is not None and not _alive(process):
            with suppress(ValueError):  # another worker was quicker
                study.tell(trial.number, state=TrialState.FAIL)
                study.enqueue_trial(trial.params)


def _alive(process: int) -> bool:
    with suppress(ProcessLookupError):
        try:
            os.kill(process, 0)
        except PermissionError:
            return True
        return process != os.getpid()
    return False


def write_tables(study: optuna.Study, folder: Path) -> None:
    """``trials.csv`` with every trial, ``importance.json``, and where lengths were varied ``length.svg``."""
    trials = study.get_trials(deepcopy=False)
    names = sorted({name for trial in trials for name in trial.params})
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["trial", "state", *names, "loss", "steps", "error"])
    for trial in trials:
        steps = max(trial.intermediate_values, default=0)
        loss = trial.value if trial.value is not None else trial.intermediate_values.get(steps, "")
        values = [trial.params.get(name, "") for name in names]
        writer.writerow(
            [trial.number, trial.state.name.lower(), *values, loss, steps, trial.user_attrs.get("error", "")]
        )
    write_atomically(folder / "trials.csv", file.getvalue().encode())
    write_atomically(folder / "importance.json", json.dumps(importance(study), indent=1).encode())
    if "length" in names:
        write_atomically(folder / "length.svg", length_plot(study))


def importance(study: optuna.Study) -> dict[str, float]:
    """How much each setting matters for being among the best (PED-ANOVA, Watanabe et al. 2023); empty if unknown."""
    try:
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        return optuna.importance.get_param_importances(study, evaluator=evaluator)
    except (ValueError, RuntimeError):  # too few trials, or nothing was varied
        return {}


def length_plot(study: optuna.Study) -> bytes:
    """Held-out loss against prompt length: every trial, and where a length has several their mean and its range."""
    from matplotlib.figure import Figure

    points: dict[int, list[float]] = {}
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        points.setdefault(trial.params["length"], []).append(float(trial.value or 0.0))
    figure = Figure(figsize=(7, 4))
    axes = figure.add_subplot(xlabel="prompt length, virtual tokens", ylabel="held-out loss, nats a target token")
    lengths = sorted(points)
    for length in lengths:
        axes.plot([length] * len(points[length]), points[length], "o", color="0.6", markersize=4)
    means = [sum(points[length]) / len(points[length]) for length in lengths]
    low = [mean - min(points[length]) for mean, length in zip(means, lengths, strict=True)]
    high = [max(points[length]) - mean for mean, length in zip(means, lengths, strict=True)]
    if lengths:
        axes.errorbar(lengths, means, [low, high], capsize=3, marker="s")
    content = io.BytesIO()
    figure.savefig(content, format="svg", metadata={"Date": None})
    return content.getvalue()
