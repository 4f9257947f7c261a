"""Choosing the next token of every row from its logits, one row never depending on another."""

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
    """Greedy or sampled choice under one ``Decoding``; the processors are transformers' own, in
    generate's order.
    """

    def __init__(self, decoding: Decoding, eos: AbstractSet[int]) -> None:
        self.decoding, self.eos = decoding, sorted(eos)
        self.penalties = LogitsProcessorList()
        if decoding.repetition_penalty != 1.0:
            self.penalties.append(RepetitionPenaltyLogitsProcessor(decoding.repetition_penalty))
        if decoding.no_repeat_ngram_size > 0:
            self.penalties.append(NoRepeatNGramLogitsProcessor(decoding.no_repeat_ngram_size))
        self.warpers = LogitsProcessorList()
        if decoding.temperature != 1.0:
            self.warpers.append(TemperatureLogitsWarper(decoding.temperature))
        if decoding.top_k > 0:
            self.warpers.append(TopKLogitsWarper(decoding.top_k))
        if decoding.top_p < 1.0:
            self.warpers.append(TopPLogitsWarper(decoding.top_p))

    def choose(
        self,
        logits: Float[Tensor, "R V"],
        written: Sequence[Sequence[int]],
        draws: Sequence[Random],
    ) -> list[int]:
        """The next token of each row, given the new tokens it has ``written`` and its own source of
        chance.
        """
        scores = logits.float()
        if self.penalties:
            scores = torch.cat(
                [
                    self._penalise(row, ids)
                    for row, ids in zip(scores.split(1), written, strict=True)
                ]
            )
        early = [
            index for index, ids in enumerate(written) if len(ids) < self.decoding.min_new_tokens
        ]
        if early and self.eos:
            scores[torch.tensor(early)[:, None], self.eos] = float("-inf")
        if not self.decoding.do_sample:
            return _best(scores).tolist()
        unread: Any = None
        return _sample(self.warpers(unread, scores), draws).tolist()

    def _penalise(self, row: Float[Tensor, "1 V"], written: Sequence[int]) -> Float[Tensor, "1 V"]:
        ids: Any = torch.tensor([list(written)], dtype=torch.long, device=row.device)
        return self.penalties(ids, row)


def _best(scores: Float[Tensor, "R V"]) -> Any:
    """The place of the largest in each row, the first of equals; numpy's search is several times as
    fast as torch's.
    """
    return scores.numpy().argmax(axis=1) if scores.device.type == "cpu" else scores.argmax(dim=1)


def _sample(scores: Float[Tensor, "R V"], draws: Sequence[Random]) -> Int[Tensor, " R"]:
    """Invert each row's cumulative distribution at one uniform number of its own."""
    cumulative = scores.softmax(dim=1, dtype=torch.float64).cumsum(dim=1)
    uniform = torch.tensor(
        [[draw.random()] for draw in draws], dtype=torch.float64, device=scores.device
    )
    tokens = torch.searchsorted(cumulative, uniform * cumulative[:, -1:], right=True)[:, 0]
    return tokens.clamp(max=scores.shape[1] - 1)
