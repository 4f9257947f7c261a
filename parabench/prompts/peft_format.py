"""What huggingface/peft 0.21 keeps of a soft prompt: one JSON file and one tensor."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxtyping import Float
from torch import Tensor

from parabench.contracts import UserError
from parabench.prompts.files import (
    check_matrix,
    damaged_adapter,
    read_adapter_file,
    read_json_object,
    unpack_tensors,
)

if TYPE_CHECKING:
    from parabench.prompts.facts import AdapterFacts

PEFT_CONFIG_FILE = "adapter_config.json"
PEFT_TENSOR_FILE = "adapter_model.safetensors"
PEFT_TENSOR_KEY = "prompt_embeddings"


def peft_config(facts: AdapterFacts) -> dict[str, Any]:
    """The ``adapter_config.json`` of huggingface/peft 0.21.

    Its initialisation is RANDOM, so that loading needs no tokenizer. Prompts of the encoders that
    PEFT lacks (tpmlp, MLPs that are not of three layers) are prompt tuning to it.
    """
    base = facts.base
    encoder = facts.encoder
    common = {
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base.name,
        "revision": base.revision,
        "num_virtual_tokens": facts.template.total_virtual_tokens,
        "token_dim": base.width,
        "num_layers": base.layers,
        "num_attention_heads": base.heads,
        "num_transformer_submodules": 1,
        "inference_mode": True,
    }
    kind = encoder.get("kind")
    layers = encoder.get("layers")
    is_pefts_mlp = kind == "mlp" and layers == 3
    known_to_peft = kind == "lstm" or is_pefts_mlp
    if not known_to_peft:
        return {"peft_type": "PROMPT_TUNING", "prompt_tuning_init": "RANDOM", **common}
    return {
        "peft_type": "P_TUNING",
        "encoder_reparameterization_type": str(kind).upper(),
        "encoder_hidden_size": encoder["hidden"],
        # PEFT's MLP has three layers whatever stands here, and warns of anything but 2.
        "encoder_num_layers": layers if kind == "lstm" else 2,
        "encoder_dropout": encoder["dropout"],
        **common,
    }


def encoder_facts(config: dict[str, Any]) -> dict[str, str | int | float | bool]:
    """The settings of the encoder that wrote the prompt, in our words; empty for prompt tuning."""
    if config["peft_type"] != "P_TUNING":
        return {}
    kind = str(config.get("encoder_reparameterization_type", "MLP")).lower()
    # PEFT's MLP always has three layers.
    layers = config.get("encoder_num_layers", 2) if kind == "lstm" else 3
    return {
        "kind": kind,
        "hidden": config.get("encoder_hidden_size") or config["token_dim"],
        "layers": layers,
        "dropout": config.get("encoder_dropout", 0.0),
    }


def read_peft_config(folder: Path) -> dict[str, Any]:
    """PEFT's configuration in ``folder``.

    Raises UserError for another kind of adapter than a soft prompt for a causal model.
    """
    config = read_json_object(folder, PEFT_CONFIG_FILE)
    readable = {"peft_type": ("PROMPT_TUNING", "P_TUNING"), "task_type": ("CAUSAL_LM",)}
    for key, choices in readable.items():
        if config.get(key) not in choices:
            raise UserError(f"read the adapter {folder}", f"{key} {config.get(key)}", choices)
    return config


def read_peft_prompt(folder: Path) -> tuple[Float[Tensor, "P H"], str]:
    """The prompt in ``folder`` and its file's SHA-256.

    Raises UserError unless the file holds one finite floating-point matrix.
    """
    content = read_adapter_file(folder, PEFT_TENSOR_FILE)
    tensors = unpack_tensors(folder / PEFT_TENSOR_FILE, content)
    if list(tensors) != [PEFT_TENSOR_KEY]:
        held = ", ".join(sorted(tensors)) or "nothing"
        found = f"{PEFT_TENSOR_FILE} holds {held}, not {PEFT_TENSOR_KEY} alone"
        raise damaged_adapter(folder, found)
    prompt = check_matrix(folder, tensors[PEFT_TENSOR_KEY])
    digest = hashlib.sha256(content).hexdigest()
    return prompt, digest
