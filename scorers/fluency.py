"""Fluency: how expected a text is to a fixed language model that sees nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from parabench.contracts import BuildContext, Column, Example, Runtime, Scorer, Signature
from parabench.inference.likelihood import causal_log_likelihood
from parabench.inference.prompt_ids import PromptIds
from parabench.models.checkpoints import locate
from parabench.models.loading import load_causal

from . import pretrained, scorer_options
from .aggregation import additive, mean_of_defined, values_and_counts
from .parallel import deduplicated


@dataclass(frozen=True)
class Fluency:
    """Mean negative log-likelihood per token, in nats, of a text and the end after it, begun with
    the model's BOS.

    The end is scored so that an empty text is defined, and a cut one pays. Lower is more expected,
    which is not always better: the dullest text wins. Exponentiated it is a perplexity. Longer
    texts are cut at the model's limit.
    """

    runtime: Runtime
    model: str = "facebook/opt-1.3b"

    @property
    def columns(self) -> tuple[Column, ...]:
        return (
            Column(
                "fluency-nll",
                "down",
                "output",
                3,
                "negative ln p per token under a fixed language model",
            ),
        )

    @property
    def signature(self) -> Signature:
        rules = (("log", "natural"), ("end", "scored"), ("truncate", "model-limit"))
        return Signature(
            "fluency", (*pretrained.checkpoint_items(self.model, self.runtime), *rules)
        )

    def measure(
        self, examples: Sequence[Example], texts: Sequence[str]
    ) -> Float[np.ndarray, "N 2"]:
        return values_and_counts(deduplicated(texts, self._score)[:, None])

    def _score(self, texts: Sequence[str]) -> Float[np.ndarray, " M"]:
        model, tokenizer = self._loaded
        begin = (
            tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
        )
        room = pretrained.max_tokens(model, tokenizer) - 2
        ids = [tuple(tokenizer(text, add_special_tokens=False).input_ids[:room]) for text in texts]
        targets = [(*text, tokenizer.eos_token_id) for text in ids]
        sums = causal_log_likelihood(
            model, [PromptIds((begin,))] * len(targets), targets, self.runtime
        )
        return -sums[:, 0] / sums[:, 1]

    @additive
    def combine(self, statistics: Float[np.ndarray, "*draws N 2"]) -> Float[np.ndarray, "*draws 1"]:
        return mean_of_defined(statistics)

    def release(self) -> None:
        """Let go of the model; the next ``measure`` loads it again."""
        self.__dict__.pop("_loaded", None)

    @cached_property
    def _loaded(self) -> Any:
        return load_causal(locate(self.model), self.runtime)


def build(variant: str, setting: BuildContext) -> Scorer:
    """Build ``fluency``; option: ``model`` (folder or hub id of a decoder-only model)."""
    scorer_options.no_variant("fluency", variant)
    return Fluency(setting.runtime, **scorer_options.read_options("fluency", setting, model=str))
