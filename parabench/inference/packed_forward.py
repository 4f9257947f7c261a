"""Forward passes over packed rows: whole rows end to end, behind cached prefixes.

Works with every decoder whose attention goes through transformers' interface (tested: OPT, GPT-2,
Llama, Qwen2).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from parabench.contracts import UserError
from parabench.inference.attention import (
    KeysValues,
    Queries,
    block_diagonal,
    has_plain_attention,
    spans,
    use_plan,
)
from parabench.inference.kv_cache import KVCache, PrefixCache, StoreKeysValues
from parabench.inference.prefix_attention import PrefixAttention, prefix_mask
from parabench.inference.prompt_ids import PromptIds, embed
from parabench.inference.trials import has_plain_head, same_logits, trial_ids

TESTED_ARCHITECTURES = ("opt", "gpt2", "llama", "qwen2")
"""Architectures whose packed rows the tests compare with transformers' generate."""

_PACKED_ATTRIBUTE = "parabench_runs_packed"
"""Attribute of a model: whether packed rows give what it computes."""

_log = logging.getLogger(__name__)


def encode_prefixes(model: PreTrainedModel, prefixes: Sequence[PromptIds]) -> PrefixCache:
    """Compute the keys and values of shared prefixes; empty ones take no position."""
    cache = PrefixCache(prefixes)
    shared = [prefix for prefix in prefixes if prefix.ids]
    if shared:
        run_packed(
            model,
            shared,
            None,
            [0] * len(shared),
            store=cache.store,
        )
    return cache


def prefill(
    model: PreTrainedModel,
    cache: KVCache,
    rows: Sequence[PromptIds],
    prefix_index: Sequence[int],
) -> Float[Tensor, "R V"]:
    """Fill the next free slots of ``cache`` with R ``rows``: the logits behind each last id.

    Rows come without their shared prefixes; ``prefix_index`` says which each has.
    """
    lengths = [len(row.ids) for row in rows]
    flat = spans(lengths)
    first = len(cache.lengths)
    slots = [first + row for row, span in enumerate(flat) for _ in span]
    steps = [step for span in flat for step in range(len(span))]
    slot = torch.tensor(slots, device=model.device)
    step = torch.tensor(steps, device=model.device)
    last = [span.stop - 1 for span in flat]

    def store(
        layer: int,
        keys: KeysValues,
        values: KeysValues,
    ) -> None:
        cache.write(
            slot,
            step,
            layer,
            keys,
            values,
        )

    logits = run_packed(
        model,
        rows,
        cache.prefixes,
        prefix_index,
        last,
        store,
    )
    # only now: where memory ran out above, the cache is as it was
    cache.lengths += lengths
    cache.prefix_index += prefix_index
    return logits


def run_packed(
    model: PreTrainedModel,
    rows: Sequence[PromptIds],
    prefixes: PrefixCache | None,
    prefix_index: Sequence[int],
    keep: Sequence[int] | None = None,
    store: StoreKeysValues | None = None,
) -> Float[Tensor, "K X"]:
    """Run rows laid end to end, row i behind the prefix ``prefix_index[i]`` of ``prefixes``.

    ``keep``: flat positions whose logits are wanted (X is the vocabulary); None for the hidden
    states of all tokens (X is the model's width).
    ``store``: receives the keys and values of every layer.

    Raises UserError where the architecture's attention does not go through transformers'
    interface in every layer.
    """
    lengths = [len(row.ids) for row in rows]
    begins = [range(0)] * len(rows)
    if prefixes is not None:
        begins = [prefixes.spans[prefix] for prefix in prefix_index]
    plan = PackedPlan(
        lengths,
        begins,
        prefixes,
        store,
        model.device,
    )
    # a token's position counts the row's own prefix, wherever that lies in the cache
    positions: list[int] = []
    for begin, length in zip(begins, lengths, strict=True):
        positions += range(len(begin), len(begin) + length)
    result = forward_flat(
        model,
        plan,
        positions,
        keep,
        inputs_embeds=embed(model, rows)[None],
    )
    layers = model.config.num_hidden_layers
    if plan.layers != layers:
        raise UserError(
            f"run the architecture {model.config.model_type}",
            f"{plan.layers} of its {layers} layers use transformers' attention interface",
            TESTED_ARCHITECTURES,
        )
    return result


