"""Losses on token ids: the mean negative log-likelihood, in nats, of each target token, and of
nothing else.

Source, virtual and pad positions never count; EOS does. The output head runs on target positions
only and in chunks, so no ``B x T x V`` array of logits ever exists. M counts the target tokens of a
batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from parabench.inference.attention import has_plain_attention, spans
from parabench.training.prefix import PromptPrefix

_CHUNK_ELEMENTS = {"cpu": 1 << 23, "cuda": 1 << 28}
"""Logits that exist at once."""
GROUP_TOKENS = {"cpu": 192, "cuda": 16384}
"""Text tokens whose activations exist at once behind a soft prompt."""


class TrainingRow(NamedTuple):
    """One training row as token ids: what the model is given, and what it must say (EOS
    included).
    """

    source: list[int]
    target: list[int]


def causal_loss(model: PreTrainedModel, rows: Sequence[TrainingRow]) -> Float[Tensor, ""]:
    """Loss of a decoder-only model: fine-tuning, and pre-training when the source is BOS alone."""
    ids, where, targets = _causal_layout(rows, model.device)
    hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    return _head_nll(model, hidden[where], targets) / len(targets)


def prompt_loss(
    model: PreTrainedModel,
    prompt: Float[Tensor, "P E"],
    rows: Sequence[TrainingRow],
    lead: int | None = None,
) -> Float[Tensor, ""]:
    """Loss of a frozen decoder-only model with a soft prompt (Lester et al. 2021, section 2).

    The first ``lead`` rows of the prompt (all by default) stand before everything, and are computed
    once for all rows; the others stand where a row holds the id ``-1-k``. Rows run in groups
    without padding, and where a gradient is wanted each group's is made at once, so that no more
    than one group's activations exist.
    """
    _check(rows)
    lead = len(prompt[:lead])
    if not has_plain_attention(model):
        rows = [TrainingRow([*range(-1, -1 - lead, -1), *row.source], row.target) for row in rows]
        ids, where, targets = _causal_layout(rows, model.device)
        embedded = _embedded(model, prompt.to(model.dtype), ids)
        hidden = model.base_model(inputs_embeds=embedded, use_cache=False).last_hidden_state
        return _head_nll(model, hidden[where], targets) / len(targets)
    wanted = torch.is_grad_enabled() and prompt.requires_grad
    with torch.set_grad_enabled(wanted):
        loss, gradient = _prompt_gradient(model, prompt.detach().requires_grad_(wanted), rows, lead)
    return loss if gradient is None else loss + (gradient * (prompt - prompt.detach())).sum()


def _prompt_gradient(
    model: PreTrainedModel, prompt: Float[Tensor, "P E"], rows: Sequence[TrainingRow], lead: int
) -> tuple[Float[Tensor, ""], Float[Tensor, "P E"] | None]:
    """The loss, and its gradient in the prompt where the prompt asks for one."""
    table, device = prompt.to(model.dtype), model.device
    prefix = PromptPrefix(model, table[:lead])
    loss, exact = torch.zeros((), device=device), torch.autocast(device.type, enabled=False)
    for group in _groups(rows, GROUP_TOKENS[device.type]):
        ids = torch.tensor(
            [token for row in group for token in (*row.source, *row.target[:-1])], device=device
        )
        embedded = (
            _embedded(model, table, ids) if len(table) > lead else model.get_input_embeddings()(ids)
        )
        lengths = [len(row.source) + len(row.target) - 1 for row in group]
        places = [
            at
            for row, span in zip(group, spans(lengths), strict=True)
            for at in span[len(row.source) - 1 :]
        ]
        hidden = prefix.followed(embedded, lengths)[torch.tensor(places, device=device)]
        targets = torch.tensor([token for row in group for token in row.target], device=device)
        part = _head_nll(model, hidden, targets) / target_tokens(rows)
        loss += part.detach()
        if part.requires_grad:
            with exact:
                part.backward()
    with exact:
        prefix.backward()
    return loss, prompt.grad


def _groups(rows: Sequence[TrainingRow], tokens: int) -> Iterator[list[TrainingRow]]:
    """The rows, alike in length, in groups of at most so many tokens or of one row."""
    group: list[TrainingRow] = []
    for row in sorted(rows, key=lambda row: -len(row.source) - len(row.target)):
        if group and sum(len(part) for row in (*group, row) for part in row) > tokens:
            yield group
            group = []
        group.append(row)
    yield group


def _embedded(
    model: PreTrainedModel, prompt: Float[Tensor, "P E"], ids: Int[Tensor, "*T"]
) -> Float[Tensor, "*T E"]:
    embedded = model.get_input_embeddings()(ids.clamp(min=0))
    virtual = ids < 0
    return torch.where(virtual[..., None], prompt[(-1 - ids).clamp(min=0)], embedded)


def seq2seq_loss(model: PreTrainedModel, rows: Sequence[TrainingRow]) -> Float[Tensor, ""]:
    """Loss of an encoder-decoder of BART's family."""
    device, start = model.device, model.config.decoder_start_token_id
    sources, mask = _padded([row.source for row in rows], device)
    shifted, mask_out = _padded([[start, *row.target[:-1]] for row in rows], device)
    outputs = model.base_model(
        input_ids=sources, attention_mask=mask, decoder_input_ids=shifted, use_cache=False
    )
    targets = torch.tensor([token for row in rows for token in row.target], device=device)
    return _head_nll(model, outputs.last_hidden_state[mask_out.bool()], targets) / len(targets)


