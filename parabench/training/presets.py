"""Training settings: a kind's defaults, published presets over them, and what a user gives."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from parabench.contracts import UserError
from parabench.training.config import TrainingConfig
from parabench.training.setup import TrainingKind

_ORIGIN_EPOCH = 8000

TRAINING_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "origin": {
        "steps": 30 * _ORIGIN_EPOCH,
        "batch_size": 32,
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "schedule": "plateau",
        "warmup": 0,
        "clip": 0.0,
        "validate_every": _ORIGIN_EPOCH,
    }
}
"""Settings of published runs.

``origin`` is Paraphrase-OPT's ``config-defaults.yaml``: 30 epochs of 8000 steps each.
"""


def make_config(kind: TrainingKind, preset: str | None = None, **given: Any) -> TrainingConfig:
    """Settings of a training: the defaults of ``kind``, then the ``preset``, then those ``given``.

    ``given`` are fields of TrainingConfig, and ``batch_size``; None is "not given". Raises UserError
    for an unknown preset, and for values with which nothing would be trained.
    """
    if preset is not None and preset not in TRAINING_PRESETS:
        raise UserError(f"use the preset {preset!r}", "no such preset", list(TRAINING_PRESETS))
    chosen = dict(TRAINING_PRESETS.get(preset or "", {}))
    chosen |= {name: value for name, value in given.items() if value is not None}
    rows = chosen.pop("batch_size", None)
    config = replace(kind.defaults, **chosen)
    if "warmup" not in chosen:
        # A short training should not spend itself on the default warm-up.
        config = replace(config, warmup=min(config.warmup, config.steps // 20))
    batching = replace(config.batching, seed=config.seed)
    if rows is not None:
        batching = replace(batching, rows=rows)
    config = replace(config, batching=batching)
    _check_config(config)
    return config


def _check_config(config: TrainingConfig) -> None:
    counts = {
        "steps": config.steps,
        "batch size": config.batching.rows,
        "accumulation": config.accumulation,
    }
    for name, value in counts.items():
        if value < 1:
            raise UserError(f"train with {name} {value}", mend="a number of 1 or more")
    if not 0 < config.learning_rate < math.inf:
        raise UserError(
            f"train with a learning rate of {config.learning_rate}", mend="--learning-rate 0.001"
        )
