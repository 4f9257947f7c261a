"""What others do with the same weights: the plain loops that papers and libraries ship."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import DynamicCache, GenerationConfig

Ids = tuple[int, ...]


def padded(
    rows: Sequence[Ids], pad: int, left: bool = False, device: Any = "cpu"
) -> tuple[Tensor, Tensor]:
    """The rows as one tensor, and the mask of what is not padding."""
    side = "left" if left else "right"
    tensors = [torch.tensor(row, device=device) for row in rows]
    ids = pad_sequence(tensors, batch_first=True, padding_value=pad, padding_side=side)
    return ids, pad_sequence(
        [torch.ones_like(row) for row in tensors], batch_first=True, padding_side=side
    )


@torch.no_grad()
def bartscore_loop(model: Any, pairs: Sequence[tuple[Ids, Ids]], batch_size: int) -> list[float]:
    """The loop of neulab/BARTScore, ``bart_score.py``, ``BARTScorer.score``, on ids; batch 4 is its
    default.
    """
    log_softmax, loss = (
        torch.nn.LogSoftmax(dim=1),
        torch.nn.NLLLoss(reduction="none", ignore_index=1),
    )
    scores: list[float] = []
    for start in range(0, len(pairs), batch_size):
        sources, targets = zip(*pairs[start : start + batch_size], strict=True)
        source, source_mask = padded(sources, 1, device=model.device)
        target, target_mask = padded(targets, 1, device=model.device)
        output = model(input_ids=source, attention_mask=source_mask, labels=target)
        logits = output.logits.view(-1, model.config.vocab_size)
        nll = loss(log_softmax(logits), target.view(-1)).view(target.shape[0], -1)
        scores += (-nll.sum(dim=1) / target_mask.sum(dim=1)).tolist()
    return scores


def peft_model(model: Any, prompt: Tensor) -> Any:
    """The model with the soft prompt in PEFT's wrapper."""
    from peft import PromptTuningConfig, get_peft_model

    config = PromptTuningConfig(
        task_type="CAUSAL_LM", num_virtual_tokens=len(prompt), token_dim=prompt.shape[1]
    )
    wrapped: Any = get_peft_model(model, config)
    wrapped.prompt_encoder.default.embedding.weight.data = prompt.to(model.dtype)
    return wrapped.eval()


@torch.no_grad()
def peft_generate(
    wrapped: Any, rows: Sequence[Ids], stops: Sequence[int], limit: int, batch_size: int
) -> list[Ids]:
    """PEFT's ``generate``, batches in the given order."""
    settings = GenerationConfig(
        max_new_tokens=limit,
        min_new_tokens=1,
        do_sample=False,
        num_beams=1,
        eos_token_id=list(stops),
        pad_token_id=1,
    )
    results: list[Ids] = []
    for start in range(0, len(rows), batch_size):
        ids, mask = padded(rows[start : start + batch_size], 1, left=True, device=wrapped.device)
        out = wrapped.generate(input_ids=ids, attention_mask=mask, generation_config=settings)
        results += [tuple(row[ids.shape[1] :]) for row in out.tolist()]
    return [_cut(row, set(stops)) for row in results]


def peft_training(
    wrapped: Any, prompt: Tensor, batches: Sequence[Sequence[tuple[Ids, Ids]]], rate: float
) -> list[float]:
    """One AdamW update a batch of (source, target) by the model's own ``labels=`` loss; each
    batch's loss.
    """
    weight = wrapped.prompt_encoder.default.embedding.weight
    weight.data = prompt.to(weight.dtype)
    optimizer = torch.optim.AdamW([weight.requires_grad_()], lr=rate, weight_decay=0.0)
    losses = []
    for batch in batches:
        ids, mask = padded([source + target for source, target in batch], 1, device=wrapped.device)
        labels, _ = padded(
            [(-100,) * len(source) + target for source, target in batch],
            -100,
            device=wrapped.device,
        )
        loss = wrapped(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


@torch.no_grad()
def cached_loop(
    model: Any, prompt: Tensor, rows: Sequence[Ids], stops: set[int], limit: int, batch_size: int
) -> list[Ids]:
    """A transformers loop: sorted, the prompt's keys and values computed once, finished rows
    dropped.
    """
    shared = model(inputs_embeds=prompt.to(model.dtype)[None], use_cache=True).past_key_values
    results: dict[int, list[int]] = {position: [] for position in range(len(rows))}
    order = sorted(results, key=lambda position: -len(rows[position]))
    ending = torch.tensor(sorted(stops), device=model.device)
    for start in range(0, len(rows), batch_size):
        alive = order[start : start + batch_size]
        cache = DynamicCache()
        for index, layer in enumerate(shared.layers):
            cache.update(
                *(part.expand(len(alive), -1, -1, -1) for part in (layer.keys, layer.values)), index
            )
        ids, mask = padded(
            [rows[position] for position in alive], 1, left=True, device=model.device
        )
        mask = torch.cat([mask.new_ones(len(alive), len(prompt)), mask], dim=1)
        for count in range(limit):
            # padding on the left takes no position
            positions = (mask.cumsum(dim=1) * mask - 1)[:, -ids.shape[1] :]
            logits = model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions if model.config.model_type == "opt" else positions.clamp(0),
                past_key_values=cache,
                logits_to_keep=1,
            ).logits[:, -1]
            if count == 0:
                logits[:, ending] = float("-inf")
            tokens = logits.argmax(dim=1)
            for position, token in zip(alive, tokens.tolist(), strict=True):
                results[position].append(token)
            keep = ~torch.isin(tokens, ending)
            alive = [position for position, kept in zip(alive, keep.tolist(), strict=True) if kept]
            if not alive:
                break
            if not keep.all():
                cache.batch_select_indices(keep.nonzero()[:, 0])
            ids, mask = (
                tokens[keep][:, None],
                torch.cat([mask[keep], mask.new_ones(len(alive), 1)], dim=1),
            )
    return [_cut(tuple(results[position]), stops) for position in range(len(rows))]


def _cut(ids: Ids, stops: set[int]) -> Ids:
    return ids[: next((index for index, token in enumerate(ids) if token in stops), len(ids))]
