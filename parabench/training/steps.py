"""Losses on token ids: the mean negative log-likelihood, in nats, of each target token, and of nothing else.

Source, virtual and pad positions never count; EOS does. The output head runs on target positions only and in chunks,
so no ``B x T x V`` array of logits ever exists. M counts the target tokens of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import Cache, PreTrainedModel

CHUNK_ELEMENTS = 1 << 24


class Row(NamedTuple):
    """One training row as token ids: what the model is given, and what it must say (EOS included)."""

    source: list[int]
    target: list[int]


def causal_loss(model: PreTrainedModel, rows: Sequence[Row]) -> Float[Tensor, ""]:
    """Loss of a decoder-only model: fine-tuning, and pre-training when the source is BOS alone."""
    ids, where, targets = _causal_layout(rows, model.device)
    hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    return _head_loss(model, hidden[where], targets)


def prompt_loss(
    model: PreTrainedModel, prompt: Float[Tensor, "P H"], rows: Sequence[Row], lead: int | None = None
) -> Float[Tensor, ""]:
    """Loss of a frozen decoder-only model with a soft prompt (Lester et al. 2021, section 2).

    The first ``lead`` rows of the prompt (all by default) stand before everything, the others where a row holds the id
    ``-1-k``. Attention is causal, so the leading positions are the same for every row: they are computed once, every
    row attends to the same keys and values, and the gradient flows back through them once.
    """
    prompt = prompt.to(model.dtype)
    ids, where, targets = _causal_layout(rows, model.device)
    prefix = _shared_prefix(model, prompt[:lead], len(rows))
    embedded = _embedded(model, prompt, ids) if len(prompt[:lead]) < len(prompt) else model.get_input_embeddings()(ids)
    hidden = model.base_model(inputs_embeds=embedded, past_key_values=prefix, use_cache=True).last_hidden_state
    return _head_loss(model, hidden[where], targets)


def _shared_prefix(model: PreTrainedModel, leading: Float[Tensor, "P H"], rows: int) -> Cache | None:
    """Keys and values of the leading positions, computed once and seen by ``rows`` rows."""
    if len(leading) == 0:
        return None
    prefix = model.base_model(inputs_embeds=leading[None], use_cache=True).past_key_values
    for layer in prefix.layers:
        layer.keys = layer.keys.expand(rows, -1, -1, -1)
        layer.values = layer.values.expand(rows, -1, -1, -1)
    return prefix


def _embedded(model: PreTrainedModel, prompt: Float[Tensor, "P H"], ids: Int[Tensor, "B T"]) -> Float[Tensor, "B T H"]:
    embedded = model.get_input_embeddings()(ids.clamp(min=0))
    virtual = ids < 0
    return torch.where(virtual[..., None], prompt[(-1 - ids).clamp(min=0)], embedded)


def seq2seq_loss(model: PreTrainedModel, rows: Sequence[Row]) -> Float[Tensor, ""]:
    """Loss of an encoder-decoder of BART's family."""
    device, start = model.device, model.config.decoder_start_token_id
    sources, mask = _padded([row.source for row in rows], device)
    shifted, mask_out = _padded([[start, *row.target[:-1]] for row in rows], device)
    outputs = model.base_model(input_ids=sources, attention_mask=mask, decoder_input_ids=shifted, use_cache=False)
    targets = torch.tensor([token for row in rows for token in row.target], device=device)
    return _head_loss(model, outputs.last_hidden_state[mask_out.bool()], targets)


def target_tokens(rows: Sequence[Row]) -> int:
    """How many tokens the loss is a mean of."""
    return sum(len(row.target) for row in rows)


class _Layout(NamedTuple):
    ids: Int[Tensor, "B T"]
    where: tuple[Int[Tensor, " M"], Int[Tensor, " M"]]
    targets: Int[Tensor, " M"]


def _causal_layout(rows: Sequence[Row], device: torch.device) -> _Layout:
    """Right-padded inputs, the positions that predict a target token, and those tokens.

    Right padding needs no mask: attention is causal, so no real position sees a pad.
    """
    if not all(row.source and row.target for row in rows):
        raise ValueError("a causal row needs at least one source token (BOS) and one target token (EOS)")
    ids, _ = _padded([[*row.source, *row.target[:-1]] for row in rows], device)
    lines = torch.tensor([line for line, row in enumerate(rows) for _ in row.target], device=device)
    places = [len(row.source) - 1 + offset for row in rows for offset in range(len(row.target))]
    targets = torch.tensor([token for row in rows for token in row.target], device=device)
    return _Layout(ids, (lines, torch.tensor(places, device=device)), targets)


def _padded(lists: list[list[int]], device: torch.device) -> tuple[Int[Tensor, "B T"], Int[Tensor, "B T"]]:
    longest = max(map(len, lists))
    ids = torch.tensor([[*ids, *[0] * (longest - len(ids))] for ids in lists], device=device)
    mask = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids in lists], device=device)
    return ids, mask


def _head_loss(model: PreTrainedModel, hidden: Float[Tensor, "M H"], targets: Int[Tensor, " M"]) -> Float[Tensor, ""]:
    head = model.get_output_embeddings()
    bias = getattr(model, "final_logits_bias", head.bias)
    return _HeadNLL.apply(hidden, head.weight, None if bias is None else bias.view(-1), targets) / len(targets)


class _HeadNLL(torch.autograd.Function):
    """Output head and cross-entropy in one, summed over tokens; gradients are made beside each chunk of logits.

    The construction of Liger-Kernel's fused linear cross-entropy (Hsu et al. 2024), in plain torch.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Float[Tensor, "M H"],
        weight: Float[Tensor, "V H"],
        bias: Float[Tensor, " V"] | None,
        targets: Int[Tensor, " M"],
    ) -> Float[Tensor, ""]:
        wanted = zip((hidden, weight, bias), ctx.needs_input_grad, strict=False)
        grads = [torch.zeros_like(x) if x is not None and needed else None for x, needed in wanted]
        total = torch.zeros((), device=hidden.device)
        size = max(1, CHUNK_ELEMENTS // len(weight))
        for start in range(0, len(targets), size):
            chunk = slice(start, start + size)
            total += _chunk_nll(hidden[chunk], weight, bias, targets[chunk], grads, chunk)
        ctx.save_for_backward(*grads)
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, outer: Float[Tensor, ""]) -> tuple[Tensor | None, ...]:
        return (*(None if grad is None else grad * outer.to(grad.dtype) for grad in ctx.saved_tensors), None)


def _chunk_nll(
    hidden: Float[Tensor, "m H"],
    weight: Float[Tensor, "V H"],
    bias: Float[Tensor, " V"] | None,
    targets: Int[Tensor, " m"],
    grads: list[Tensor | None],
    chunk: slice,
) -> Float[Tensor, ""]:
    logits = torch.nn.functional.linear(hidden, weight, bias)
    log_probs = torch.log_softmax(logits.float(), dim=-1)
    nll = -log_probs.gather(1, targets[:, None]).sum()
    if any(grad is not None for grad in grads):
        errors = log_probs.exp_()
        errors[torch.arange(len(targets), device=targets.device), targets] -= 1
        errors = errors.to(logits.dtype)
        if grads[0] is not None:
            grads[0][chunk] = errors @ weight
        if grads[1] is not None:
            grads[1] += errors.T @ hidden
        if grads[2] is not None:
            grads[2] += errors.sum(0)
    return nll
