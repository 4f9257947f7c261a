"""Trials of a search: the settings to choose from, and the trainings that measure them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from parabench.contracts import UserError
from parabench.prompts.templates import Template
from parabench.training.presets import make_config
from parabench.training.requests import (
    TrainingRequest,
    ValidationCallback,
    load_request,
    measure_setup,
    run_training,
)
from parabench.training.resumable import TrainingOutcome
from parabench.training.search import TrialFunction, TrialMeasures, TrialSettings
from parabench.training.setup import TrainingKind, parse_kind
from parabench.training.task_training import TaskTraining, check_task_training, train_tasks

_NUMBER = r"[\d.]+(?:e-?\d+)?"
_RANGE = re.compile(f"({_NUMBER})-({_NUMBER})")


def search_space(
    lengths: str | None,
    rates: str,
    initialisers: str | None,
    optimizers: str | None,
    seeds: Iterable[int],
) -> tuple[dict[str, list[Any]], dict[str, tuple[float, float]]]:
    """What a search chooses from, as typed: choices by name, and (low, high) ranges by name.

    ``lengths``, ``rates`` and ``optimizers`` are values joined by commas, ``initialisers`` by
    semicolons; ``rates`` may be a range ``LOW-HIGH`` too. None leaves a setting as it is; ``seeds``
    are tried with each. Raises UserError where a value is no number.
    """
    choices: dict[str, list[Any]] = {}
    if lengths is not None:
        choices["length"] = _numbers(lengths, int)
    choices["seed"] = list(seeds)
    ranges: dict[str, tuple[float, float]] = {}
    ends = _RANGE.fullmatch(rates)
    if ends is not None:
        ranges["learning_rate"] = float(ends[1]), float(ends[2])
    else:
        choices["learning_rate"] = _numbers(rates, float)
    if initialisers:
        choices["initialiser"] = initialisers.split(";")
    if optimizers:
        choices["optimizer"] = optimizers.split(",")
    return choices, ranges


def _numbers(text: str, kind: type) -> list[Any]:
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        raise UserError(
            f"search among {text!r}", f"not {kind.__name__} numbers joined by commas"
        ) from None


def trial_function(family: str, common: TrainingRequest, fixed: Mapping[str, Any]) -> TrialFunction:
    """A function that trains a prompt of ``family`` with a trial's settings and measures it.

    All else is as in ``common``, with ``fixed`` settings for every trial. It gives what the kept
    checkpoint measures: the held-out loss and, where ``common`` has validation texts, its scorers'
    columns. A prompt of length 0 is the bare model, measured as it is.
    """

    def train_and_measure(
        settings: TrialSettings, folder: Path, report: ValidationCallback
    ) -> TrialMeasures:
        varied = dict(settings)
        length = varied.pop("length")
        # A prompt of no rows cannot be trained, but what the model does without one is measured.
        bare_model = TrainingKind(f"{family}-0", "softprompt")
        kind = parse_kind(f"{family}-{length}") if length else bare_model
        # It decides the initial rows, and the order of the data.
        seed = varied.pop("seed")
        initialiser = varied.pop("initialiser", None)
        request = replace(
            common,
            kind=kind,
            config=make_config(kind, seed=seed, **fixed, **varied),
            folder=folder,
            runtime=replace(common.runtime, seed=seed),
            initialiser=initialiser,
        )
        if not kind.length:
            return measure_setup(request, load_request(request))
        return _measures_of_kept(run_training(request, report=report), folder)

    return train_and_measure


def _measures_of_kept(outcome: TrainingOutcome, folder: Path) -> TrialMeasures:
    """What the validation of the update that was kept measured."""
    for line in outcome.history:
        if "validation" in line and line["step"] == outcome.kept:
            return line["validation"]
    raise ValueError(f"the training in {folder} was not validated at step {outcome.kept}")


def task_trial_function(
    common: TaskTraining, fixed: Mapping[str, Any], lengths: Sequence[int] = ()
) -> TrialFunction:
    """A function that trains the tasks of ``common`` with a trial's settings and measures them.

    Each trial has a table of its own in its folder; all else is as in ``common``, with ``fixed``
    settings for every trial. ``lengths`` are the numbers of virtual tokens that trials choose from;
    without any, each task has its template's. The function gives the held-out losses of the update
    that is kept. Raises UserError, before the first trial, where a length cannot be trained or
    there are no held-out records.
    """
    # All lengths are checked now: a search must not end in its tenth hour by a wrong one.
    variants = [_resize_tasks(common, length) for length in lengths]
    for variant in variants or [common]:
        check_task_training(variant)
    if not common.dev:
        found = "no held-out records, by which trials could be judged"
        raise UserError("search settings for tasks", found, mend="add --dev-records FILE")
    kind = parse_kind("softprompt-1" if common.method == "prompt" else "ptuning-1")

    def train_and_measure(
        settings: TrialSettings, folder: Path, report: ValidationCallback
    ) -> TrialMeasures:
        varied = dict(settings)
        length = varied.pop("length", None)
        resized = common if length is None else _resize_tasks(common, length)
        # A trial's seed decides its first rows as well as its batches.
        seed = varied.pop("seed")
        training = replace(
            resized,
            table=folder,
            initialiser=varied.pop("initialiser", common.initialiser),
            config=make_config(kind, seed=seed, **fixed, **varied),
            runtime=replace(common.runtime, seed=seed),
        )
        result = train_tasks(training, report=report)
        return _measures_of_kept(result.outcome, folder)

    return train_and_measure


def _resize_tasks(training: TaskTraining, length: int) -> TaskTraining:
    templates = tuple(resize_template(one, length) for one in training.templates)
    return replace(training, templates=templates)


def resize_template(template: Template, length: int) -> Template:
    """The ``template`` with ``length`` virtual tokens.

    Raises UserError where it has none, or has them at several places: how they are to be split is
    then not known.
    """
    places = len(template.virtual_token_splits)
    if places != 1:
        asked = f"search the length of the prompt of task {template.taskname!r}"
        found = f"its virtual tokens stand at {places} places"
        raise UserError(asked, found, mend="leave --lengths out: the tasks file gives the lengths")
    return replace(template, total_virtual_tokens=length, virtual_token_splits=(length,))
