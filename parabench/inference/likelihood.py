"""Token log-likelihoods of given targets, in nats: what BARTScore and perplexities are made of.

Sequences run packed, with no padding outside attention. A source or prompt that several targets
share is encoded once, and so is what targets of one source begin with alike. The output head sees
target positions only, a tile of the vocabulary at a time, and its log-sum-exp is taken in float32.
On CUDA the same code runs eagerly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor
from torch.nn.functional import linear
from transformers import PreTrainedModel

from parabench.contracts import Runtime, UserError
from parabench.inference.attention import spans
from parabench.inference.batching import check_lengths, fitting_size, in_batches
from parabench.inference.packed_bart import SourceStates, SourceTarget, packed_bart
from parabench.inference.packed_forward import encode_prefixes, run_packed, runs_packed
from parabench.inference.prefix_trie import shared_length
from parabench.inference.prompt_ids import PromptIds, TokenIds, embed, shared_prefixes
from parabench.inference.trials import require_embeddings

TOKENS_PER_PASS = {"cpu": 1024, "cuda": 32768}
"""Tokens in one forward pass, by kind of device."""
HEAD_TILE = 2048
"""Vocabulary entries whose logits exist at once: a tile of the head stays in the processor's cache
while all tokens pass it.
"""

SMALLEST_TRUSTED_SUM = 1e-20
"""Least sum of float32 exponentials that is trusted: below it, those too small for that type could
be missing from it.
"""

_SOURCE_LENGTH_BUCKET = 8
"""Sources whose lengths differ by less may share a batch, so that their targets can be of like
length too.
"""

_Predictions = tuple[Float[Tensor, "N H"], Sequence[int], list[int]]
"""Hidden states, and for each target token of a batch the state that predicts it, and its id."""
_RunBatch = Callable[[Sequence[int]], _Predictions]


def seq2seq_log_likelihood(
    model: PreTrainedModel,
    pairs: Sequence[SourceTarget],
    runtime: Runtime,
) -> Float[np.ndarray, "N 2"]:
    """Sum of ln p(target token | earlier ones, source), and the number of target tokens.

    One row a (source, target) of ``pairs``. Every target id is scored, with the decoder fed the
    target shifted right behind the model's start token (BARTScore, Yuan et al. 2021;
    neulab/BARTScore).

    Raises UserError where a side exceeds the model's positions, or a source is empty.
    """
    longest = [max(len(source), len(target)) for source, target in pairs]
    check_lengths(model, longest, "source or target")
    if not all(source for source, _ in pairs):
        raise UserError("score a target", "an empty source", mend="tokenise with special tokens")
    order = _like_lengths_together(pairs)
    costs, sources = _costs_and_sources(pairs, order)

    def tokens_that_fit() -> int:
        # where the user chose rows of a batch, no source is encoded before its batch
        if runtime.batch_size:
            return 0
        return fitting_size(model, TOKENS_PER_PASS[model.device.type])

    states = SourceStates(model, sources, tokens_that_fit)

    def run(batch: Sequence[int]) -> _Predictions:
        return packed_bart(model, [pairs[at] for at in batch], states)

    targets = [target for _, target in pairs]
    return _sum_over_targets(model, run, targets, order, costs, runtime)


def _costs_and_sources(
    pairs: Sequence[SourceTarget], order: Sequence[int]
) -> tuple[list[int], list[TokenIds]]:
    """Tokens to compute for each pair, and the sources to encode, each once, in ``order``."""
    costs = [0] * len(pairs)
    sources: dict[TokenIds, None] = {}
    source_before: TokenIds = ()
    target_before: TokenIds = ()
    for at in order:
        source, target = pairs[at]
        # an empty target is not run, and needs no source
        if not target:
            continue
        sources.setdefault(source)
        if source == source_before:
            # the state that predicts the first token is shared even where no token is
            shared = shared_length(target[:-1], target_before[:-1]) + 1
            costs[at] = len(target) - shared
        else:
            costs[at] = len(source) + len(target)
        source_before, target_before = source, target
    return costs, list(sources)


def _like_lengths_together(pairs: Sequence[SourceTarget]) -> list[int]:
    """Positions of pairs, in an order that wastes little padding inside attention.

    Pairs of one source stay together, those that begin alike side by side; sources come in buckets
    of like length, the longest first, and within a bucket by the length of their longest target.
    """
    longest: dict[TokenIds, int] = {}
    for source, target in pairs:
        longest_so_far = longest.get(source, 0)
        longest[source] = max(len(target), longest_so_far)

    def key(at: int) -> tuple[int, int, TokenIds, TokenIds]:
        source, target = pairs[at]
        bucket = len(source) // _SOURCE_LENGTH_BUCKET
        # up in one bucket and down in the next, so that a batch across two is alike as well
        sign = 1 if bucket % 2 else -1
        return -bucket, sign * longest[source], source, target

    return sorted(range(len(pairs)), key=key)


def causal_log_likelihood(
    model: PreTrainedModel,
    rows: Sequence[PromptIds],
    targets: Sequence[TokenIds],
    runtime: Runtime,
) -> Float[np.ndarray, "N 2"]:
    """Sum of ln p(target token | earlier ones, prompt), and the number of target tokens.

    One row a prompt of ``rows``, with its target.

    Raises UserError where prompt and target together exceed the model's positions, or a prompt is
    empty.
    """
    lengths = [len(row.ids) + len(target) for row, target in zip(rows, targets, strict=True)]
    check_lengths(model, lengths, "prompt and target")
    if not all(row.ids for row in rows):
        mend = "begin every prompt with the BOS token"
        raise UserError("score a target", "an empty prompt", mend=mend)
    if not runs_packed(model):
        return _one_by_one(model, rows, targets)
    prefixes = shared_prefixes(rows)
    with torch.inference_mode():
        cache = encode_prefixes(model, prefixes.rows)
    whole = []
    for position, (row, target) in enumerate(zip(rows, targets, strict=True)):
        rest = prefixes.rest(position, row)
        # nothing is predicted behind the last target token
        whole.append(PromptIds(rest.ids + target[:-1], rest.virtual))
    costs = [len(row.ids) for row in whole]

    def key(at: int) -> tuple[int, int, int]:
        # few prefixes a batch, and rows of like length; the position settles ties
        return prefixes.prefix_index[at], -costs[at], at

    order = sorted(range(len(rows)), key=key)

    def run(batch: Sequence[int]) -> _Predictions:
        packed = [whole[at] for at in batch]
        prefix_index = [prefixes.prefix_index[at] for at in batch]
        hidden = run_packed(model, packed, cache, prefix_index)
        # rows lie end to end in ``hidden``
        lengths = [costs[at] for at in batch]
        predicting: list[int] = []
        labels: list[int] = []
        for at, span in zip(batch, spans(lengths), strict=True):
            target = targets[at]
            # the last len(target) states of a row predict its target, token by token
            predicting += range(span.stop - len(target), span.stop)
            labels += target
        places = torch.tensor(predicting, device=hidden.device)
        return hidden[places], range(len(labels)), labels

    return _sum_over_targets(model, run, targets, order, costs, runtime)


@torch.inference_mode()
def _one_by_one(
    model: PreTrainedModel,
    rows: Sequence[PromptIds],
    targets: Sequence[TokenIds],
) -> Float[np.ndarray, "N 2"]:
    """``causal_log_likelihood`` by the model's own forward pass, for what cannot run packed."""
    whole: Any = model
    result = np.zeros((len(rows), 2))
    for position, (row, target) in enumerate(zip(rows, targets, strict=True)):
        if not target:
            continue
        if row.virtual is None:
            ids = torch.tensor([row.ids + target], device=model.device)
            logits = whole(input_ids=ids).logits[0]
        else:
            require_embeddings(model)
            together = PromptIds(row.ids + target, row.virtual)
            embeds = embed(model, [together])
            logits = whole(inputs_embeds=embeds[None]).logits[0]
        # the state at a token predicts the next one; none is predicted behind the last
        predicting = logits[len(row.ids) - 1 : -1]
        by_token = predicting.double().log_softmax(dim=1)  # [target tokens, vocabulary]
        wanted = torch.tensor(target, device=model.device)
        chosen = by_token.gather(1, wanted[:, None])
        total = float(chosen.sum())
        result[position] = total, len(target)
    return result


