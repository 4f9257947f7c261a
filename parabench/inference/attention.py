"""One door into every model's attention: tokens run flat, ``[1, T]``, and a plan says who attends
to whom.

A model whose layers go through transformers' attention interface computes all else (embeddings,
projections, norms, feed-forward, head) on flat tokens, so that padding costs nothing outside
attention and no model is written twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.nn.utils.rnn import pad_sequence
from transformers import AttentionInterface, PreTrainedModel

from parabench.contracts import UserError

PLANNED_ATTENTION = "parabench_planned"
OTHER_ATTENTION_SETTINGS = (
    "sliding_window",
    "attn_logit_softcapping",
    "final_logit_softcapping",
    "logit_scale",
    "logits_scaling",
)
"""Settings of a model's configuration that change its attention or its head from the plain ones."""

Flat = Float[Tensor, "T heads width"]


class AttentionPlan(Protocol):
    """Attention of one forward pass: flat queries, keys and values of a layer in, flat results
    out.
    """

    def __call__(
        self, module: Any, query: Flat, key: Flat, value: Flat, scaling: float | None
    ) -> Flat: ...


def has_plain_attention(model: PreTrainedModel) -> bool:
    """Whether the model's attention goes through transformers' interface, and it and the head are
    the plain ones.
    """
    return model._can_set_attn_implementation() and not any(
        getattr(model.config, name, None) for name in OTHER_ATTENTION_SETTINGS
    )


@contextmanager
def use_plan(model: PreTrainedModel) -> Iterator[None]:
    """While open, the model's attention asks the ``plan`` passed to its forward (``model(...,
    plan=plan)``).

    Raises UserError where that would not compute what the model does.
    """
    config: Any = model.config
    if not has_plain_attention(model):
        raise UserError(
            f"run the architecture {config.model_type}",
            choices=("opt", "gpt2", "llama", "qwen2", "bart"),
        )
    before = config._attn_implementation
    config._attn_implementation = PLANNED_ATTENTION
    try:
        yield
    finally:
        config._attn_implementation = before


def planned_attention(
    module: nn.Module,
    query: Float[Tensor, "1 heads T width"],
    key: Float[Tensor, "1 kv_heads S width"],
    value: Float[Tensor, "1 kv_heads S width"],
    attention_mask: None,
    *,
    plan: AttentionPlan,
    scaling: float | None = None,
    **settings: Any,
) -> tuple[Float[Tensor, "1 T heads width"], None]:
    """transformers' attention interface, answered by the plan."""
    queries, keys, values = (states[0].transpose(0, 1) for states in (query, key, value))
    return plan(module, queries, keys, values, scaling)[None], None


AttentionInterface.register(PLANNED_ATTENTION, planned_attention)


@dataclass(frozen=True)
class BlockDiagonal:
    """Groups of flat queries, each attending to its own flat keys; padded inside attention alone.

    ``places`` says where in the padded ``B x Q`` grid each flat query stands.
    """

    queries: Int[Tensor, "B Q"]
    keys: Int[Tensor, "B K"]
    mask: Bool[Tensor, "B 1 Q K"] | None
    places: Int[Tensor, " T"]

    def attend(self, query: Flat, key: Flat, value: Flat, scaling: float | None) -> Flat:
        """Softmax attention of every group; without a mask, causal from equally many queries and
        keys.
        """
        out = scaled_dot_product_attention(
            query[self.queries].transpose(1, 2),
            key[self.keys].transpose(1, 2),
            value[self.keys].transpose(1, 2),
            attn_mask=self.mask,
            is_causal=self.mask is None,
            scale=scaling,
            enable_gqa=query.shape[1] != key.shape[1],
        )
        return out.transpose(1, 2).flatten(0, 1)[self.places]


def block_diagonal(
    queries: Sequence[range], keys: Sequence[Sequence[range]], causal: bool, device: torch.device
) -> BlockDiagonal:
    """Let the flat positions ``queries[b]`` attend to the flat positions ``keys[b]``, joined in
    order.

    With ``causal`` the queries are the last of their keys, and each sees no key after itself.
    """
    rows = [torch.cat([torch.arange(span.start, span.stop) for span in spans]) for spans in keys]
    query_grid = pad_sequence(
        [torch.arange(span.start, span.stop) for span in queries], batch_first=True
    )
    key_grid = pad_sequence(rows, batch_first=True)
    query_lengths = torch.tensor([len(span) for span in queries])
    key_lengths = torch.tensor([len(row) for row in rows])
    width = query_grid.shape[1]
    places = torch.cat(
        [torch.arange(len(span)) + index * width for index, span in enumerate(queries)]
    )
    mask = None
    if not causal or not torch.equal(query_lengths, key_lengths):
        mask = _mask(query_lengths, key_lengths, width, key_grid.shape[1], causal).to(device)
    return BlockDiagonal(query_grid.to(device), key_grid.to(device), mask, places.to(device))


def _mask(
    queries: Int[Tensor, " B"], keys: Int[Tensor, " B"], width: int, reach: int, causal: bool
) -> Bool[Tensor, "B 1 Q K"]:
    last = keys[:, None] - 1
    if causal:
        last = torch.minimum((keys - queries)[:, None] + torch.arange(width), last)
    return (torch.arange(reach) <= last[:, :, None])[:, None].expand(-1, 1, width, -1)


def spans(lengths: Sequence[int], start: int = 0) -> list[range]:
    """Consecutive ranges of these lengths: where each sequence stands once all are laid end to
    end.
    """
    ends = list(accumulate(lengths, initial=start))
    return [range(begin, end) for begin, end in pairwise(ends)]
