"""A soft prompt's positions computed once for all rows of a batch, and the gradient through them
once.

The prompt stands first and attention is causal, so its keys and values are the same whatever
follows. They are leaves of the graph: every group of rows adds to their gradients, and one backward
pass takes the sum to the prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import PreTrainedModel

from parabench.inference.attention import Flat
from parabench.inference.kv_cache import forward_flat
from parabench.inference.prefix_attention import PrefixAttention


class PromptPrefix:
    """Keys and values of the leading positions ``leading``, which may be none, of every layer of a
    frozen model.
    """

    def __init__(self, model: PreTrainedModel, leading: Float[Tensor, "P E"]) -> None:
        self.model, self.length = model, len(leading)
        plan = _Alone()
        if self.length:
            forward_flat(model, plan, range(self.length), None, inputs_embeds=leading[None])
        self.made = [part for layer in plan.layers for part in layer]
        self.leaves = [part.detach().requires_grad_(part.requires_grad) for part in self.made]

    def read(self, layer: int, key: Flat, value: Flat) -> tuple[Flat, Flat]:
        """The keys and values of a layer; none, in the shape of the given ones, where there is no
        prefix.
        """
        return (
            (self.leaves[2 * layer], self.leaves[2 * layer + 1])
            if self.leaves
            else (key[:0], value[:0])
        )

    def followed(
        self, embedded: Float[Tensor, "T E"], lengths: Sequence[int]
    ) -> Float[Tensor, "T H"]:
        """The hidden states of rows laid end to end, each behind the prefix, from their
        embeddings.
        """
        positions = [self.length + place for length in lengths for place in range(length)]
        return forward_flat(
            self.model, _Following(self, lengths), positions, None, inputs_embeds=embedded[None]
        )

    def backward(self) -> None:
        """Take the gradients that the leaves have gathered back to what the prefix was made of."""
        reached = [
            (made, leaf)
            for made, leaf in zip(self.made, self.leaves, strict=True)
            if leaf.grad is not None
        ]
        if reached:
            torch.autograd.backward(
                [made for made, _ in reached], [leaf.grad for _, leaf in reached]
            )


class _Alone:
    """Causal attention of the leading positions among themselves; keeps their keys and values."""

    def __init__(self) -> None:
        self.layers: list[tuple[Flat, Flat]] = []

    def __call__(
        self, module: Any, query: Flat, key: Flat, value: Flat, scaling: float | None
    ) -> Flat:
        self.layers.append((key, value))
        queries, keys, values = (part.transpose(0, 1)[None] for part in (query, key, value))
        grouped = query.shape[1] != key.shape[1]
        out = scaled_dot_product_attention(
            queries, keys, values, is_causal=True, scale=scaling, enable_gqa=grouped
        )
        return out[0].transpose(0, 1)


class _Following:
    """Attention of each row's tokens to the whole prefix, and causally to their own row."""

    def __init__(self, prefix: PromptPrefix, lengths: Sequence[int]) -> None:
        self.prefix, self.behind = prefix, PrefixAttention(lengths, prefix.model.device)

    def __call__(
        self, module: Any, query: Flat, key: Flat, value: Flat, scaling: float | None
    ) -> Flat:
        return self.behind.attend(
            query, key, value, self.prefix.read(module.layer_idx, key, value), scaling
        )
