"""The random weights and inputs that contenders share: real shapes, fixed seeds, sentence lengths
as in news text.
"""

from __future__ import annotations

from functools import cache
from itertools import cycle, islice
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import torch
from transformers import (
    AutoConfig,
    BartConfig,
    BartForConditionalGeneration,
    OPTConfig,
    OPTForCausalLM,
)

from benchmarks.options import Options
from parabench.contracts import Runtime
from parabench.data.test_sets import read_test_set
from parabench.models.checkpoints import checkpoint_folder, locate
from parabench.models.loading import load_causal
from parabench.models.pretrained import load_tokenizer
from parabench.suites.suite import load_suite

PROMPT = 111
PROMPT_OF_MODEL = 20
LIMIT = 40
LONGEST = 52
"""Tokens of a sentence, at most."""


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


def decoder(options: Options, dtype: torch.dtype = torch.float32) -> Any:
    """The model behind a prompt: the one that was chosen, or else an OPT of random weights."""
    if not options.model:
        return opt(options, dtype)
    runtime = Runtime(device=options.device, dtype=str(dtype).removeprefix("torch."))
    return load_causal(locate(options.model), runtime)[0]


def prompt(options: Options) -> torch.Tensor:
    """A soft prompt ``[111, width]``; ``[20, width]`` for a chosen model, as in its suite."""
    length, width = PROMPT, OPT[options.size].width
    if options.model:
        length, width = PROMPT_OF_MODEL, _config(options.model).hidden_size
    drawn = torch.randn(length, width, generator=torch.Generator().manual_seed(1))
    return (drawn * 0.06).to(options.device)


def inputs(options: Options, seed: int) -> list[tuple[int, ...]]:
    """Token ids of the sentences: random ones, or for a chosen model real ones.

    ``seed``: 0 for sources, 1 for what is written of them.
    """
    if not options.model:
        return sentences(options.rows, seed)
    tokenizer = load_tokenizer(checkpoint_folder(locate(options.model)), options.model)
    examples = list(read_test_set(Path(load_suite("parabench-en").data)))
    found = []
    for example in islice(cycle(examples), options.rows):
        text = example.references[0] if seed else example.source
        found.append(tuple(tokenizer(f"{text}\n").input_ids[:LONGEST]))
    return found


def vocabulary(options: Options) -> int:
    """How many tokens the decoder knows."""
    return int(_config(options.model).vocab_size) if options.model else 50272


def _config(model: str) -> Any:
    return AutoConfig.from_pretrained(checkpoint_folder(locate(model)))


def sentences(count: int, seed: int) -> list[tuple[int, ...]]:
    """Random ids between ``<s>`` and ``</s>``: 5 to 40 words of 1.3 tokens, skewed."""
    draw = Random(seed)
    return [
        (0, *(draw.randrange(4, 50000) for _ in range(_length(draw, 6, LONGEST))), 2)
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


def stops(tokens: int = 50272) -> frozenset[int]:
    """One id of ``tokens`` in twenty ends a text, so that rows stop after 1 to 40 tokens, and on
    average after half of that.
    """
    draw = Random(2)
    return frozenset(token for token in range(tokens) if draw.random() < 0.05)
