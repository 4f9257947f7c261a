"""Small trainings of every kind, through the door that the command uses, and processes that die in
the middle.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from parabench.contracts import Runtime
from parabench.models.checkpoints import locate
from parabench.training import presets, setup
from parabench.training.requests import TrainingData, TrainingRequest
from tests.support import tiny

PAIRS = [(a, b) for a in tiny.SENTENCES for b in tiny.SENTENCES if a != b]
KINDS = ("softprompt-4", "ptuning-3", "finetuned", "bart")
QUICK: dict[str, Any] = {
    "steps": 7,
    "batch_size": 4,
    "save_every": 3,
    "validate_every": 2,
    "learning_rate": 1e-2,
}


def base(name: str, folder: Path) -> Path:
    """A tiny model with dropout, so that a wrong seed shows."""
    build = tiny.bart if name == "bart" else tiny.opt
    return folder / "base" if (folder / "base").exists() else build(folder / "base", dropout=0.1)


def request(name: str, folder: Path, output: str, **changes: Any) -> TrainingRequest:
    kind = setup.parse_kind(name)
    config = presets.make_config(kind, **{**QUICK, **changes})
    data = TrainingData(PAIRS[:20], PAIRS[20:24], {"data": "tiny"})
    return TrainingRequest(
        kind, locate(str(base(name, folder))), data, config, Runtime(), folder / output
    )


def contents(folder: Path) -> dict[str, Any]:
    """Everything a training leaves behind: tensors, the log, facts."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".safetensors":
            found |= {f"{name}:{key}": value for key, value in load_file(path).items()}
        elif path.is_file() and path.name != "lock":
            found[name] = path.read_bytes()
    return found


def assert_identical(one: Path, two: Path) -> None:
    first, second = contents(one), contents(two)
    assert first.keys() == second.keys()
    for name, value in first.items():
        same = (
            torch.equal(value, second[name])
            if isinstance(value, torch.Tensor)
            else value == second[name]
        )
        assert same, f"{name} differs"


def dies(work: Callable[..., object], *arguments: object, events: int) -> bool:
    """Run ``work`` in a process that kills itself (SIGKILL) at the event of this number; whether it
    came to that.

    Events are calls of the function that ``work`` gets as its last argument, and every write, sync
    and rename. The process is forked from one that has run no kernel: the threads of one that has
    do not survive a fork, and its kernels may end in a segmentation fault. So ``work`` is a
    function of a module.
    """
    server = get_context("forkserver")
    server.set_forkserver_preload(
        ["parabench.training.recipes", "transformers.models.opt.modeling_opt"]
    )
    process = server.Process(target=_mortal, args=(events, work, *arguments))
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL), f"ended with {process.exitcode}"
    return process.exitcode != 0


def _mortal(events: int, work: Callable[..., object], *arguments: object) -> None:
    left = [events]

    def event(*_: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    for name in ("write", "fsync", "replace"):
        _before(name, event)
    work(*arguments, event)


def _before(name: str, event: Callable[..., None]) -> None:
    real = getattr(os, name)

    def counted(*arguments: Any, **options: Any) -> Any:
        event()
        return real(*arguments, **options)

    setattr(os, name, counted)
