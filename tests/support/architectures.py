"""Small models of every architecture that the installed transformers can build from numbers."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
)

WORDS = 96
SIZES: dict[str, Any] = {
    **dict.fromkeys(("vocab_size", "n_vocab", "tgt_vocab_size", "src_vocab_size"), WORDS),
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "dim", "embedding_size"), 32),
    **dict.fromkeys(("word_embed_proj_dim", "attention_hidden_size", "dim_model"), 32),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), 2),
    **dict.fromkeys(("encoder_layers", "decoder_layers", "num_decoder_layers"), 2),
    **dict.fromkeys(("num_encoder_layers",), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), 4),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("num_encoder_attention_heads", "num_decoder_attention_heads"), 4),
    **dict.fromkeys(("num_key_value_heads", "n_head_kv"), 2),
    **dict.fromkeys(("head_dim", "d_kv", "kv_channels"), 8),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "d_ff", "n_inner", "dff"), 64),
    **dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim", "ffn_hidden_size"), 64),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size"), 32),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"), 128),
    **dict.fromkeys(("dropout", "attention_dropout", "activation_dropout", "resid_pdrop"), 0.0),
    **dict.fromkeys(("embd_pdrop", "attn_pdrop", "hidden_dropout", "dropout_rate"), 0.0),
    "rotary_dim": 8,
    "num_experts_per_tok": 2,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
    "is_decoder": True,
}


def configuration(model_type: str, **own: Any) -> Any:
    """A small configuration: the architecture's own settings, with our numbers where it has them.

    ``own`` are further settings, of this architecture alone. Raises whatever the
    architecture says of numbers that do not suit it.
    """
    standard = CONFIG_MAPPING[model_type]()
    wanted = {name: value for name, value in SIZES.items() if hasattr(standard, name)}
    if model_type in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES:
        wanted.pop("is_decoder", None)
    return AutoConfig.for_model(model_type, **{**wanted, **own})


def build(model_type: str, seq2seq: bool = False, **own: Any) -> Any:
    """The model with random weights, drawn wide so that its texts vary, in evaluation mode.

    ``own`` are settings of this architecture alone.
    """
    config = configuration(model_type, **own)
    if seq2seq and getattr(config, "decoder_start_token_id", None) is None:
        config.decoder_start_token_id = 2
    loader: Any = AutoModelForSeq2SeqLM if seq2seq else AutoModelForCausalLM
    # on the meta device first, where weights have shapes and no bytes: some need gigabytes
    with torch.device("meta"):
        shapes = _from_config(loader, config)
    if sum(weight.numel() for weight in shapes.parameters()) > 5_000_000:
        raise ValueError("has sizes of another name, and is not small")
    torch.manual_seed(1)
    model = _from_config(loader, config)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.mul_(6.0)
    return model.eval().requires_grad_(False)


def _from_config(loader: Any, config: Any) -> Any:
    """The model by PyTorch's attention, else by the eager one."""
    try:
        return loader.from_config(config, attn_implementation="sdpa")
    except ValueError as error:
        if "scaled_dot_product_attention" not in str(error):
            raise
        return loader.from_config(config, attn_implementation="eager")


CAUSAL = sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
SEQ2SEQ = sorted(MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES)
