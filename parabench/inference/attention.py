"""Attention over packed tokens: a batch runs flat, as ``[1, T]``, and a plan says who attends to
whom.

A model whose layers go through transformers' attention interface computes everything else
(embeddings, projections, norms, feed-forward, head) on flat tokens. Padding then costs nothing
outside attention, and no model has to be written a second time.
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
"""Name under which ``planned_attention`` is registered with transformers."""

OTHER_ATTENTION_SETTINGS = (
    "sliding_window",
    "attention_chunk_size",
    "index_topk",
    "attn_logit_softcapping",
    "final_logit_softcapping",
    "logit_scale",
    "logits_scaling",
)
"""Settings of a model's configuration that change its attention or its head from the plain ones."""

PLAIN_LAYER_TYPES = ("full_attention", "attention")
"""Values of ``layer_types`` in a configuration: layers in which a token sees all before it."""

LAYER_TYPES_FROM_THE_END = (*PLAIN_LAYER_TYPES, "sliding_attention", "linear_attention", "conv")
"""Those that count back from a token; others attend by blocks of positions, which padding moves."""

ROPES_BY_LENGTH = ("dynamic", "longrope")
"""Kinds of rotary positions whose frequencies depend on the longest row of a forward pass."""

Queries = Float[Tensor, "T heads width"]
"""Flat query states of one layer: T tokens of all rows, end to end."""

KeysValues = Float[Tensor, "S kv_heads width"]
"""Flat key or value states of one layer. S differs from T in cross-attention and behind a cached
prefix; kv_heads divides heads (grouped-query attention).
"""


class AttentionPlan(Protocol):
    """Attention of one forward pass, called by every layer with its flat states."""

    def __call__(
        self,
        module: Any,
        query: Queries,
        key: KeysValues,
        value: KeysValues,
        scaling: float | None,
    ) -> Queries:
        """The attention output of each query, in the shape of the queries.

        ``module`` is the attention layer; ``scaling`` multiplies the scores (None: width ** -0.5).
        """
        ...


def has_plain_attention(model: PreTrainedModel) -> bool:
    """Tell whether packed tokens give what the model itself computes.

    True where the attention goes through transformers' interface, and neither it nor the head has
    a setting (windows, soft caps, logit scales) that the packed computation leaves out. Windows
    are read from the configuration, for no trial on a few tokens reaches their ends.
    """
    if not model._can_set_attn_implementation():
        return False
    # a model of several modalities keeps the settings of its decoder in a part of its own
    config = model.config.get_text_config()
    if any(getattr(config, name, None) for name in OTHER_ATTENTION_SETTINGS):
        return False
    if not _has_layers_of(config, PLAIN_LAYER_TYPES) or any(_other_windows(config)):
        return False
    return not _rope_depends_on_length(config)


def may_be_padded(model: PreTrainedModel) -> bool:
    """Tell whether the configuration lets rows of other lengths be padded to a batch.

    Not where it attends by blocks of positions or chooses some of them (Doge), nor where the
    longest row changes the rotary positions of all: no trial on a few tokens shows that.
    """
    config = model.config.get_text_config()
    if not _has_layers_of(config, LAYER_TYPES_FROM_THE_END) or any(_other_windows(config)):
        return False
    return not _rope_depends_on_length(config)


def _has_layers_of(config: Any, kinds: Sequence[str]) -> bool:
    """Tell whether every layer is of one of ``kinds``; plain ones are not declared."""
    return all(layer in kinds for layer in getattr(config, "layer_types", None) or ())


def _rope_depends_on_length(config: Any) -> bool:
    """Tell whether the rows of a forward pass change each other's rotary positions."""
    rope = getattr(config, "rope_parameters", None) or {}
    # one for all layers, or one for each kind of layer
    kinds = [rope, *(part for part in rope.values() if isinstance(part, dict))]
    return any(kind.get("rope_type") in ROPES_BY_LENGTH for kind in kinds)


def _other_windows(config: Any) -> Iterator[str]:
    """Settings that limit attention to a window, under any name but ``sliding_window``.

    ``use_sliding_window`` and ``max_window_layers`` (Qwen) only say which layers have that one,
    which is None where none has it.
    """
    about_sliding = ("sliding_window", "use_sliding_window", "max_window_layers")
    for name, value in config.to_dict().items():
        if "window" in name and name not in about_sliding and value:
            yield name


