"""Keys and values of a soft prompt, computed once for all rows of a batch.

The prompt comes first and attention is causal, so its keys and values are the same whatever
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

from parabench.inference.packed_forward import forward_flat
from parabench.inference.prefix_attention import PrefixAttention

# Flat rows of one layer, head by head. Grouped-query attention has fewer heads of keys and values
# than of queries.
Query = Float[Tensor, "T heads width"]
KeyValue = Float[Tensor, "T kv_heads width"]
SharedKeyValue = Float[Tensor, "P kv_heads width"]


class PromptPrefix:
    """Keys and values, in every layer of a frozen model, of the positions that lead each row."""

    def __init__(self, model: PreTrainedModel, leading: Float[Tensor, "P E"]) -> None:
        """Compute them from the embeddings ``leading``, which may have no rows."""
        self.model = model
        self.length = len(leading)
        attention = _RecordingAttention()
        if self.length:
            positions = range(self.length)
            forward_flat(model, attention, positions, None, inputs_embeds=leading[None])
        # Keys and values of layer i stand at 2i and 2i + 1.
        self.computed = [part for layer in attention.layers for part in layer]
        self.leaves: list[Tensor] = []
        for part in self.computed:
            # Cut off from the graph, so that each group's backward pass ends here.
            leaf = part.detach()
            self.leaves.append(leaf.requires_grad_(part.requires_grad))

    def layer(self, index: int, key: KeyValue) -> tuple[SharedKeyValue, SharedKeyValue]:
        """Keys and values of the layer of this ``index``.

        Where there is no prefix they have no rows, and else the shape of ``key``.
        """
        if not self.leaves:
            return key[:0], key[:0]
        return self.leaves[2 * index], self.leaves[2 * index + 1]

    def hidden_states(
        self, embedded: Float[Tensor, "T E"], lengths: Sequence[int]
    ) -> Float[Tensor, "T H"]:
        """Last hidden states of rows that are laid end to end, each behind the prefix.

        ``embedded`` are the rows' embeddings, ``lengths`` their lengths in tokens.
        """
        positions = [self.length + place for length in lengths for place in range(length)]
        attention = _PrefixedAttention(self, lengths)
        return forward_flat(self.model, attention, positions, None, inputs_embeds=embedded[None])

    def backward(self) -> None:
        """Take the gradients that the leaves have gathered back to the prefix's embeddings."""
        tensors: list[Tensor] = []
        gradients: list[Tensor] = []
        for computed, leaf in zip(self.computed, self.leaves, strict=True):
            if leaf.grad is not None:
                tensors.append(computed)
                gradients.append(leaf.grad)
        if tensors:
            torch.autograd.backward(tensors, gradients)


class _RecordingAttention:
    """Causal attention of the leading positions; it records each layer's keys and values."""

    def __init__(self) -> None:
        self.layers: list[tuple[KeyValue, KeyValue]] = []

    def __call__(
        self, module: Any, query: Query, key: KeyValue, value: KeyValue, scaling: float | None
    ) -> Query:
        self.layers.append((key, value))
        # From [T, heads, width] to [1, heads, T, width], as PyTorch's attention takes it.
        queries, keys, values = (part.transpose(0, 1)[None] for part in (query, key, value))
        query_heads = query.shape[1]
        key_heads = key.shape[1]
        grouped = query_heads != key_heads
        out = scaled_dot_product_attention(
            queries, keys, values, is_causal=True, scale=scaling, enable_gqa=grouped
        )
        return out[0].transpose(0, 1)


class _PrefixedAttention:
    """Attention of each row's tokens to the whole prefix, and causally to their own row."""

    def __init__(self, prefix: PromptPrefix, lengths: Sequence[int]) -> None:
        self.prefix = prefix
        self.rows = PrefixAttention(lengths, prefix.model.device)

    def __call__(
        self, module: Any, query: Query, key: KeyValue, value: KeyValue, scaling: float | None
    ) -> Query:
        shared = self.prefix.layer(module.layer_idx, key)
        return self.rows.attend(query, key, value, shared, scaling)
