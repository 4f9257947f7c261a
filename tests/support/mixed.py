"""Prompts of every kind, and their embeddings made the plain way."""

from typing import Any

import torch
from torch import Tensor

from parabench.inference.prompt_ids import PromptIds
from tests.support import tiny


def mixed_rows(model: Any, tokenizer: Any) -> list[PromptIds]:
    """Written prompts, a soft prompt in front, one behind ``</s>`` and one in the middle, of
    several lengths.
    """
    texts = [tuple(tokenizer(sentence).input_ids) for sentence in tiny.SENTENCES]
    long, short = soft(model, 12), soft(model, 5)
    front = [
        PromptIds((*range(-1, -13, -1), *ids[: 3 + index]), long) for index, ids in enumerate(texts)
    ]
    behind = [PromptIds((2, *range(-4, -13, -1), *ids), long) for ids in texts[:3]]
    middle = [PromptIds((*ids[:4], -1, -2, -3, *ids[4:6], -5, -4), short) for ids in texts[:4]]
    return [*map(PromptIds, texts), *front, *behind, *middle, *front[:2]]


def soft(model: Any, length: int) -> Tensor:
    width = model.get_input_embeddings().weight.shape[1]
    return torch.randn(length, width, generator=torch.Generator().manual_seed(length))


def embeddings(model: Any, row: PromptIds) -> Tensor:
    """The row's input embeddings ``[1, T, H]``, looked up one by one."""
    table = model.get_input_embeddings().weight
    return torch.stack(
        [row.virtual[-1 - token] if token < 0 else table[token] for token in row.ids]
    )[None]
