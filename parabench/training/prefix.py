"""A soft prompt's positions computed once for all rows of a batch, and the gradient through them once.

The prompt stands first and attention is causal, so its keys and values are the same whatever follows. They are leaves
of the graph: every group of rows adds to their gradients, and one backward pass takes the sum to the prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from parabench.inference.attention import Flat, spans
from parabench.inference.slots import forward


class Prefix:
    """Keys and values of the leading positions ``leading``, which may be none, of every layer of a frozen model."""

    def __init__(self, model: PreTrainedModel, leading: Float[Tensor, "P E"]) -> None:
        self.model, self.length = model, len(leading)
        plan = _Alone()
        if self.length:
            forward(model, plan, range(self.length), None, inputs_embeds=leading[None])
        self.made = [part for layer in plan.layers for part in layer]
        self.leaves = [part.detach().requires_grad_(part.requires_grad) for part in self.made]

    def read(self, layer: int, key: Flat, value: Flat) -> tuple[Flat, Flat]:
        """The keys and values of a layer; none, in the shape of the given ones, where there is no prefix."""
        return (self.leaves[2 * layer], self.leaves[2 * layer + 1]) if self.leaves else (key[:0], value[:0])

    def followed(self, embedded: Float[Tensor, "T E"], lengths: Sequence[int]) -> Float[Tensor, "T H"]:
        """The hidden states of rows laid end to end, each behind the prefix, from their embeddings."""
        positions = [self.length + place for length in lengths for place in range(length)]
        return forward(self.model, _Behind(self, lengths), positions, None, inputs_embeds=embedded[None])

    def backward(self) -> None:
        """Take the gradients that the leaves have gathered back to what the prefix was made of."""
        reached = [(made, leaf) for made, leaf in zip(self.made, self.leaves, strict=True) if leaf.grad is not None]
        if reached:
            torch.autograd.backward([made for made, _ in reached], [leaf.grad for _, leaf in reached])


class _Alone:
    """Causal attention of the leading positions among themselves; keeps their keys and values."""

    def __init__(self) -> None:
        self.layers: list[tuple[Flat, Flat]] = []

    def __call__(self, module: Any, query: Flat, key: Flat, value: Flat, scaling: float | None) -> Flat:
        self.layers.append((key, value))
        queries, keys, values = (part.transpose(0, 1)[None] for part in (query, key, value))
        grouped = query.shape[1] != key.shape[1]
        out = scaled_dot_product_attention(queries, keys, values, is_causal=True, scale=scaling, enable_gqa=grouped)
        return out[0].transpose(0, 1)


class _Behind:
    """Attention of each row's tokens to the whole prefix, and causally to their own row; one softmax over both."""

    def __init__(self, prefix: Prefix, lengths: Sequence[int]) -> None:
        device, longest = prefix.model.device, max(lengths)
        self.prefix = prefix
        own = [torch.arange(span.start, span.stop) for span in spans(lengths)]
        self.grid = pad_sequence(own, batch_first=True).to(device)
        places = [torch.arange(length) + row * longest for row, length in enumerate(lengths)]
        self.places = torch.cat(places).to(device)
        # a padded key stands behind all real ones of its row, so that causality alone hides it
        self.later = torch.ones(longest, longest, dtype=torch.bool, device=device).triu(1)

    def __call__(self, module: Any, query: Flat, key: Flat, value: Flat, scaling: float | None) -> Flat:
        kv, width = key.shape[1:]
        rows, longest = self.grid.shape
        shared_keys, shared_values = (part.transpose(0, 1) for part in self.prefix.read(module.layer_idx, key, value))
        scaled = query * (width**-0.5 if scaling is None else scaling)
        # b row, k head of keys, g head of queries that shares it, q query, w width
        asked = scaled[self.grid].view(rows, longest, kv, -1, width).permute(2, 0, 3, 1, 4).flatten(1, 3)
        keys, values = (part[self.grid].permute(2, 0, 1, 3) for part in (key, value))
        to_shared = (asked @ shared_keys.transpose(1, 2)).unflatten(1, (rows, -1, longest))
        to_own = asked.unflatten(1, (rows, -1)) @ keys.transpose(2, 3)
        to_own = to_own.unflatten(2, (-1, longest)).masked_fill(self.later, float("-inf"))
        weights = torch.cat([to_shared, to_own], dim=-1).softmax(dim=-1, dtype=torch.float32).to(value.dtype)
        to_shared, to_own = weights.split([shared_keys.shape[1], longest], dim=-1)
        result = (to_own.flatten(2, 3) @ values).flatten(1, 2) + to_shared.flatten(1, 3) @ shared_values
        by_row = result.unflatten(1, (rows, -1, longest)).permute(1, 3, 0, 2, 4).flatten(0, 1)
        return by_row[self.places].flatten(1, 2)
