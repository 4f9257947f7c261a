"""Where a training stands, as the bytes of one safetensors file: tensors, and beside them one JSON
record.

Weights or prompt, the optimiser's tensors, and in the record everything that is not a tensor: step,
place in the data, schedule, the optimiser's settings. Generators need no state: every random choice
follows from a place in the data.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from parabench.contracts import UserError
from parabench.prompts.files import pack_tensors
from parabench.training.batches import StreamPosition
from parabench.training.loop import BestValidation, LossTrend, TrainingProgress
from parabench.training.schedules import PlateauState

_RECORD = "parabench"


def to_bytes(module: nn.Module, progress: TrainingProgress, notes: Mapping[str, Any]) -> bytes:
    """The state as a file's content; ``notes`` are further values to be given back by ``thaw``."""
    state = progress.optimizer.state_dict()
    tensors = {f"module.{name}": value for name, value in trainable_parameters(module).items()}
    scalars: dict[str, dict[str, Any]] = {}
    for index, values in state["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{index}.{name}"] = value
            else:
                scalars.setdefault(str(index), {})[name] = value
    record = {
        "step": progress.step,
        "position": progress.position,
        "plateau": progress.plateau,
        "trend": progress.trend,
        "best": progress.best,
        "rows": progress.rows,
        "validated": progress.validated,
        "skipped": progress.skipped,
        "optimizer": {"state": scalars, "groups": state["param_groups"]},
        "notes": notes,
    }
    return pack_tensors(tensors, {_RECORD: json.dumps(record)})


def load_into(path: Path, module: nn.Module, progress: TrainingProgress) -> dict[str, Any]:
    """Put a stored state into ``module`` and ``progress``; gives back the notes. UserError where it
    is damaged.
    """
    tensors, record = _read(path)
    weights = {
        name.removeprefix("module."): value
        for name, value in tensors.items()
        if name.startswith("module.")
    }
    load_parameters(module, weights)
    state: dict[int, dict[str, Any]] = {
        int(index): dict(values) for index, values in record["optimizer"]["state"].items()
    }
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".", 2)
            state.setdefault(int(index), {})[key] = value
    progress.optimizer.load_state_dict(
        {"state": state, "param_groups": record["optimizer"]["groups"]}
    )
    progress.step, progress.rows, progress.validated = (
        record["step"],
        record["rows"],
        record["validated"],
    )
    progress.position, progress.plateau = (
        StreamPosition(*record["position"]),
        PlateauState(*record["plateau"]),
    )
    progress.trend, progress.best = LossTrend(*record["trend"]), BestValidation(*record["best"])
    progress.skipped.clear()
    progress.skipped.update(record["skipped"])
    return record["notes"]


def trainable_parameters(module: nn.Module) -> dict[str, Tensor]:
    """The parameters that learn, each once where two share their weights."""
    return {
        name: value.detach() for name, value in module.named_parameters() if value.requires_grad
    }


def load_parameters(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put stored parameters back; UserError unless they are those of the module, in name and
    shape.
    """
    parameters = trainable_parameters(module)
    if {name: value.shape for name, value in weights.items()} != {
        n: value.shape for n, value in parameters.items()
    }:
        raise UserError(
            "go on training", "the checkpoint is of another model", mend="give another --output"
        )
    with torch.no_grad():
        for name, value in weights.items():
            parameters[name].copy_(value)


def read_parameters(path: Path) -> dict[str, Tensor]:
    """The trained parameters of a stored state."""
    tensors, _ = _read(path)
    return {
        name.removeprefix("module."): value
        for name, value in tensors.items()
        if name.startswith("module.")
    }


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safe_open(path, "pt") as file:
            names = list(file.keys())  # the open file itself cannot be iterated over
            tensors = {name: file.get_tensor(name) for name in names}
            return tensors, json.loads(file.metadata()[_RECORD])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        found = f"{type(error).__name__}: {error}"
        raise UserError(
            f"read the checkpoint {path}", found, mend="give another --output, or remove the folder"
        ) from None
