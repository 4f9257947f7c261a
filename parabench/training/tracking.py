"""Trackers: what the loss log is told goes to TensorBoard, Trackio or Weights & Biases as well."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from parabench.contracts import UserError
from parabench.training.loop import StepLog

TRACKERS = ("tensorboard", "trackio", "wandb")
Tracker = Callable[[StepLog], object]


@contextmanager
def open_tracker(name: str | None, folder: Path) -> Iterator[Tracker]:
    """Report every update to the tracker of that ``name``, or to none.

    What it stores on this computer is under ``folder``. Raises UserError where the tracker is
    unknown or its package absent.
    """
    if name is None:
        yield id
    elif name == "tensorboard":
        writer = _module("torch.utils.tensorboard", name).SummaryWriter(str(folder / "tracking"))

        def write(log: StepLog) -> None:
            for key, value in step_metrics(log).items():
                writer.add_scalar(key, value, log.step)

        try:
            yield write
        finally:
            writer.close()
    elif name in TRACKERS:
        with _session(name, folder) as send:
            yield lambda log: send(step_metrics(log), step=log.step)
    else:
        raise UserError(f"track with {name!r}", "no such tracker", TRACKERS, "--track tensorboard")


def step_metrics(log: StepLog) -> dict[str, float]:
    """What is reported of an update, by name."""
    return {key: float(value) for key, value in log._asdict().items() if key != "step"}


@contextmanager
def _session(name: str, folder: Path) -> Iterator[Callable[..., Any]]:
    """A run of Weights & Biases or Trackio, which share one interface."""
    module = _module(name, name)
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
