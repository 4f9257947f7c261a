"""Learning rates as pure functions of the step, so that a resumed run needs no scheduler state."""

from __future__ import annotations

import math
from typing import NamedTuple

from parabench.contracts import UserError
from parabench.training.config import TrainingConfig

_TIMED_WARMUP = 0.05
"""The part of the minutes given over which the rate rises, where no warm-up is given."""


def rate_factor(config: TrainingConfig, step: int, seconds: float = 0.0) -> float:
    """What the learning rate is multiplied by in the update after ``step`` updates: 0 to 1.

    ``seconds`` is the time spent, which counts where the training is given minutes. Raises
    UserError where ``config`` names no schedule.
    """
    if step < config.warmup:
        # The first update is not lost to a rate of 0, and the first after the warm-up has it whole.
        return (step + 1) / (config.warmup + 1)
    if config.minutes:
        # The last update may end after the time is up.
        spent = min(1.0, seconds / (60 * config.minutes))
        if not config.warmup and spent < _TIMED_WARMUP:
            # Never 0: the first update would be lost.
            return max(spent / _TIMED_WARMUP, 0.01)
        done = spent
    else:
        done = (step - config.warmup) / max(1, config.steps - config.warmup)
    match config.schedule:
        case "constant" | "plateau":
            return 1.0
        case "linear":
            return 1.0 - done
        case "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * done))
    choices = ("constant", "linear", "cosine", "plateau")
    raise UserError(f"use the schedule {config.schedule!r}", choices=choices)


class PlateauState(NamedTuple):
    """State of the plateau schedule, that of PyTorch's ReduceLROnPlateau with a threshold of 0.

    ``best`` is the lowest loss reported, ``waited`` how many reports since have not beaten it, and
    ``scale`` what the rate is multiplied by.
    """

    best: float = math.inf
    waited: int = 0
    scale: float = 1.0

    def after(self, loss: float, config: TrainingConfig) -> PlateauState:
        """The state after one more reported ``loss``; the scale falls only under ``plateau``."""
        if loss < self.best:
            return PlateauState(loss, 0, self.scale)
        if config.schedule != "plateau" or self.waited < config.plateau_patience:
            return PlateauState(self.best, self.waited + 1, self.scale)
        return PlateauState(self.best, 0, self.scale * config.plateau_factor)
