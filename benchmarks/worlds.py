"""The random weights and inputs that contenders share: real shapes, fixed seeds, sentence lengths as in news text."""

from __future__ import annotations

from random import Random
from typing import Any

import torch
from transformers import BartConfig, BartForConditionalGeneration, OPTConfig, OPTForCausalLM

PROMPT = 111
LIMIT = 40


def bart(dtype: torch.dtype = torch.float32) -> Any:
    """BART of 6 + 6 layers x 512, vocabulary 50,264."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "encoder_layers": 6,
        "decoder_layers": 6,
        "encoder_attention_heads": 8,
        "decoder_attention_heads": 8,
    }
    config = BartConfig(vocab_size=50264, d_model=512, encoder_ffn_dim=2048, decoder_ffn_dim=2048, **sizes)
    return BartForConditionalGeneration(config).eval().requires_grad_(False).to(dtype)


def opt(dtype: torch.dtype = torch.float32) -> Any:
    """OPT-125m's shape, 12 layers x 768, vocabulary 50,272; drawn wider than usual, so that greedy text varies."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "ffn_dim": 3072}
    model = OPTForCausalLM(OPTConfig(vocab_size=50272, word_embed_proj_dim=768, init_std=0.06, **sizes))
    return model.eval().requires_grad_(False).to(dtype)


def prompt() -> torch.Tensor:
    """A soft prompt ``[111, 768]``."""
    return torch.randn(PROMPT, 768, generator=torch.Generator().manual_seed(1)) * 0.06


def sentences(count: int, seed: int) -> list[tuple[int, ...]]:
    """Random ids between ``<s>`` and ``</s>``: 5 to 40 words of 1.3 tokens, skewed."""
    draw = Random(seed)
    lengths = [min(52, max(6, int(draw.lognormvariate(2.9, 0.5)))) for _ in range(count)]
    return [(0, *(draw.randrange(4, 50000) for _ in range(length)), 2) for length in lengths]


def stops() -> frozenset[int]:
    """One id in twenty ends a text, so that rows stop after 1 to 40 tokens, and on average after half of that."""
    draw = Random(2)
    return frozenset(token for token in range(50272) if draw.random() < 0.05)