def target_tokens(rows: Sequence[TrainingRow]) -> int:
    """How many tokens the loss is a mean of."""
    return sum(len(row.target) for row in rows)


class _Layout(NamedTuple):
    ids: Int[Tensor, "B T"]
    where: tuple[Int[Tensor, " M"], Int[Tensor, " M"]]
    targets: Int[Tensor, " M"]


def _causal_layout(rows: Sequence[TrainingRow], device: torch.device) -> _Layout:
    """Right-padded inputs, the positions that predict a target token, and those tokens.

    Right padding needs no mask: attention is causal, so no real position sees a pad.
    """
    _check(rows)
    ids, _ = _padded([[*row.source, *row.target[:-1]] for row in rows], device)
    lines = torch.tensor([line for line, row in enumerate(rows) for _ in row.target], device=device)
    places = [len(row.source) - 1 + offset for row in rows for offset in range(len(row.target))]
    targets = torch.tensor([token for row in rows for token in row.target], device=device)
    return _Layout(ids, (lines, torch.tensor(places, device=device)), targets)


def _check(rows: Sequence[TrainingRow]) -> None:
    if not all(row.source and row.target for row in rows):
        raise ValueError(
            "a causal row needs at least one source token (BOS) and one target token (EOS)"
        )


def _padded(
    lists: list[list[int]], device: torch.device
) -> tuple[Int[Tensor, "B T"], Int[Tensor, "B T"]]:
    longest = max(map(len, lists))
    ids = torch.tensor([[*ids, *[0] * (longest - len(ids))] for ids in lists], device=device)
    mask = torch.tensor(
        [[1] * len(ids) + [0] * (longest - len(ids)) for ids in lists], device=device
    )
    return ids, mask


def _head_nll(
    model: PreTrainedModel, hidden: Float[Tensor, "M H"], targets: Int[Tensor, " M"]
) -> Float[Tensor, ""]:
    """The negative log-likelihood of the targets, summed."""
    head = model.get_output_embeddings()
    bias = getattr(model, "final_logits_bias", head.bias)
    return _HeadNLL.apply(hidden, head.weight, None if bias is None else bias.view(-1), targets)


class _HeadNLL(torch.autograd.Function):
    """Output head and cross-entropy in one, summed over tokens; gradients are made beside each
    chunk of logits.

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
        size = max(1, _CHUNK_ELEMENTS[hidden.device.type] // len(weight))
        for start in range(0, len(targets), size):
            chunk = slice(start, start + size)
            total += _chunk_nll(hidden[chunk], weight, bias, targets[chunk], grads, chunk)
        ctx.save_for_backward(*grads)
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, outer: Float[Tensor, ""]) -> tuple[Tensor | None, ...]:
        return (
            *(None if grad is None else grad * outer.to(grad.dtype) for grad in ctx.saved_tensors),
            None,
        )


def _chunk_nll(
    hidden: Float[Tensor, "m H"],
    weight: Float[Tensor, "V H"],
    bias: Float[Tensor, " V"] | None,
    targets: Int[Tensor, " m"],
    grads: list[Tensor | None],
    chunk: slice,
) -> Float[Tensor, ""]:
    logits = torch.nn.functional.linear(hidden, weight, bias)
    dtype, at = logits.dtype, targets[:, None]
    chances = (
        logits.float()
    )  # from here on in place: there is one array of this size, and a second for bf16
    chances -= chances.amax(dim=1, keepdim=True)
    nll = -chances.gather(1, at).sum()
    total = chances.exp_().sum(dim=1, keepdim=True)
    nll += total.log().sum()
    if any(grad is not None for grad in grads):
        chances /= total
        chances.scatter_add_(1, at, chances.new_full(at.shape, -1.0))
        errors = chances.to(dtype)
        if grads[0] is not None:
            grads[0][chunk] = errors @ weight
        if grads[1] is not None:
            grads[1] += errors.T @ hidden
        if grads[2] is not None:
            grads[2] += errors.sum(0)
    return nll
