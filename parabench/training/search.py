"""Search for training settings: trials of one equal budget, shared by any number of workers.

Trials that fall behind are stopped early. They are kept in a journal file that a crash leaves
readable and several processes may append to (Optuna's journal storage). Each trial is an ordinary
resumable training, so a worker that comes back resumes its last trial.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
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
from parabench.training.figures import LengthPoint, draw_lengths

PrunerName = Literal["median", "hyperband", "none"]
SamplerName = Literal["tpe", "random", "grid"]
TrialSettings = Mapping[str, Any]
TrialMeasures = Mapping[str, Any]
TrialFunction = Callable[[TrialSettings, Path, Callable[[int, TrialMeasures], None]], TrialMeasures]
"""Trains with settings in a folder, reports what each validation measures, and gives what the kept
parameters measure.
"""


@dataclass(frozen=True)
class SearchPlan:
    """What is varied and how.

    ``choices`` has the values for each name, ``ranges`` a (low, high) range of logarithmic scale.
    ``startup`` trials run to their end before any is stopped; a validation comes every ``interval``
    of ``steps``. ``goal`` is the measure that decides, and the higher the better if ``upwards``.
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
    plan: SearchPlan,
    folder: Path,
    train_and_measure: TrialFunction,
    report_trial: Callable[[FrozenTrial], object] = id,
) -> None:
    """Make trials in ``folder`` until ``plan.trials`` of them ended, and write the tables.

    ``train_and_measure`` makes one trial; ``report_trial`` is called after each. The same call
    resumes an interrupted search, and beside itself is one more worker. Raises UserError where the
    folder is of another search.
    """
    make_folder(folder)
    study = _open_study(plan, folder)
    _requeue_abandoned(study)

    def after(study: optuna.Study, trial: FrozenTrial) -> None:
        report_trial(trial)
        if len(ended_trials(study)) >= plan.trials:
            study.stop()

    def attempt(trial: optuna.Trial) -> float:
        return _make_trial(plan, folder, train_and_measure, trial)

    if len(ended_trials(study)) < plan.trials:
        study.optimize(attempt, callbacks=[after])
    write_search_tables(study, plan.goal, folder)


def _make_trial(
    plan: SearchPlan, folder: Path, train_and_measure: TrialFunction, trial: optuna.Trial
) -> float:
    settings: dict[str, Any] = {}
    for name, values in plan.choices.items():
        settings[name] = trial.suggest_categorical(name, values)
    for name, (low, high) in plan.ranges.items():
        settings[name] = trial.suggest_float(name, low, high, log=True)
    trial.set_user_attr("process", os.getpid())

    def report(step: int, measured: TrialMeasures) -> None:
        if not step:
            return  # before the first update all trials are alike
        trial.report(measured[plan.goal], step)
        if trial.should_prune():
            raise optuna.TrialPruned

    place = folder / "trials" / trial_folder_name(settings)
    try:
        measured = train_and_measure(settings, place, report)
    except UserError as error:
        # A training that diverges is a result, and not the end of the search.
        in_one_line = " ".join(str(error).split())
        trial.set_user_attr("error", in_one_line)
        raise optuna.TrialPruned from error
    numbers = {name: value for name, value in measured.items() if isinstance(value, float)}
    trial.set_user_attr("measured", numbers)
    objective = float(measured[plan.goal])
    if not math.isfinite(objective):
        # As a number it would be a trial that failed and is made again, without end.
        trial.set_user_attr("error", f"{plan.goal} is {objective}: nothing to judge the trial by")
        raise optuna.TrialPruned
    return objective


def ended_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that gave a result: completed or stopped early."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def trial_folder_name(settings: TrialSettings) -> str:
    """The name of a trial's folder: the same settings find the same training again."""
    canonical = json.dumps(settings, sort_keys=True)
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    return digest[:12]