def _sum_over_targets(
    model: PreTrainedModel,
    run: _RunBatch,
    targets: Sequence[Sequence[int]],
    order: Sequence[int],
    costs: Sequence[int],
    runtime: Runtime,
) -> Float[np.ndarray, "N 2"]:
    """Run batches of positions, and add up each target's log-likelihoods, in float64.

    ``order`` are the positions to run and ``costs`` their tokens; an empty target sums to 0.
    """
    counts = [[0.0, len(target)] for target in targets]
    result = np.array(counts).reshape(-1, 2)  # [0, 2] where there is no target

    def sums(batch: Sequence[int]) -> tuple[Sequence[int], Float64[np.ndarray, " B"]]:
        hidden, places, labels = run(batch)
        predicting = torch.tensor(places, device=hidden.device)
        wanted = torch.tensor(labels, device=hidden.device)
        by_token = _log_likelihoods(model, hidden, predicting, wanted)
        values = by_token.double().cpu().numpy()
        # tokens of all targets lie end to end: each sum runs from one start to the next
        lengths = [len(targets[at]) for at in batch]
        starts = [span.start for span in spans(lengths)]
        return batch, np.add.reduceat(values, starts)

    # reduceat would give an empty target the value of the next one
    scored = [at for at in order if targets[at]]
    budget = TOKENS_PER_PASS[model.device.type]
    with torch.inference_mode():
        summed = in_batches(scored, sums, runtime.batch_size, budget, costs, model)
        for batch, totals in summed:
            result[list(batch), 0] = totals
    return result


