"""Token log-likelihoods of given targets, in natural logarithms: what BARTScore and every perplexity are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from parabench.contracts import Runtime
from parabench.inference.batching import by_length, in_batches
from parabench.inference.decoding import Row, check_lengths, embed, pad_right

AUTO_BATCH = 32

Pair = tuple[tuple[int, ...], tuple[int, ...]]


def seq2seq_log_likelihood(model: PreTrainedModel, pairs: Sequence[Pair], runtime: Runtime) -> Float[np.ndarray, "N 2"]:
    """Sum of ln p(target token | earlier ones, source) and the number of target tokens, one row a (source, target).

    Every target id is scored, with the decoder fed the target shifted right behind the model's start token
    (BARTScore, Yuan et al. 2021; neulab/BARTScore). Raises UserError where a side exceeds the model's positions.
    """
    config: Any = model.config
    check_lengths(model, [max(map(len, pair)) for pair in pairs], "source or target")

    def run(batch: Sequence[int]) -> tuple[Sequence[int], Float[np.ndarray, " B"]]:
        ids, mask = pad_right([pairs[position][0] for position in batch], config.pad_token_id, model.device)
        targets = [pairs[position][1] for position in batch]
        labels, real = pad_right(targets, config.pad_token_id, model.device)
        shifted = torch.cat([torch.full_like(labels[:, :1], config.decoder_start_token_id), labels[:, :-1]], dim=1)
        logits = model(input_ids=ids, attention_mask=mask, decoder_input_ids=shifted).logits
        return batch, _sums(logits, labels, real)

    return _gather(len(pairs), [len(pair[1]) for pair in pairs], run, [sum(map(len, pair)) for pair in pairs], runtime)


def causal_log_likelihood(
    model: PreTrainedModel, rows: Sequence[Row], targets: Sequence[tuple[int, ...]], runtime: Runtime
) -> Float[np.ndarray, "N 2"]:
    """Sum of ln p(target token | earlier ones, prompt row) and the number of target tokens, one row a prompt.

    Raises UserError where prompt and target together exceed the model's positions.
    """
    lengths = [len(row.ids) + len(target) for row, target in zip(rows, targets, strict=True)]
    check_lengths(model, lengths, "prompt and target")

    def run(batch: Sequence[int]) -> tuple[Sequence[int], Float[np.ndarray, " B"]]:
        sums = []
        for position in batch:
            row, target = rows[position], targets[position]
            embeds = embed(model, Row(row.ids + target, row.virtual))[None]
            logits = model(inputs_embeds=embeds).logits[:, len(row.ids) - 1 : -1]
            labels = torch.tensor([target], dtype=torch.long, device=model.device)
            sums.append(_sums(logits, labels, torch.ones_like(labels)))
        return batch, np.concatenate(sums)

    return _gather(len(rows), [len(target) for target in targets], run, lengths, runtime)


def _gather(
    count: int, targets: Sequence[int], run: Any, lengths: Sequence[int], runtime: Runtime
) -> Float[np.ndarray, "N 2"]:
    result = np.zeros((count, 2))
    result[:, 1] = targets
    with torch.inference_mode():
        for batch, sums in in_batches(by_length(lengths), run, runtime.batch_size, AUTO_BATCH):
            result[np.asarray(batch), 0] = sums
    return result


def _sums(
    logits: Float[Tensor, "B T V"], labels: Int[Tensor, "B T"], real: Int[Tensor, "B T"]
) -> Float[np.ndarray, " B"]:
    scores = logits.float().log_softmax(-1).gather(-1, labels[..., None])[..., 0]
    return (scores * real).sum(1).double().cpu().numpy()
