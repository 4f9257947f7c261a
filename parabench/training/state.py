"""Checkpoints of a training, as the bytes of one safetensors file: tensors, and one JSON record.

The tensors are the trained parameters and the optimiser's state; the record has everything that is
not a tensor: step, place in the data, schedule, the optimiser's settings. Generators need no state:
every random choice follows from a place in the data.
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
_MODULE = "module."
_OPTIMIZER = "optimizer."


def to_bytes(
    module: nn.Module,
    progress: TrainingProgress,
    notes: Mapping[str, Any],
    with_optimizer: bool = True,
) -> bytes:
    """A checkpoint file's content: ``module``'s trained parameters and ``progress``.

    ``notes`` are further JSON values, which ``load_into`` returns. Without the optimiser, which is
    two thirds of the file for Adam, no further update can be made from it.
    """
    tensors = {}
    for name, value in trainable_parameters(module).items():
        tensors[_MODULE + name] = value
    state: Mapping[str, Any] = {"state": {}, "param_groups": None}
    if with_optimizer:
        state = progress.optimizer.state_dict()
    # What of the optimiser's state is no tensor, by the number of its parameter.
    scalars: dict[str, dict[str, Any]] = {}
    for index, values in state["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"{_OPTIMIZER}{index}.{name}"] = value
            else:
                of_parameter = scalars.setdefault(str(index), {})
                of_parameter[name] = value
    record = {
        "step": progress.step,
        "position": progress.position,
        "plateau": progress.plateau,
        "trend": progress.trend,
        "best": progress.best,
        "rows": progress.rows,
        "validated": progress.validated,
        "skipped": progress.skipped,
        "seconds": progress.seconds,
        "train_loss": progress.train_loss,
        "optimizer": {"state": scalars, "groups": state["param_groups"]},
        "notes": notes,
    }
    return pack_tensors(tensors, {_RECORD: json.dumps(record)})


def load_into(path: Path, module: nn.Module, progress: TrainingProgress) -> dict[str, Any]:
    """Load a checkpoint into ``module`` and ``progress``; returns its notes.

    Raises UserError where the file is damaged, or of another model.
    """
    tensors, record = _read_checkpoint(path)
    load_parameters(module, _module_tensors(tensors))
    optimizer = record["optimizer"]
    # A finished training stores none.
    if optimizer["groups"] is not None:
        _load_optimizer(progress.optimizer, tensors, optimizer)
    progress.step = record["step"]
    progress.rows = record["rows"]
    progress.validated = record["validated"]
    progress.position = StreamPosition(*record["position"])
    progress.plateau = PlateauState(*record["plateau"])
    progress.trend = LossTrend(*record["trend"])
    progress.best = BestValidation(*record["best"])
    # Checkpoints of earlier versions have neither of the two.
    progress.seconds = record.get("seconds", 0.0)
    progress.train_loss = record.get("train_loss", 0.0)
    progress.skipped.clear()
    progress.skipped.update(record["skipped"])
    return record["notes"]


def _load_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], record: Mapping[str, Any]
) -> None:
    state: dict[int, dict[str, Any]] = {}
    # JSON has made texts of the parameters' numbers.
    for index, values in record["state"].items():
        state[int(index)] = dict(values)
    for name, value in tensors.items():
        if not name.startswith(_OPTIMIZER):
            continue
        _, index, key = name.split(".", 2)
        of_parameter = state.setdefault(int(index), {})
        of_parameter[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": record["groups"]})


def trainable_parameters(module: nn.Module) -> dict[str, Tensor]:
    """The parameters of a module that learn, each once where two share their weights."""
    learning = {}
    for name, value in module.named_parameters():
        if value.requires_grad:
            learning[name] = value.detach()
    return learning


def load_parameters(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copy stored ``weights`` into a module's trained parameters.

    Raises UserError unless they are those of ``module``, in name and shape.
    """
    parameters = trainable_parameters(module)
    stored = {name: value.shape for name, value in weights.items()}
    expected = {name: value.shape for name, value in parameters.items()}
    if stored != expected:
        found = "the checkpoint is of another model"
        raise UserError("go on training", found, mend="give another --output")
    with torch.no_grad():
        for name, value in weights.items():
            parameters[name].copy_(value)


def read_parameters(path: Path) -> dict[str, Tensor]:
    """The trained parameters of a checkpoint; raises UserError where the file is damaged."""
    tensors, _ = _read_checkpoint(path)
    return _module_tensors(tensors)


def read_step(path: Path) -> int:
    """After how many updates a checkpoint was stored; raises UserError where it is damaged."""
    _, record = _read_checkpoint(path)
    return int(record["step"])


def _module_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    parameters = {}
    for name, value in tensors.items():
        if name.startswith(_MODULE):
            parameters[name.removeprefix(_MODULE)] = value
    return parameters


def _read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safe_open(path, "pt") as file:
            names = list(file.keys())  # the open file itself cannot be iterated over
            tensors = {name: file.get_tensor(name) for name in names}
            record = json.loads(file.metadata()[_RECORD])
            return tensors, record
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        found = f"{type(error).__name__}: {error}"
        mend = "give another --output, or remove the folder"
        raise UserError(f"read the checkpoint {path}", found, mend=mend) from None
