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
from parabench.training import kinds
from parabench.training.requests import Report, Request, carry_out, configured, load, measure


def space(
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


def objective(
    family: str, common: Request, fixed: Mapping[str, Any]
) -> Callable[[Mapping[str, Any], Path, Report], Mapping[str, Any]]:
    """A function that trains a prompt with a trial's settings, all else as in ``common``, and gives
    what the kept checkpoint measures: the held-out loss and, where ``common`` has samples, its
    judges' columns.

    A prompt of length 0 is the bare model, measured as it is.
    """

    def train_and_measure(
        settings: Mapping[str, Any], folder: Path, report: Report
    ) -> Mapping[str, Any]:
        varied = dict(settings)
        kind, seed = kinds.parse(f"{family}-{varied.pop('length')}"), varied.pop("seed")
        initialiser, runtime = varied.pop("initialiser", None), replace(common.runtime, seed=seed)
        config = configured(kind, seed=seed, **fixed, **varied)
        request = replace(
            common,
            kind=kind,
            config=config,
            folder=folder,
            runtime=runtime,
            initialiser=initialiser,
        )
        if not kind.length:
            return measure(request, load(request))
        outcome = carry_out(request, report=report)
        records = (line for line in outcome.history if "validation" in line)
        return next(line["validation"] for line in records if line["step"] == outcome.kept)

    return train_and_measure
