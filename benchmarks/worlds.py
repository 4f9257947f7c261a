"""The random weights and inputs that contenders share: real shapes, fixed seeds, sentence lengths as in news text."""

from __future__ import annotations

from functools import cache
from random import Random
from typing import Any

import torch
from transformers import BartConfig, BartForConditionalGeneration, OPTConfig, OPTForCausalLM

PROMPT = 111
LIMIT = 40
WIDTHS = {"cpu": 768, "cuda": 2048}
"""Of the OPT-125m's and the OPT-1.3B's embeddings."""


def bart(device: str = "cpu", dtype: torch.dtype = torch.float32) -> Any:
    """BART of 6 + 6 layers x 512 on a CPU, BART-large's shape on a GPU; vocabulary 50,264."""
    layers, width, heads = (12, 1024, 16) if "cuda" in device else (6, 512, 8)
    sizes: dict[str, Any] = {
        f"{part}_{name}": value
        for part in ("encoder", "decoder")
        for name, value in (("layers", layers), ("attention_heads", heads), ("ffn_dim", 4 * width))
    }
    torch.manual_seed(0)
    model = BartForConditionalGeneration(BartConfig(vocab_size=50264, d_model=width, **sizes))
    return model.eval().requires_grad_(False).to(device, dtype)


def opt(device: str = "cpu", dtype: torch.dtype = torch.float32) -> Any:
    """OPT-125m's shape on a CPU, OPT-1.3B's on a GPU; drawn wider than usual, so that greedy text varies."""
    width = WIDTHS[device.split(":")[0]]
    layers, heads = (24, 32) if "cuda" in device else (12, 12)
    sizes: dict[str, Any] = {"num_hidden_layers": layers, "num_attention_heads": heads, "ffn_dim": 4 * width}
    config = OPTConfig(vocab_size=50272, hidden_size=width, word_embed_proj_dim=width, init_std=0.06, **sizes)
    torch.manual_seed(0)
    return OPTForCausalLM(config).eval().requires_grad_(False).to(device, dtype)


def prompt(device: str = "cpu") -> torch.Tensor:
    """A soft prompt ``[111, width]``."""
    width = WIDTHS[device.split(":")[0]]
    return (torch.randn(PROMPT, width, generator=torch.Generator().manual_seed(1)) * 0.06).to(device)


def sentences(count: int, seed: int) -> list[tuple[int, ...]]:
    """Random ids between ``<s>`` and ``</s>``: 5 to 40 words of 1.3 tokens, skewed."""
    draw = Random(seed)
    return [(0, *(draw.randrange(4, 50000) for _ in range(_length(draw, 6, 52))), 2) for _ in range(count)]


def texts(count: int, seed: int) -> list[str]:
    """Sentences of made-up words, frequent and rare ones, 5 to 40 of them."""
    draw = Random(seed)
    chosen = (" ".join(draw.choices(*_words(), k=_length(draw, 5, 40))) for _ in range(count))
    return [f"{text.capitalize()}." for text in chosen]


def _length(draw: Random, least: int, most: int) -> int:
    return min(most, max(least, int(draw.lognormvariate(2.9, 0.5))))


@cache
def _words() -> tuple[list[str], list[float]]:
    draw = Random(3)
    words = ["".join(draw.choices("etaoinshrdlu", k=draw.randint(2, 9))) for _ in range(5000)]
    return words, [1 / (rank + 10) for rank in range(len(words))]


def stops() -> frozenset[int]:
    """One id in twenty ends a text, so that rows stop after 1 to 40 tokens, and on average after half of that."""
    draw = Random(2)
    return frozenset(token for token in range(50272) if draw.random() < 0.05)
