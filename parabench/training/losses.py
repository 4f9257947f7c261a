"""Losses on token ids: the mean negative log-likelihood of each target token, in nats.

Source, virtual and pad positions never count; EOS does. The output head runs on target positions
only and in chunks, so no ``B x T x V`` array of logits ever exists.

Axes: ``B`` rows, ``T`` tokens, ``P`` rows of the soft prompt, ``E`` width of an embedding, ``H``
width of a hidden state, ``V`` vocabulary, ``M`` target tokens of the batch, ``m`` of one chunk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from parabench.inference.attention import spans
from parabench.inference.packed_forward import TESTED_ARCHITECTURES, runs_packed
from parabench.inference.trials import has_plain_head, require_embeddings
from parabench.training.head_loss import head_nll
from parabench.training.prefix import PromptPrefix

GROUP_TOKENS = {"cpu": 192, "cuda": 16384}
"""How many text tokens behind a soft prompt have their activations in memory at once."""


class TrainingRow(NamedTuple):
    """One training row as token ids: what the model is given, and what it must say (EOS included).

    An id of ``-1 - k`` stands for row ``k`` of the soft prompt. In a target, where a template has
    virtual tokens inside the text that is learned, such an id is read and never predicted.
    """

    source: list[int]
    target: list[int]


def row_length(row: TrainingRow) -> int:
    """How many tokens a row has, source and target together."""
    return len(row.source) + len(row.target)


def target_tokens(rows: Sequence[TrainingRow]) -> int:
    """How many tokens the loss is a mean of."""
    return sum(len(predicted_places(row)) for row in rows)


def predicted_places(row: TrainingRow) -> list[int]:
    """The places within the target of its words; the others are rows of the prompt."""
    return [place for place, token in enumerate(row.target) if token >= 0]


def causal_loss(model: PreTrainedModel, rows: Sequence[TrainingRow]) -> Float[Tensor, ""]:
    """Loss of a decoder-only model: fine-tuning, or pre-training where every source is BOS alone.

    Raises ValueError where a row of ``rows`` has no source or no target.
    """
    ids, predicting, targets = _causal_layout(rows, model.device)
    nll = _nll(model, predicting, targets, input_ids=ids)
    return nll / len(targets)


def prompt_loss(
    model: PreTrainedModel,
    prompt: Float[Tensor, "P E"],
    rows: Sequence[TrainingRow],
    lead: int | None = None,
) -> Float[Tensor, ""]:
    """Loss of a frozen ``model`` behind a soft ``prompt`` (Lester et al. 2021, section 2).

    The first ``lead`` rows of the prompt (all of them by default) stand before everything else, and
    are computed once for all ``rows``; the other rows of the prompt stand where a row holds the id
    ``-1 - k``. Rows run in groups without padding, and where a gradient is wanted each group's is
    computed at once, so that no more than one group's activations exist. Raises ValueError where a
    row has no source or no target, UserError where the model needs ids besides embeddings.
    """
    _check_rows(rows)
    lead = len(prompt[:lead])
    if not runs_packed(model):
        require_embeddings(model)
        return _padded_prompt_loss(model, prompt, rows, lead)
    wanted = torch.is_grad_enabled() and prompt.requires_grad
    # The gradient is computed here, group by group, in a copy that is cut off from the graph.
    leaf = prompt.detach().requires_grad_(wanted)
    with torch.set_grad_enabled(wanted):
        loss, gradient = _grouped_prompt_loss(model, leaf, rows, lead)
    if gradient is None:
        return loss
    # The added term is exactly zero; its derivative with respect to the prompt is `gradient`. So
    # the caller's backward pass goes on from here to whatever wrote the prompt.
    zero = (gradient * (prompt - prompt.detach())).sum()
    return loss + zero


def _padded_prompt_loss(
    model: PreTrainedModel, prompt: Float[Tensor, "P E"], rows: Sequence[TrainingRow], lead: int
) -> Float[Tensor, ""]:
    """The same loss by the model's own attention, with the prompt repeated in each padded row."""
    leading_ids = [-1 - k for k in range(lead)]
    whole_rows = []
    for row in rows:
        whole_rows.append(TrainingRow([*leading_ids, *row.source], row.target))
    ids, predicting, targets = _causal_layout(whole_rows, model.device)
    table = prompt.to(model.dtype)
    embedded = _embed(model, table, ids)  # [B, T, E]
    nll = _nll(model, predicting, targets, inputs_embeds=embedded)
    return nll / len(targets)


