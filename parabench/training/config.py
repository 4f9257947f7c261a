"""What decides a training besides its data and its model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from parabench.training.batches import Batching

OptimizerName = Literal["adamw", "adam", "sgd", "adafactor"]
ScheduleName = Literal["constant", "linear", "cosine", "plateau"]


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of one training; a step is one update, made of ``accumulation`` batches.

    The rate rises from 0 over ``warmup`` steps to ``learning_rate``, then follows ``schedule``;
    ``plateau`` multiplies it by ``plateau_factor`` after ``plateau_patience`` reported losses
    without an improvement. ``clip`` bounds the gradient's norm (0: no bound). ``bf16`` is autocast;
    the weights stay as loaded. Validations come every ``validate_every`` steps (0: at the end
    alone), checkpoints every ``save_every``; training ends after ``patience`` validations without
    an improvement (0: never).

    With ``minutes`` the training ends after that many minutes of work, if not after ``steps``
    before, and the schedule follows the part of the time that is spent. The plateau schedule
    watches the validation loss; with ``plateau_every`` it watches the training loss instead, the
    mean over that many steps.
    """

    steps: int = 1000
    optimizer: OptimizerName = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: ScheduleName = "linear"
    warmup: int = 0
    plateau_patience: int = 2
    plateau_factor: float = 0.5
    clip: float = 1.0
    accumulation: int = 1
    bf16: bool = False
    seed: int = 0
    validate_every: int = 0
    save_every: int = 200
    patience: int = 0
    batching: Batching = field(default_factory=Batching)
    minutes: float = 0.0
    plateau_every: int = 0