def _open_study(plan: SearchPlan, folder: Path) -> optuna.Study:
    """The study in the folder, or a new one.

    Raises UserError where it is of another search; only the number of trials may differ.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(folder / "trials.journal")))
    study = optuna.create_study(
        storage=storage,
        study_name="parabench",
        direction="maximize" if plan.upwards else "minimize",
        sampler=_make_sampler(plan),
        pruner=_make_pruner(plan),
        load_if_exists=True,
    )
    settings = {name: value for name, value in asdict(plan).items() if name != "trials"}
    # As the journal gives them back: tuples are lists in JSON.
    settings = json.loads(json.dumps(settings))
    before = study.user_attrs.get("search", settings)
    for name, value in before.items():
        if value != settings[name]:
            asked = f"go on with the search in {folder}"
            found = f"{name} was {value}, not {settings[name]}"
            raise UserError(asked, found, mend="give another --output")
    study.set_user_attr("search", settings)
    return study


def _make_sampler(plan: SearchPlan) -> optuna.samplers.BaseSampler:
    if plan.sampler == "grid":
        if plan.ranges:
            name, *_ = plan.ranges
            raise UserError("search a grid", f"a range for {name}", mend="give values: A,B,C")
        values = {name: list(choices) for name, choices in plan.choices.items()}
        return optuna.samplers.GridSampler(values, plan.seed)
    if plan.sampler == "random":
        return optuna.samplers.RandomSampler(plan.seed)
    if plan.sampler == "tpe":
        return optuna.samplers.TPESampler(seed=plan.seed, n_startup_trials=plan.startup)
    raise UserError(f"search with the sampler {plan.sampler!r}", choices=("tpe", "random", "grid"))


def _make_pruner(plan: SearchPlan) -> optuna.pruners.BasePruner:
    """The pruner, which counts in training steps, as the reports do.

    A warm-up counted in reports would lie beyond the budget, and nothing would be stopped.
    """
    if plan.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=plan.startup, n_warmup_steps=0)
    if plan.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=plan.interval, max_resource=plan.steps)
    if plan.pruner == "none":
        return optuna.pruners.NopPruner()
    choices = ("median", "hyperband", "none")
    raise UserError(f"search with the pruner {plan.pruner!r}", choices=choices)


def _requeue_abandoned(study: optuna.Study) -> None:
    """Queue the trials of workers that died; their trainings are resumed from their checkpoints."""
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    for trial in running:
        process = trial.user_attrs.get("process")
        if process is not None and not _is_alive(process):
            with suppress(ValueError):  # another worker was quicker
                study.tell(trial.number, state=TrialState.FAIL)
                study.enqueue_trial(trial.params)


def _is_alive(process: int) -> bool:
    """Whether another process of this number runs; one's own number is that of a dead worker."""
    with suppress(ProcessLookupError):
        try:
            os.kill(process, 0)
        except PermissionError:
            return True
        return process != os.getpid()
    return False


def write_search_tables(study: optuna.Study, goal: str, folder: Path) -> None:
    """Write ``trials.csv`` and ``importance.json``, and ``length.svg`` where lengths were varied.

    ``goal`` is the measure that decided, the first of the columns.
    """
    trials = study.get_trials(deepcopy=False)
    # A trial that was stopped early has no measures; its settings are in the table all the same.
    settings: set[str] = set()
    measured: set[str] = set()
    for trial in trials:
        settings.update(trial.params)
        measured.update(measures_of(trial))
    names = sorted(settings)
    measures = [goal, *sorted(measured - {goal})]
    table = _trials_table(trials, goal, names, measures)
    write_atomically(folder / "trials.csv", table.encode())
    weights = json.dumps(setting_importance(study), indent=1)
    write_atomically(folder / "importance.json", weights.encode())
    if "length" in names:
        drawn = draw_lengths(_points_by_length(trials, measures))
        write_atomically(folder / "length.svg", drawn)


def _trials_table(
    trials: Sequence[FrozenTrial], goal: str, names: Sequence[str], measures: Sequence[str]
) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["trial", "state", *names, *measures, "steps", "error"])
    for trial in trials:
        steps = max(trial.intermediate_values, default=0)
        # A trial that was stopped early has what it reported last.
        reported = trial.intermediate_values.get(steps, "")
        found = {goal: reported, **measures_of(trial)}
        state = trial.state.name.lower()
        chosen = [trial.params.get(name, "") for name in names]
        values = [found.get(name, "") for name in measures]
        error = trial.user_attrs.get("error", "")
        writer.writerow([trial.number, state, *chosen, *values, steps, error])
    return file.getvalue()


def _points_by_length(
    trials: Sequence[FrozenTrial], measures: Sequence[str]
) -> dict[str, list[LengthPoint]]:
    points: dict[str, list[LengthPoint]] = {name: [] for name in measures}
    for trial in trials:
        if trial.state != TrialState.COMPLETE:
            continue
        length = trial.params["length"]
        for name, value in measures_of(trial).items():
            points[name].append((length, value))
    return points


def measures_of(trial: FrozenTrial) -> Mapping[str, float]:
    """What a completed trial's checkpoint measures, by name."""
    return trial.user_attrs.get("measured", {})


def setting_importance(study: optuna.Study) -> dict[str, float]:
    """How much each setting matters for being among the best; empty where that is unknown.

    PED-ANOVA (Watanabe et al. 2023).
    """
    try:
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        return optuna.importance.get_param_importances(study, evaluator=evaluator)
    except (ValueError, RuntimeError):  # too few trials, or nothing was varied
        return {}