def _nll(
    model: PreTrainedModel,
    predicting: tuple[Int[Tensor, " M"], Int[Tensor, " M"]],
    targets: Int[Tensor, " M"],
    **inputs: Tensor,
) -> Float[Tensor, ""]:
    """Negative log-likelihood of the targets, summed, by the model's own forward pass.

    ``predicting``: the row and the column in ``inputs`` that predict each target.
    """
    is_tested = model.config.model_type in TESTED_ARCHITECTURES
    if not is_tested and not has_plain_head(model):
        # the head has layers, caps or scales of its own: only the model itself knows its logits
        logits = model(**inputs, use_cache=False).logits  # [B, T, V]
        return cross_entropy(logits[predicting].float(), targets, reduction="sum")
    outputs = model.base_model(**inputs, use_cache=False)
    hidden = outputs.last_hidden_state  # [B, T, H]
    return head_nll(model, hidden[predicting], targets)


def _grouped_prompt_loss(
    model: PreTrainedModel, prompt: Float[Tensor, "P E"], rows: Sequence[TrainingRow], lead: int
) -> tuple[Float[Tensor, ""], Float[Tensor, "P E"] | None]:
    """The loss, and its gradient in the prompt where the prompt asks for one."""
    device = model.device
    table = prompt.to(model.dtype)
    prefix = PromptPrefix(model, table[:lead])
    loss = torch.zeros((), device=device)
    # Backward passes run in the precision of the forward pass's results, as PyTorch's manual of
    # autocast asks: the caller may have autocast on, and it would apply to them too.
    no_autocast = torch.autocast(device.type, enabled=False)
    for group in _groups(rows, GROUP_TOKENS[device.type]):
        nll = _group_nll(model, table, prefix, group, has_inner=len(table) > lead)
        part = nll / target_tokens(rows)
        loss += part.detach()
        if part.requires_grad:
            with no_autocast:
                part.backward()
    with no_autocast:
        prefix.backward()
    return loss, prompt.grad


def _group_nll(
    model: PreTrainedModel,
    table: Float[Tensor, "P E"],
    prefix: PromptPrefix,
    group: Sequence[TrainingRow],
    has_inner: bool,
) -> Float[Tensor, ""]:
    """Negative log-likelihood of a group's targets, summed; its rows are laid end to end.

    With ``has_inner`` some of the ids are rows of the prompt that stand inside the text.
    """
    device = model.device
    tokens: list[int] = []
    for row in group:
        # The last target token is predicted, but nothing is predicted from it: it is not an input.
        tokens += row.source
        tokens += row.target[:-1]
    ids = torch.tensor(tokens, device=device)
    words = model.get_input_embeddings()
    embedded = _embed(model, table, ids) if has_inner else words(ids)
    lengths = [row_length(row) - 1 for row in group]
    predicting: list[int] = []
    for row, span in zip(group, spans(lengths), strict=True):
        # The first target is predicted from the last position of the source.
        first = len(row.source) - 1
        predicting.extend(span[first + place] for place in predicted_places(row))
    hidden = prefix.hidden_states(embedded, lengths)  # [T, H]
    at_predicting = hidden[torch.tensor(predicting, device=device)]
    targets = _predicted_tokens(group, device)
    return head_nll(model, at_predicting, targets)


def _groups(rows: Sequence[TrainingRow], tokens: int) -> Iterator[list[TrainingRow]]:
    """The rows, of similar length in each group, in groups of at most ``tokens`` or of one row."""
    group: list[TrainingRow] = []
    total = 0
    for row in sorted(rows, key=row_length, reverse=True):
        length = row_length(row)
        if group and total + length > tokens:
            yield group
            group = []
            total = 0
        group.append(row)
        total += length
    yield group


