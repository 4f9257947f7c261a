"""Token sampling: the next token of every row from its logits, independent of all other rows."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from random import Random
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import (
    LogitsProcessorList,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from parabench.contracts import Decoding


class TokenSampler:
    """Greedy or sampled next tokens under one ``decoding``.

    The processors are transformers' own, in the order of its ``generate``. ``eos`` are the ids
    that end a text, ``stopping`` those that hold a stop string; none of them is chosen before
    ``min_new_tokens``.
    """

    def __init__(
        self,
        decoding: Decoding,
        eos: AbstractSet[int],
        stopping: Sequence[int] = (),
    ) -> None:
        self.decoding = decoding
        self.ending = sorted({*eos, *stopping})
        self.penalties = _penalties(decoding)
        self.warpers = _warpers(decoding)

    def choose(
        self,
        logits: Float[Tensor, "R V"],
        written: Sequence[Sequence[int]],
        draws: Sequence[Random],
    ) -> list[int]:
        """The next token of each of R rows.

        ``logits``: over the vocabulary, behind each row's last token.
        ``written``: the new tokens of each row so far; penalties count these alone.
        ``draws``: each row's own random numbers.
        """
        scores = logits.float()
        if self.penalties:
            pairs = zip(scores.split(1), written, strict=True)
            scores = torch.cat([self._penalise(row, ids) for row, ids in pairs])
        least = self.decoding.min_new_tokens
        early = [row for row, ids in enumerate(written) if len(ids) < least]
        if early and self.ending:
            scores[torch.tensor(early)[:, None], self.ending] = float("-inf")
        if not self.decoding.do_sample:
            return _best(scores).tolist()
        unread: Any = None  # none of these warpers looks at the ids
        return _sample(self.warpers(unread, scores), draws).tolist()

    def _penalise(self, row: Float[Tensor, "1 V"], written: Sequence[int]) -> Float[Tensor, "1 V"]:
        ids: Any = torch.tensor([list(written)], dtype=torch.long, device=row.device)
        return self.penalties(ids, row)


def _penalties(decoding: Decoding) -> LogitsProcessorList:
    """What depends on the tokens written so far."""
    processors = LogitsProcessorList()
    if decoding.repetition_penalty != 1.0:
        processors.append(RepetitionPenaltyLogitsProcessor(decoding.repetition_penalty))
    if decoding.no_repeat_ngram_size > 0:
        processors.append(NoRepeatNGramLogitsProcessor(decoding.no_repeat_ngram_size))
    return processors


def _warpers(decoding: Decoding) -> LogitsProcessorList:
    """What shapes the distribution that is sampled from."""
    processors = LogitsProcessorList()
    if decoding.temperature != 1.0:
        processors.append(TemperatureLogitsWarper(decoding.temperature))
    if decoding.top_k > 0:
        processors.append(TopKLogitsWarper(decoding.top_k))
    if decoding.top_p < 1.0:
        processors.append(TopPLogitsWarper(decoding.top_p))
    return processors


def _best(scores: Float[Tensor, "R V"]) -> Any:
    """The first of the largest scores of each row, as an integer array or tensor ``[R]``."""
    if scores.device.type != "cpu":
        return scores.argmax(dim=1)
    return scores.numpy().argmax(axis=1)  # several times as fast as torch's search on a CPU


def _sample(scores: Float[Tensor, "R V"], draws: Sequence[Random]) -> Int[Tensor, " R"]:
    """Sample each row by inverting its cumulative distribution at one uniform number."""
    # in float64, for the sum of many small float32 probabilities is off by more than a token's
    cumulative = scores.softmax(dim=1, dtype=torch.float64).cumsum(dim=1)
    numbers = [[draw.random()] for draw in draws]
    uniform = torch.tensor(numbers, dtype=torch.float64, device=scores.device)
    # scaled by the total, which rounding may leave short of 1
    tokens = torch.searchsorted(cumulative, uniform * cumulative[:, -1:], right=True)[:, 0]
    return tokens.clamp(max=scores.shape[1] - 1)