@contextmanager
def use_plan(model: PreTrainedModel) -> Iterator[None]:
    """Let the model's attention ask the plan that its forward is given: ``model(..., plan=plan)``.

    Raises UserError where packed tokens would not give what the model computes.
    """
    config: Any = model.config
    if not has_plain_attention(model):
        raise UserError(
            f"run the architecture {config.model_type}",
            "its attention is not the plain one",
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
    """transformers' attention interface, answered by the plan.

    ``attention_mask`` is None, for the plan knows what each query sees; ``settings`` (dropout and
    the like) have no effect in evaluation.
    """
    flat_query = query[0].transpose(0, 1)
    flat_key = key[0].transpose(0, 1)
    flat_value = value[0].transpose(0, 1)
    return plan(
        module,
        flat_query,
        flat_key,
        flat_value,
        scaling,
    )[None], None


AttentionInterface.register(PLANNED_ATTENTION, planned_attention)


@dataclass(frozen=True)
class BlockDiagonal:
    """Attention within B groups of flat tokens, each of its own queries to its own keys.

    Groups are padded to one grid inside attention alone. ``queries`` and ``keys`` hold the flat
    position behind each cell of the grid (padding repeats position 0), ``mask`` is True where a
    query sees a key (None: plain causal), and ``cells`` is the cell of each flat query in the
    flattened ``B x Q`` grid; where several groups hold a query, any of its cells.
    """

    queries: Int[Tensor, "B Q"]
    keys: Int[Tensor, "B K"]
    mask: Bool[Tensor, "B 1 Q K"] | None
    cells: Int[Tensor, " T"]

    def attend(
        self,
        query: Queries,
        key: KeysValues,
        value: KeysValues,
        scaling: float | None,
    ) -> Queries:
        """Softmax attention of every group.

        ``scaling`` multiplies the scores (None: width ** -0.5). Without a mask, attention is
        causal from equally many queries and keys.
        """
        # [B, Q, heads, width] -> [B, heads, Q, width], as PyTorch's kernel wants it
        padded_query = query[self.queries].transpose(1, 2)
        padded_key = key[self.keys].transpose(1, 2)
        padded_value = value[self.keys].transpose(1, 2)
        out = scaled_dot_product_attention(
            padded_query,
            padded_key,
            padded_value,
            attn_mask=self.mask,
            is_causal=self.mask is None,
            scale=scaling,
            enable_gqa=query.shape[1] != key.shape[1],
        )
        grid = out.transpose(1, 2).flatten(0, 1)
        return grid[self.cells]


def block_diagonal(
    queries: Sequence[Sequence[int]],
    keys: Sequence[Sequence[Sequence[int]]],
    causal: bool,
    device: torch.device,
) -> BlockDiagonal:
    """Let the flat positions ``queries[b]`` attend to the flat positions ``keys[b]``.

    Several groups may hold a query, where each gives it the same keys. The parts of ``keys[b]`` are
    joined in order. With ``causal`` the queries are the last of their keys, and each sees no key
    after itself. ``device`` is where the index tensors live.
    """
    query_rows = [_positions(group) for group in queries]
    query_grid = pad_sequence(query_rows, batch_first=True)
    key_rows = []
    for group in keys:
        parts = [_positions(span) for span in group]
        key_rows.append(torch.cat(parts))
    key_grid = pad_sequence(key_rows, batch_first=True)
    query_lengths = torch.tensor([len(span) for span in queries])
    key_lengths = torch.tensor([len(row) for row in key_rows])
    width = query_grid.shape[1]
    flat = torch.cat(query_rows)
    cells = torch.empty(int(flat.max()) + 1, dtype=torch.long)
    cells[flat] = torch.cat([torch.arange(len(row)) + b * width for b, row in enumerate(queries)])
    mask = None
    # equally many queries and keys need no mask: a padded key stands behind all real ones of its
    # row, so that causality hides it from every real query
    if not causal or not torch.equal(query_lengths, key_lengths):
        mask = _mask(query_lengths, key_lengths, width, key_grid.shape[1], causal).to(device)
    return BlockDiagonal(query_grid.to(device), key_grid.to(device), mask, cells.to(device))


def _positions(places: Sequence[int]) -> Int[Tensor, " T"]:
    if isinstance(places, range):
        return torch.arange(places.start, places.stop)
    return torch.tensor(places)


def _mask(
    queries: Int[Tensor, " B"],
    keys: Int[Tensor, " B"],
    width: int,
    reach: int,
    causal: bool,
) -> Bool[Tensor, "B 1 {width} {reach}"]:
    """True where a query sees a key, from the number of each in every group.

    ``width`` and ``reach`` are the padded numbers of queries and of keys.
    """
    last_seen = keys[:, None] - 1  # [B, 1]: all real keys, no padding
    if causal:
        # query q of a group is its key number (keys - queries) + q: it sees itself and before;
        # padded queries would see beyond the real keys, hence the minimum
        itself = (keys - queries)[:, None] + torch.arange(width)
        last_seen = torch.minimum(itself, last_seen)
    seen = torch.arange(reach) <= last_seen[:, :, None]  # [B, 1 or width, reach]
    return seen[:, None].expand(-1, 1, width, -1)


def spans(lengths: Sequence[int], start: int = 0) -> list[range]:
    """Flat positions of sequences of these lengths, laid end to end from ``start`` on."""
    ends = list(accumulate(lengths, initial=start))
    return [range(begin, end) for begin, end in pairwise(ends)]
