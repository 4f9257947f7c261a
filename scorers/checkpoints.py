"""What scorers with models share: how a checkpoint is named in a signature, and how long its texts may be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from parabench.contracts import Runtime
from parabench.models.checkpoints import locate


def identity(model: str, runtime: Runtime) -> tuple[tuple[str, str], ...]:
    """The signature's items for a model: its short name, digest and arithmetic; finds and checks every file."""
    checkpoint = locate(model)
    name = checkpoint.path if checkpoint.revision else Path(checkpoint.path).name
    return (("model", name), ("digest", checkpoint.digest[:12]), ("dtype", runtime.dtype))


def longest(model: Any, tokenizer: Any) -> int:
    """How many tokens the model takes, special ones included."""
    limit = getattr(model.config, "max_position_embeddings", None) or tokenizer.model_max_length
    positions = getattr(getattr(model.base_model, "embeddings", None), "position_embeddings", None)
    offset = getattr(positions, "padding_idx", None)  # RoBERTa numbers its positions from there
    return int(min(limit - (0 if offset is None else offset + 1), tokenizer.model_max_length))
