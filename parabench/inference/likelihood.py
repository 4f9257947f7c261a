"""Token log-likelihoods of given targets, in natural logarithms: what BARTScore and every
perplexity are made of.

Sequences run packed, with no padding outside attention; a source or prompt shared by several
targets is encoded once; the output head sees target positions only, a tile of the vocabulary at a
time, and its log-sum-exp is taken in float32. On CUDA the same code runs eagerly; it has been
tested on CPU only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import linear
from transformers import PreTrainedModel

from parabench.contracts import Runtime, UserError
from parabench.inference.attention import spans
from parabench.inference.batching import check_lengths, in_batches
from parabench.inference.kv_cache import PrefixCache, run_packed
from parabench.inference.packed_bart import SourceTarget, packed_bart
from parabench.inference.prompt_ids import PromptIds, shared_prefixes

TOKENS_PER_PASS = {"cpu": 1024, "cuda": 32768}
"""Tokens in one pass."""
HEAD_TILE = 2048
"""Vocabulary entries whose logits exist at once: a tile of the head stays in the cache while all
tokens pass it.
"""

SMALLEST_TRUSTED_SUM = 1e-20
"""Of exponentials in float32: below it, those too small for that type could be missed."""

_SOURCE_LENGTH_BUCKET = 8
"""Sources that differ by fewer tokens may stand in one batch, so that their targets can be alike
too.
"""

_RunBatch = Callable[[Sequence[int]], tuple[Float[Tensor, "T H"], list[int]]]


def seq2seq_log_likelihood(
    model: PreTrainedModel, pairs: Sequence[SourceTarget], runtime: Runtime
) -> Float[np.ndarray, "N 2"]:
    """Sum of ln p(target token | earlier ones, source) and the number of target tokens, one row a
    (source, target).

    Every target id is scored, with the decoder fed the target shifted right behind the model's
    start token (BARTScore, Yuan et al. 2021; neulab/BARTScore). Raises UserError where a side
    exceeds the model's positions or a source is empty.
    """
    check_lengths(model, [max(map(len, pair)) for pair in pairs], "source or target")
    if not all(source for source, _ in pairs):
        raise UserError("score a target", "an empty source", mend="tokenise with special tokens")
    order = _alike(pairs)
    costs = [len(target) for _, target in pairs]
    for before, at in zip([None, *order], order, strict=False):
        new_source = before is None or pairs[before][0] != pairs[at][0]
        costs[at] += len(pairs[at][0]) * new_source

    def run(batch: Sequence[int]) -> tuple[Float[Tensor, "T H"], list[int]]:
        return packed_bart(model, [pairs[at] for at in batch])

    return _measure(model, run, [target for _, target in pairs], order, costs, runtime)


def _alike(pairs: Sequence[SourceTarget]) -> list[int]:
    """The positions of pairs, those of one source together, those alike in both lengths near one
    another.
    """
    longest: dict[tuple[int, ...], int] = {}
    for source, target in pairs:
        longest[source] = max(len(target), longest.get(source, 0))

    def key(at: int) -> tuple[int, int, tuple[int, ...], int]:
        source, target = pairs[at]
        group = len(source) // _SOURCE_LENGTH_BUCKET
        turn = (
            1 if group % 2 else -1
        )  # up and down in turn, so that batches across two groups are alike as well
        return -group, turn * longest[source], source, turn * len(target)

    return sorted(range(len(pairs)), key=key)


def causal_log_likelihood(
    model: PreTrainedModel,
    rows: Sequence[PromptIds],
    targets: Sequence[tuple[int, ...]],
    runtime: Runtime,
) -> Float[np.ndarray, "N 2"]:
    """Sum of ln p(target token | earlier ones, prompt row) and the number of target tokens, one row
    a prompt.

    Raises UserError where prompt and target together exceed the model's positions, or a prompt is
    empty.
    """
    lengths = [len(row.ids) + len(target) for row, target in zip(rows, targets, strict=True)]
    check_lengths(model, lengths, "prompt and target")
    if not all(row.ids for row in rows):
        raise UserError(
            "score a target", "an empty prompt", mend="begin every prompt with the BOS token"
        )
    prefixes = shared_prefixes(rows)
    with torch.inference_mode():
        pool = PrefixCache(model, prefixes.rows)
    rest = [prefixes.rest(position, row) for position, row in enumerate(rows)]
    whole = [
        PromptIds(row.ids + target[:-1], row.virtual)
        for row, target in zip(rest, targets, strict=True)
    ]
    costs = [len(row.ids) for row in whole]
    order = sorted(range(len(rows)), key=lambda at: (prefixes.prefix_index[at], -costs[at], at))

    def run(batch: Sequence[int]) -> tuple[Float[Tensor, "T H"], list[int]]:
        packed = [whole[at] for at in batch]
        hidden = run_packed(model, packed, pool, [prefixes.prefix_index[at] for at in batch])
        ends = [span.stop for span in spans([costs[at] for at in batch])]
        scored = [
            place
            for at, end in zip(batch, ends, strict=True)
            for place in range(end - len(targets[at]), end)
        ]
        return hidden[torch.tensor(scored, device=hidden.device)], [
            token for at in batch for token in targets[at]
        ]

    return _measure(model, run, targets, order, costs, runtime)


def _measure(
    model: PreTrainedModel,
    run: _RunBatch,
    targets: Sequence[Sequence[int]],
    order: Sequence[int],
    costs: Sequence[int],
    runtime: Runtime,
) -> Float[np.ndarray, "N 2"]:
    """Run batches of positions whose targets are not empty, and add up the log-likelihoods of each
    target's tokens.
    """
    result = np.array([[0.0, len(target)] for target in targets]).reshape(-1, 2)

    def sums(batch: Sequence[int]) -> tuple[Sequence[int], Float[np.ndarray, " B"]]:
        hidden, labels = run(batch)
        wanted = torch.tensor(labels, device=hidden.device)
        each = _log_likelihoods(model, hidden, wanted).double().cpu().numpy()
        return batch, np.add.reduceat(
            each, [span.start for span in spans([len(targets[at]) for at in batch])]
        )

    scored = [at for at in order if targets[at]]
    with torch.inference_mode():
        budget = TOKENS_PER_PASS[model.device.type]
        for batch, totals in in_batches(scored, sums, runtime.batch_size, budget, costs, model):
            result[list(batch), 0] = totals
    return result


def _log_likelihoods(
    model: PreTrainedModel, hidden: Float[Tensor, "T H"], wanted: Int[Tensor, " T"]
) -> Float[Tensor, " T"]:
    head: Any = model.get_output_embeddings()
    bias = getattr(model, "final_logits_bias", head.bias)
    biases = (
        bias.view(-1) if bias is not None and bias.any() else None
    )  # BART's is a row of zeros, and adding it dear

    def logits() -> Iterator[Float[Tensor, "T v"]]:
        for start in range(0, len(head.weight), HEAD_TILE):
            tile = slice(start, start + HEAD_TILE)
            yield linear(
                hidden, head.weight[tile], None if biases is None else biases[tile]
            ).float()

    # exponentials of logits as they are: finding and subtracting the largest ones costs as much as
    # the rest of this
    sums = torch.stack([part.exp_().sum(dim=1) for part in logits()]).sum(dim=0)
    if (sums.isfinite() & (sums > SMALLEST_TRUSTED_SUM)).all():
        total = sums.log()
    else:
        total = torch.stack([part.logsumexp(dim=1) for part in logits()]).logsumexp(dim=0)
    chosen = (hidden.float() * head.weight[wanted].float()).sum(dim=1)
    chosen += 0 if biases is None else biases[wanted]
    return chosen - total
