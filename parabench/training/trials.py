"""What a search tries: the settings as typed, and the training that measures one choice among
them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from parabench.contracts import UserError
from parabench.training import setup
from parabench.training.requests import (
    TrainingRequest,
    ValidationCallback,
    load_request,
    make_config,
    measure_setup,
    run_training,
)


def search_space(
    lengths: str, rates: str, initialisers: str | None, optimizers: str | None, seeds: Iterable[int]
) -> tuple[dict[str, list[Any]], dict[str, tuple[float, float]]]:
    """What a search chooses from, as typed: values joined by commas (initialisers by semicolons),
    rates as a range.
    """
    choices: dict[str, list[Any]] = {"length": _numbers(lengths, int), "seed": list(seeds)}
    ranges: dict[str, tuple[float, float]] = {}
    if (ends := re.fullmatch(r"([\d.]+(?:e-?\d+)?)-([\d.]+(?:e-?\d+)?)", rates)) is not None:
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


def trial_function(
    family: str, common: TrainingRequest, fixed: Mapping[str, Any]
) -> Callable[[Mapping[str, Any], Path, ValidationCallback], Mapping[str, Any]]:
    """A function that trains a prompt with a trial's settings, all else as in ``common``, and gives
    what the kept checkpoint measures: the held-out loss and, where ``common`` has samples, its
    judges' columns.

    A prompt of length 0 is the bare model, measured as it is.
    """

    def train_and_measure(
        settings: Mapping[str, Any], folder: Path, report: ValidationCallback
    ) -> Mapping[str, Any]:
        varied = dict(settings)
        kind, seed = setup.parse_kind(f"{family}-{varied.pop('length')}"), varied.pop("seed")
        initialiser, runtime = varied.pop("initialiser", None), replace(common.runtime, seed=seed)
        config = make_config(kind, seed=seed, **fixed, **varied)
        request = replace(
            common,
            kind=kind,
            config=config,
            folder=folder,
            runtime=runtime,
            initialiser=initialiser,
        )
        if not kind.length:
            return measure_setup(request, load_request(request))
        outcome = run_training(request, report=report)
        records = (line for line in outcome.history if "validation" in line)
        return next(line["validation"] for line in records if line["step"] == outcome.kept)

    return train_and_measure
