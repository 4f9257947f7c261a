"""Training of low-rank adapters (Hu et al. 2021): PEFT adds them, and their factors learn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from parabench.contracts import UserError
from parabench.training.state import trainable_parameters

_ADAPTER = "default"
"""PEFT's name of the adapter, which stands in the names of its parameters but not in its file."""


def add_lora(model: PreTrainedModel, rank: int, seed: int) -> None:
    """Add updates of ``rank`` to every linear layer of ``model`` but its head, and freeze the rest.

    ``seed`` decides the random factor, A; the other is 0, so that training starts from the base.
    Raises UserError where PEFT is not installed, which only training needs.
    """
    try:
        from peft import inject_adapter_in_model
    except ImportError:
        asked = f"train 'lora-{rank}'"
        mend = "pip install 'parabench[peft]'"
        raise UserError(asked, "huggingface/peft is not installed", mend=mend) from None

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        inject_adapter_in_model(_lora_config(rank), model, adapter_name=_ADAPTER)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".lora_" in name)


def lora_settings(rank: int, base: str) -> dict[str, Any]:
    """What ``adapter_config.json`` says of such an adapter; ``base`` is the name of its model."""
    settings: dict[str, Any] = _lora_config(rank).to_dict()
    settings |= {"base_model_name_or_path": base, "inference_mode": True}
    # a field of PEFT's that it has in memory alone
    settings.pop("runtime_config", None)
    return settings


def lora_tensors(model: PreTrainedModel) -> Mapping[str, Tensor]:
    """The trained factors by the names that they have in PEFT's file."""
    return {
        f"base_model.model.{name.replace(f'.{_ADAPTER}.', '.')}": value
        for name, value in trainable_parameters(model).items()
    }


def _lora_config(rank: int) -> Any:
    from peft import LoraConfig

    # every linear layer: Dettmers et al. 2023, section 4, found that to matter most
    return LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM"
    )