def _log_likelihoods(
    model: PreTrainedModel,
    hidden: Float[Tensor, "N H"],
    places: Int[Tensor, " T"],
    wanted: Int[Tensor, " T"],
) -> Float[Tensor, " T"]:
    """ln p of each ``wanted`` token behind the hidden state at its place."""
    head: Any = model.get_output_embeddings()
    weight = head.weight  # [vocabulary, H]
    bias = getattr(model, "final_logits_bias", head.bias)
    # BART's is a row of zeros, which is expensive to add
    has_bias = bias is not None and bias.any()
    biases = bias.view(-1) if has_bias else None

    def logits() -> Iterator[Float[Tensor, "N V"]]:
        for start in range(0, len(weight), HEAD_TILE):
            tile = slice(start, start + HEAD_TILE)
            tile_bias = None if biases is None else biases[tile]
            yield linear(hidden, weight[tile], tile_bias).float()

    # exponentials of the logits as they are: finding and subtracting the largest logit of each
    # token costs as much as everything else here, and is needed only where the sum says so
    sums_of_tiles = [tile.exp_().sum(dim=1) for tile in logits()]
    sums = torch.stack(sums_of_tiles).sum(dim=0)  # [N]
    is_trusted = sums.isfinite() & (sums > SMALLEST_TRUSTED_SUM)
    if is_trusted.all():
        total = sums.log()
    else:
        logs_of_tiles = [tile.logsumexp(dim=1) for tile in logits()]
        total = torch.stack(logs_of_tiles).logsumexp(dim=0)
    # the logit of the wanted token alone, without those of its tile
    products = hidden[places].float() * weight[wanted].float()
    chosen = products.sum(dim=1)
    if biases is not None:
        chosen += biases[wanted]
    return chosen - total[places]
