"""Trackers: TensorBoard, Trackio or Weights & Biases get what is written to the loss log."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from parabench.contracts import UserError
from parabench.training.loop import StepLog

TRACKERS = ("tensorboard", "trackio", "wandb")
_PACKAGES = {"tensorboard": "torch.utils.tensorboard"}


@dataclass(frozen=True)
class Tracker:
    """Where a training reports to; ``send`` takes values by name, and the step they belong to."""

    send: Callable[[Mapping[str, float], int], object]

    def update(self, log: StepLog) -> None:
        """Report one update."""
        self.send(step_metrics(log), log.step)

    def validation(self, step: int, measured: Mapping[str, Any]) -> None:
        """Report what a validation measured: the held-out loss, and the scores of texts."""
        numbers = {}
        for name, value in measured.items():
            # The sample texts are in the log; a tracker draws numbers.
            if isinstance(value, (int, float)):
                numbers[f"validation/{name}"] = float(value)
        self.send(numbers, step)


def check_tracker(name: str | None) -> None:
    """Raise UserError where the tracker is unknown or its package absent."""
    if name is None:
        return
    if name not in TRACKERS:
        raise UserError(f"track with {name!r}", "no such tracker", TRACKERS, "--track tensorboard")
    _module(_PACKAGES.get(name, name), name)


@contextmanager
def open_tracker(name: str | None, folder: Path) -> Iterator[Tracker]:
    """The tracker of that ``name``; None is one that reports to nobody.

    What it stores on this computer is under ``folder``. Raises UserError where the tracker is
    unknown or its package absent.
    """
    check_tracker(name)
    if name is None:
        yield Tracker(lambda numbers, step: None)
    elif name == "tensorboard":
        writer = _module(_PACKAGES[name], name).SummaryWriter(str(folder / "tracking"))

        def write(numbers: Mapping[str, float], step: int) -> None:
            for key, value in numbers.items():
                writer.add_scalar(key, value, step)

        try:
            yield Tracker(write)
        finally:
            writer.close()
    else:
        with _session(name, folder) as send:
            yield Tracker(lambda numbers, step: send(dict(numbers), step=step))


def step_metrics(log: StepLog) -> dict[str, float]:
    """What is reported of an update, by name."""
    return {key: float(value) for key, value in log._asdict().items() if key != "step"}


@contextmanager
def _session(name: str, folder: Path) -> Iterator[Callable[..., Any]]:
    """A run of Weights & Biases or Trackio, which share one interface."""
    module = _module(name, name)
    # Trackio keeps its files in a place of its own.
    local = {"dir": str(folder)} if name == "wandb" else {}
    run = module.init(project="parabench", name=folder.name, **local)
    try:
        yield run.log
    finally:
        module.finish()


def _module(name: str, extra: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise UserError(f"track with {extra}", str(error), mend=f"pip install {extra}") from None
