"""Training settings: a kind's defaults, published presets over them, and what a user gives."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from parabench.contracts import UserError
from parabench.training.config import TrainingConfig
from parabench.training.setup import TrainingKind

_ORIGIN_EPOCH = 8000  # steps
_UNBOUNDED_STEPS = 10**9

TRAINING_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "origin": {
        "steps": 30 * _ORIGIN_EPOCH,
        "batch_size": 32,
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "schedule": "plateau",
        "warmup": 0,
        "clip": 0.0,
        "plateau_every": _ORIGIN_EPOCH,
        "plateau_patience": 10,
        "plateau_factor": 0.1,
        "validate_every": 2 * _ORIGIN_EPOCH,
    }
}
"""Settings of published runs.

``origin`` is Paraphrase-OPT's ``config-defaults.yaml``: 30 epochs of 8000 steps each, the rate
divided by 10 after 10 epochs in which the training loss has not fallen, a validation every two
epochs, and the prompt begun as rows of the vocabulary.
"""

_PRESET_INITIALISERS = {"origin": "vocabulary"}


def preset_initialiser(kind: TrainingKind, preset: str | None) -> str | None:
    """The initialiser of a preset; None where it has none, or there is no prompt."""
    if kind.initialiser:
        return _PRESET_INITIALISERS.get(preset or "")
    return None


def make_config(kind: TrainingKind, preset: str | None = None, **given: Any) -> TrainingConfig:
    """Settings of a training: the defaults of ``kind``, then the ``preset``, then those ``given``.

    ``given`` are fields of TrainingConfig, and ``batch_size``; None is "not given". Raises
    UserError for an unknown preset, and for values with which nothing would be trained.
    """
    if preset is not None and preset not in TRAINING_PRESETS:
        raise UserError(f"use the preset {preset!r}", "no such preset", list(TRAINING_PRESETS))
    chosen = dict(TRAINING_PRESETS.get(preset or "", {}))
    for name, value in given.items():
        if value is not None:
            chosen[name] = value
    rows = chosen.pop("batch_size", None)
    # as a field 0 means that no time is given; typed, it would train for as long as ever
    minutes = chosen.get("minutes")
    if minutes is not None and not minutes > 0:
        raise UserError(f"train for {minutes:g} minutes", mend="--minutes 30")
    config = replace(kind.defaults, **chosen)
    if config.minutes and "steps" not in chosen:
        config = replace(config, steps=_UNBOUNDED_STEPS)
    if config.minutes and "warmup" not in chosen:
        # The schedule then warms up over a part of the time.
        config = replace(config, warmup=0)
    elif "warmup" not in chosen:
        # A short training should not spend itself on the default warm-up.
        config = replace(config, warmup=min(config.warmup, config.steps // 20))
    batching = replace(config.batching, seed=config.seed)
    if rows is not None:
        batching = replace(batching, rows=rows)
    config = replace(config, batching=batching)
    _check_config(config)
    return config


def _check_config(config: TrainingConfig) -> None:
    # Without one of each nothing would be trained; of the amounts below, 0 means never.
    counts = {
        "steps": config.steps,
        "batch size": config.batching.rows,
        "accumulation": config.accumulation,
        "a checkpoint every": config.save_every,
    }
    for name, value in counts.items():
        if value < 1:
            raise UserError(f"train with {name} {value}", mend="a number of 1 or more")
    amounts = {
        "warm-up": config.warmup,
        "minutes": config.minutes,
        "patience": config.patience,
        "clip": config.clip,
        "weight decay": config.weight_decay,
        "a validation every": config.validate_every,
    }
    for name, amount in amounts.items():
        if not 0 <= amount < math.inf:
            raise UserError(f"train with {name} {amount}", mend="a number of 0 or more")
    if not 0 < config.learning_rate < math.inf:
        raise UserError(
            f"train with a learning rate of {config.learning_rate}", mend="--learning-rate 0.001"
        )
