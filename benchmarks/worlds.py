"""The random weights and inputs that contenders share: real shapes, fixed seeds, sentence lengths
as in news text.
"""

from __future__ import annotations

from functools import cache
from random import Random
from typing import Any, NamedTuple

import torch
from transformers import BartConfig, BartForConditionalGeneration, OPTConfig, OPTForCausalLM

from benchmarks.options import Options

PROMPT = 111
LIMIT = 40


class Size(NamedTuple):
    """Layers, width and heads of a model; BART has as many layers on either side."""

    layers: int
    width: int
    heads: int


BART = {"tiny": Size(2, 32, 4), "small": Size(6, 512, 8), "large": Size(12, 1024, 16)}
"""The last is BART-large's shape."""
OPT = {"tiny": Size(2, 32, 4), "small": Size(12, 768, 12), "large": Size(24, 2048, 32)}
"""The last two are the shapes of OPT-125m and OPT-1.3B."""


def bart(options: Options, dtype: torch.dtype = torch.float32) -> Any:
    """A BART with a vocabulary of 50,264."""
    size = BART[options.size]
    sizes: dict[str, Any] = {
        f"{part}_{name}": value
        for part in ("encoder", "decoder")
        for name, value in (
            ("layers", size.layers),
            ("attention_heads", size.heads),
            ("ffn_dim", 4 * size.width),
        )
    }
    torch.manual_seed(0)
    model = BartForConditionalGeneration(BartConfig(vocab_size=50264, d_model=size.width, **sizes))
    return model.eval().requires_grad_(False).to(options.device, dtype)


def opt(options: Options, dtype: torch.dtype = torch.float32) -> Any:
    """An OPT with a vocabulary of 50,272, drawn wider than usual, so that greedy text varies."""
    layers, width, heads = OPT[options.size]
    sizes: dict[str, Any] = {
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "ffn_dim": 4 * width,
    }
    config = OPTConfig(
        vocab_size=50272, hidden_size=width, word_embed_proj_dim=width, init_std=0.06, **sizes
    )
    torch.manual_seed(0)
    return OPTForCausalLM(config).eval().requires_grad_(False).to(options.device, dtype)


def prompt(options: Options) -> torch.Tensor:
    """A soft prompt ``[111, width]``."""
    drawn = torch.randn(PROMPT, OPT[options.size].width, generator=torch.Generator().manual_seed(1))
    return (drawn * 0.06).to(options.device)


def sentences(count: int, seed: int) -> list[tuple[int, ...]]:
    """Random ids between ``<s>`` and ``</s>``: 5 to 40 words of 1.3 tokens, skewed."""
    draw = Random(seed)
    return [
        (0, *(draw.randrange(4, 50000) for _ in range(_length(draw, 6, 52))), 2)
        for _ in range(count)
    ]


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
    """One id in twenty ends a text, so that rows stop after 1 to 40 tokens, and on average after
    half of that.
    """
    draw = Random(2)
    return frozenset(token for token in range(50272) if draw.random() < 0.05)
