"""Search for settings: trials of one equal budget, stopped early where they fall behind, shared by
any workers.

The trials are kept in a journal file that a crash leaves readable and several processes may append
to (Optuna's journal storage). Each trial is an ordinary resumable training, so a worker that comes
back goes on inside its last trial.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from parabench.contracts import UserError
from parabench.store.files import make_folder, write_atomically
from parabench.training.figures import draw_lengths

PrunerName = Literal["median", "hyperband", "none"]
SamplerName = Literal["tpe", "random", "grid"]
TrialSettings = Mapping[str, Any]
TrialMeasures = Mapping[str, Any]
TrialFunction = Callable[[TrialSettings, Path, Callable[[int, TrialMeasures], None]], TrialMeasures]
"""Trains with settings in a folder, reports what it measures as it goes, and gives what was kept
measures.
"""


@dataclass(frozen=True)
class SearchPlan:
    """What is varied and how: a choice among values for each name, or a (low, high) range of
    logarithmic scale.

    ``startup`` trials run to their end before any is stopped; a validation comes every ``interval``
    of ``steps``. ``goal`` is the measure that decides, which is to rise if ``upwards``.
    """

    choices: Mapping[str, Sequence[Any]]
    ranges: Mapping[str, tuple[float, float]]
    trials: int
    steps: int
    interval: int
    sampler: SamplerName = "tpe"
    pruner: PrunerName = "median"
    startup: int = 4
    seed: int = 0
    goal: str = "loss"
    upwards: bool = False


def run_search(
    search: SearchPlan,
    folder: Path,
    objective: TrialFunction,
    told: Callable[[FrozenTrial], object] = id,
) -> None:
    """Make trials until the study has ``search.trials`` that ended; run it again, or beside itself,
    for more hands.
    """
    make_folder(folder)
    study = _study(search, folder)
    _requeue(study)

    def attempt(trial: optuna.Trial) -> float:
        settings = {
            name: trial.suggest_categorical(name, values) for name, values in search.choices.items()
        }
        for name, (low, high) in search.ranges.items():
            settings[name] = trial.suggest_float(name, low, high, log=True)
        trial.set_user_attr("process", os.getpid())

        def report(step: int, measured: TrialMeasures) -> None:
            trial.report(measured[search.goal], step)
            if trial.should_prune():
                raise optuna.TrialPruned

        try:
            measured = objective(settings, folder / "trials" / trial_folder_name(settings), report)
        except (
            UserError
        ) as error:  # a training that diverges is a result, not the end of the search
            trial.set_user_attr("error", " ".join(str(error).split()))
            raise optuna.TrialPruned from error
        trial.set_user_attr(
            "measured", {name: x for name, x in measured.items() if isinstance(x, float)}
        )
        return float(measured[search.goal])

    def after(study: optuna.Study, trial: FrozenTrial) -> None:
        told(trial)
        if len(ended_trials(study)) >= search.trials:
            study.stop()

    if len(ended_trials(study)) < search.trials:
        study.optimize(attempt, callbacks=[after])
    write_search_tables(study, search.goal, folder)


def ended_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that gave a result: completed or stopped early."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def trial_folder_name(settings: TrialSettings) -> str:
    """The folder's name of a trial: the same settings find the same training again."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]


def _study(search: SearchPlan, folder: Path) -> optuna.Study:
    """The study in the folder, or a new one; UserError where it is of another search but for the
    number of trials.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(folder / "trials.journal")))
    study = optuna.create_study(
        storage=storage,
        study_name="parabench",
        direction="maximize" if search.upwards else "minimize",
        sampler=_sampler(search),
        pruner=_pruner(search),
        load_if_exists=True,
    )
    plan = json.loads(
        json.dumps({name: value for name, value in asdict(search).items() if name != "trials"})
    )
    for name, value in study.user_attrs.get("search", plan).items():
        if value != plan[name]:
            found = f"{name} was {value}, not {plan[name]}"
            raise UserError(
                f"go on with the search in {folder}", found, mend="give another --output"
            )
    study.set_user_attr("search", plan)
    return study


def _sampler(search: SearchPlan) -> optuna.samplers.BaseSampler:
    if search.sampler == "grid":
        if search.ranges:
            raise UserError(
                "search a grid",
                f"a range for {next(iter(search.ranges))}",
                mend="give values: A,B,C",
            )
        return optuna.samplers.GridSampler(
            {name: list(values) for name, values in search.choices.items()}, search.seed
        )
    if search.sampler == "random":
        return optuna.samplers.RandomSampler(search.seed)
    if search.sampler == "tpe":
        return optuna.samplers.TPESampler(seed=search.seed, n_startup_trials=search.startup)
    raise UserError(
        f"search with the sampler {search.sampler!r}", choices=("tpe", "random", "grid")
    )


def _pruner(search: SearchPlan) -> optuna.pruners.BasePruner:
    """Pruners count in training steps, as the reports do; a warm-up beyond the budget could never
    fire.
    """
    if search.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=search.startup, n_warmup_steps=0)
    if search.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner(
            min_resource=search.interval, max_resource=search.steps
        )
    if search.pruner == "none":
        return optuna.pruners.NopPruner()
    raise UserError(
        f"search with the pruner {search.pruner!r}", choices=("median", "hyperband", "none")
    )


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


def write_search_tables(study: optuna.Study, goal: str, folder: Path) -> None:
    """``trials.csv`` with every trial, ``importance.json``, and where lengths were varied
    ``length.svg``.
    """
    trials = study.get_trials(deepcopy=False)
    names = sorted({name for trial in trials for name in trial.params})
    measures = [goal, *sorted({name for trial in trials for name in measures_of(trial)} - {goal})]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["trial", "state", *names, *measures, "steps", "error"])
    for trial in trials:
        steps = max(trial.intermediate_values, default=0)
        found = {goal: trial.intermediate_values.get(steps, ""), **measures_of(trial)}
        values = [trial.params.get(name, "") for name in names] + [
            found.get(name, "") for name in measures
        ]
        writer.writerow(
            [
                trial.number,
                trial.state.name.lower(),
                *values,
                steps,
                trial.user_attrs.get("error", ""),
            ]
        )
    write_atomically(folder / "trials.csv", file.getvalue().encode())
    write_atomically(
        folder / "importance.json", json.dumps(setting_importance(study), indent=1).encode()
    )
    if "length" in names:
        ended = [trial for trial in trials if trial.state == TrialState.COMPLETE]
        points = {
            name: [
                (t.params["length"], measures_of(t)[name]) for t in ended if name in measures_of(t)
            ]
            for name in measures
        }
        write_atomically(folder / "length.svg", draw_lengths(points))


def measures_of(trial: FrozenTrial) -> Mapping[str, float]:
    """What a completed trial's checkpoint measures, by name."""
    return trial.user_attrs.get("measured", {})


def setting_importance(study: optuna.Study) -> dict[str, float]:
    """How much each setting matters for being among the best (PED-ANOVA, Watanabe et al. 2023);
    empty if unknown.
    """
    try:
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        return optuna.importance.get_param_importances(study, evaluator=evaluator)
    except (ValueError, RuntimeError):  # too few trials, or nothing was varied
        return {}