class PackedPlan:
    """Causal attention of whole rows, row i behind positions ``begins[i]`` of the prefix cache.

    ``lengths``: tokens of each row. ``prefixes``: None where no row has a prefix. ``store``:
    receives the keys and values of every layer. ``layers`` counts the layers that asked.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        begins: Sequence[range],
        prefixes: PrefixCache | None,
        store: StoreKeysValues | None,
        device: Any,
    ) -> None:
        self.prefixes = prefixes
        self.store = store
        self.layers = 0
        starts, stops = torch.tensor([[begin.start, begin.stop] for begin in begins]).T
        # what any of these rows sees of the cache; each row's own part of it is masked in
        self.shared = slice(int(starts.min()), int(stops.max()))
        own = spans(lengths)
        self.alone = block_diagonal(
            own,
            [[span] for span in own],
            True,
            device,
        )
        unseen = prefix_mask(self.shared, starts.to(device), stops.to(device))
        self.behind = PrefixAttention(lengths, device, unseen)

    def __call__(
        self,
        module: Any,
        query: Queries,
        key: KeysValues,
        value: KeysValues,
        scaling: float | None,
    ) -> Queries:
        """See ``AttentionPlan``."""
        self.layers += 1
        if self.store is not None:
            self.store(module.layer_idx, key, value)
        if self.prefixes is None or self.shared.start == self.shared.stop:
            return self.alone.attend(
                query,
                key,
                value,
                scaling,
            )
        keys, values = self.prefixes.read(module.layer_idx, key, value)
        shared = keys[self.shared], values[self.shared]
        return self.behind.attend(
            query,
            key,
            value,
            shared,
            scaling,
        )


def forward_flat(
    model: PreTrainedModel,
    plan: Any,
    positions: Sequence[int] | Int[Tensor, " T"],
    keep: Sequence[int] | Int[Tensor, " K"] | None,
    **inputs: Tensor,
) -> Float[Tensor, "K X"]:
    """Run T flat tokens through the model, under an attention plan.

    ``plan``: an ``AttentionPlan``. ``positions``: each token's position in its own text.
    ``keep``: flat positions whose logits are wanted; None for the hidden states of all tokens.
    ``inputs``: ``input_ids`` or ``inputs_embeds``, with a batch of one.
    """
    position_ids = torch.as_tensor(positions, device=model.device)[None]
    settings: dict[str, Any] = {"position_ids": position_ids, "use_cache": False, "plan": plan}
    body: Any = model.base_model
    whole: Any = model
    with use_plan(model):
        if keep is None:
            return body(**inputs, **settings).last_hidden_state[0]
        kept = torch.as_tensor(keep, device=model.device)
        return whole(**inputs, **settings, logits_to_keep=kept).logits[0]


def runs_packed(model: PreTrainedModel) -> bool:
    """Tell whether packed rows give what the model itself computes, found out once a model.

    For architectures that the tests cover, by ``has_plain_attention``. For any other by trying: a
    prefix, a row behind it and one decoding step, compared with the model's own forward pass. An
    architecture may add biases to its scores, count positions its own way, or take no plan at all;
    what cannot be seen from outside would be silently wrong. Where the trial fails, that is said
    once in the log, and the caller takes transformers' own way.
    """
    known: bool | None = getattr(model, _PACKED_ATTRIBUTE, None)
    if known is None:
        known = has_plain_attention(model)
        if known and model.config.model_type not in TESTED_ARCHITECTURES:
            known = has_plain_head(model) and _equals_own_forward(model)
        if not known:
            _log.warning(
                "the architecture %s runs by transformers' own generate: slower, with equal texts",
                model.config.model_type,
            )
        setattr(model, _PACKED_ATTRIBUTE, known)
    return known


@torch.inference_mode()
def _equals_own_forward(model: PreTrainedModel) -> bool:
    whole: Any = model
    try:
        ids = trial_ids(model)
        own = whole(input_ids=torch.tensor([ids], device=model.device)).logits[0, -1]
        prefixes = encode_prefixes(model, [PromptIds(()), PromptIds(ids[:8])])
        rows = [PromptIds(ids[8:]), PromptIds(ids)]
        last = [len(ids[8:]) - 1, len(ids[8:]) + len(ids) - 1]
        packed = run_packed(
            model,
            rows,
            prefixes,
            [1, 0],
            last,
        )
    except Exception as error:  # a foreign architecture's code, which may fail in any way
        _log.info("packed rows failed: %s: %s", type(error).__name__, error)
        return False
    return same_logits(own.expand_as(packed), packed)