def _embed(
    model: PreTrainedModel, prompt: Float[Tensor, "P E"], ids: Int[Tensor, "*T"]
) -> Float[Tensor, "*T E"]:
    """Embeddings of ids, of which the negative ones are rows of the prompt."""
    # Both lookups run over all ids, each with a valid index where the other's result is taken.
    words = model.get_input_embeddings()(ids.clamp(min=0))
    rows = -1 - ids
    virtual = prompt[rows.clamp(min=0)]
    is_virtual = ids < 0
    return torch.where(is_virtual[..., None], virtual, words)


def seq2seq_loss(model: PreTrainedModel, rows: Sequence[TrainingRow]) -> Float[Tensor, ""]:
    """Loss of an encoder-decoder of BART's family."""
    device = model.device
    start = model.config.decoder_start_token_id
    sources, source_mask = _pad_right([row.source for row in rows], device)
    # The decoder reads the target shifted by one: token t is predicted from those before it.
    inputs = [[start, *row.target[:-1]] for row in rows]
    shifted, target_mask = _pad_right(inputs, device)
    outputs = model.base_model(
        input_ids=sources,
        attention_mask=source_mask,
        decoder_input_ids=shifted,
        use_cache=False,
    )
    tokens = [token for row in rows for token in row.target]
    targets = torch.tensor(tokens, device=device)
    # From [B, T, H] to [M, H], row after row as the targets are.
    hidden = outputs.last_hidden_state[target_mask.bool()]
    nll = head_nll(model, hidden, targets)
    return nll / len(targets)


class _CausalLayout(NamedTuple):
    """A padded batch: its ids, the (row, place) that predict a target token each, those tokens."""

    ids: Int[Tensor, "B T"]
    predicting: tuple[Int[Tensor, " M"], Int[Tensor, " M"]]
    targets: Int[Tensor, " M"]


def _causal_layout(rows: Sequence[TrainingRow], device: torch.device) -> _CausalLayout:
    """Right-padded inputs, the positions that predict a target token, and those tokens.

    Right padding needs no mask: attention is causal, so no real position sees a pad.
    """
    _check_rows(rows)
    inputs = [[*row.source, *row.target[:-1]] for row in rows]
    ids, _ = _pad_right(inputs, device)
    # Of each prediction: the row of the batch, and the place in that row.
    lines: list[int] = []
    places: list[int] = []
    for line, row in enumerate(rows):
        # The first target is predicted from the last position of the source.
        first = len(row.source) - 1
        predicted = predicted_places(row)
        lines.extend([line] * len(predicted))
        places.extend(first + place for place in predicted)
    targets = _predicted_tokens(rows, device)
    predicting = (torch.tensor(lines, device=device), torch.tensor(places, device=device))
    return _CausalLayout(ids, predicting, targets)


def _predicted_tokens(rows: Sequence[TrainingRow], device: torch.device) -> Int[Tensor, " M"]:
    tokens = [row.target[place] for row in rows for place in predicted_places(row)]
    return torch.tensor(tokens, device=device)


def _check_rows(rows: Sequence[TrainingRow]) -> None:
    if not all(row.source and row.target for row in rows):
        raise ValueError(
            "a causal row needs at least one source token (BOS) and one target token (EOS)"
        )


def _pad_right(
    lists: list[list[int]], device: torch.device
) -> tuple[Int[Tensor, "B T"], Int[Tensor, "B T"]]:
    """The lists as one array, zeros behind the shorter ones, and the mask of what is no pad."""
    longest = max(map(len, lists))
    padded: list[list[int]] = []
    mask: list[list[int]] = []
    for ids in lists:
        pad = [0] * (longest - len(ids))
        padded.append(ids + pad)
        mask.append([1] * len(ids) + pad)
    return torch.tensor(padded, device=device), torch.tensor(mask, device=device)
