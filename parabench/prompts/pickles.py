"""The one place that reads PyTorch's pickle format, by ``weights_only=True``: tensors and plain containers, no code."""

from __future__ import annotations

import io
import pickle
from typing import Any

import torch
from torch import Tensor

from parabench.contracts import UserError


def read_tensors(name: str, content: bytes) -> dict[str, Tensor]:
    """All tensors in a checkpoint's bytes, by the path of keys to them joined by dots; UserError for anything else."""
    try:
        loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        mend = "save its state_dict as safetensors, on a machine that you trust it on"
        raise UserError(f"read the checkpoint {name}", f"not tensors alone ({reason})", mend=mend) from None
    return _flatten(loaded)


def _flatten(value: Any, path: str = "") -> dict[str, Tensor]:
    if isinstance(value, Tensor):
        return {path: value}
    items = value.items() if isinstance(value, dict) else []
    return {
        name: tensor for key, inner in items for name, tensor in _flatten(inner, f"{path}.{key}".strip(".")).items()
    }
