"""Trials of a search: the settings to choose from, and the training that measures them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from parabench.contracts import UserError
from parabench.training.presets import make_config
from parabench.training.requests import (
    TrainingRequest,
    ValidationCallback,
    load_request,
    measure_setup,
    run_training,
)
from parabench.training.search import TrialFunction, TrialMeasures, TrialSettings
from parabench.training.setup import TrainingKind, parse_kind

_NUMBER = r"[\d.]+(?:e-?\d+)?"
_RANGE = re.compile(f"({_NUMBER})-({_NUMBER})")


def search_space(
    lengths: str, rates: str, initialisers: str | None, optimizers: str | None, seeds: Iterable[int]
) -> tuple[dict[str, list[Any]], dict[str, tuple[float, float]]]:
    """What a search chooses from, as typed: choices by name, and (low, high) ranges by name.

    ``lengths``, ``rates`` and ``optimizers`` are values joined by commas, ``initialisers`` by
    semicolons; ``rates`` may be a range ``LOW-HIGH`` too. Raises UserError where a value is no
    number.
    """
    choices: dict[str, list[Any]] = {"length": _numbers(lengths, int), "seed": list(seeds)}
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
        bare_model = TrainingKind(f"{family}-0", "softprompt")
        kind = parse_kind(f"{family}-{length}") if length else bare_model
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
        outcome = run_training(request, report=report)
        for line in outcome.history:
            if "validation" in line and line["step"] == outcome.kept:
                return line["validation"]
        raise ValueError(f"the training in {folder} was not validated at step {outcome.kept}")

    return train_and_measure
