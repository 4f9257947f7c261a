"""Fluency: how expected a text is to a fixed language model that sees nothing else."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from parabench.contracts import (
    BuildContext,
    Column,
    Example,
    ModelCache,
    Runtime,
    Scorer,
    Signature,
    UserError,
)
from parabench.models.checkpoints import locate
from parabench.models.loading import load_causal

from . import pretrained, scorer_options
from .aggregation import additive, mean_of_defined, values_and_counts
from .parallel import deduplicated

_LISTS_KEPT = 2
"""Lists of texts whose likelihoods are at hand: what systems wrote, and what people did."""


@dataclass(frozen=True)
class Fluency:
    """Mean negative log-likelihood per token, in nats, of a text and the end after it.

    A text begins with what the tokenizer itself puts first. Where it puts nothing, ``begin`` names
    the token that separates documents; a BOS token that a tokenizer does not put may mark a chat
    instead, and would make every text unlikely.

    The end is scored so that an empty text is defined, and a cut one pays. Lower is more expected,
    which is not always better: the dullest text wins. Exponentiated it is a perplexity. Longer
    texts are cut at the model's limit.
    """

    runtime: Runtime
    model: str = "facebook/opt-1.3b"
    begin: str = ""
    models: ModelCache = field(default_factory=ModelCache, repr=False, compare=False)

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
        rules = (
            ("begin", self.begin or "tokenizer"),
            ("log", "natural"),
            ("end", "scored"),
            ("truncate", "model-limit"),
        )
        model = pretrained.checkpoint_items(self.model, self.runtime)
        return Signature("fluency", (*model, *rules))

    @property
    def encodings(self) -> Hashable:
        """See ``SharesEncodings``."""
        return ("log-likelihoods", self.model, self.begin, self.runtime)

    def measure(
        self, examples: Sequence[Example], texts: Sequence[str]
    ) -> Float[np.ndarray, "N 2"]:
        nats, tokens = self.surprise(texts).T
        return values_and_counts((nats / tokens)[:, None])

    def surprise(self, texts: Sequence[str]) -> Float[np.ndarray, "N 2"]:
        """Return - ln p of each text with its end, in nats, and the number of its tokens.

        Each distinct text is scored once. What the last calls were asked is at hand, for another
        scorer of the run with these ``encodings``.
        """
        scored = self.models.get(_load_surprise, self.model, self.begin, self.runtime)
        return deduplicated(texts, lambda distinct: scored.surprise(distinct, self.runtime))

    @additive
    def combine(self, statistics: Float[np.ndarray, "*draws N 2"]) -> Float[np.ndarray, "*draws 1"]:
        return mean_of_defined(statistics)

    def release(self) -> None:
        """Free the model; the next ``measure`` loads it again."""
        self.models.clear()


@dataclass
class _SurpriseModel:
    """A language model, what stands before every text, and what it was asked last.

    ``kept``: the last lists of texts, with - ln p and tokens of each. Batches depend on the list
    alone: a scorer gets the very bits that it would get by itself.
    """

    model: Any
    tokenizer: Any
    begin: tuple[int, ...]
    kept: dict[tuple[str, ...], Float[np.ndarray, "M 2"]] = field(default_factory=dict, repr=False)

    def surprise(self, texts: Sequence[str], runtime: Runtime) -> Float[np.ndarray, "M 2"]:
        """- ln p of each text and its end, and how many tokens they are."""
        asked = tuple(texts)
        if asked not in self.kept:
            if len(self.kept) == _LISTS_KEPT:
                # the oldest: a dict keeps its order
                del self.kept[next(iter(self.kept))]
            self.kept[asked] = self._scored(asked, runtime)
        return self.kept[asked]

    def _scored(self, texts: Sequence[str], runtime: Runtime) -> Float[np.ndarray, "M 2"]:
        from parabench.inference.likelihood import causal_log_likelihood
        from parabench.inference.prompt_ids import PromptIds

        # one position is the end's
        room = pretrained.max_tokens(self.model, self.tokenizer) - len(self.begin) - 1
        targets = []
        for text in texts:
            ids = self.tokenizer(text, add_special_tokens=False).input_ids[:room]
            targets.append((*ids, self.tokenizer.eos_token_id))
        prompts = [PromptIds(self.begin)] * len(targets)
        return np.array([-1.0, 1.0]) * causal_log_likelihood(self.model, prompts, targets, runtime)


def _load_surprise(name: str, begin: str, runtime: Runtime) -> _SurpriseModel:
    model, tokenizer = load_causal(locate(name), runtime)
    check_end(tokenizer, name)
    return _SurpriseModel(model, tokenizer, begin_ids(tokenizer, begin, name))


def check_end(tokenizer: Any, model: str) -> None:
    """Raise UserError where the tokenizer of a ``model`` has no end of text, which is scored."""
    if tokenizer.eos_token_id is None:
        found = "its tokenizer names no end of text, which is scored behind every text"
        mend = "name it as eos_token in the model's tokenizer_config.json, or take another model"
        raise UserError(f"score fluency with {model}", found, mend=mend)


def begin_ids(tokenizer: Any, begin: str, model: str) -> tuple[int, ...]:
    """Return the token ids before a text.

    ``tokenizer``: the model's. ``begin``: a token's name; empty for what the tokenizer puts first
    itself, or else for a BOS token that is its end of text as well, and so separates documents.
    ``model``: named in errors.

    Raises UserError where the token is unknown, or nothing says how a text begins.
    """
    if begin:
        known = tokenizer.get_vocab()
        if begin not in known:
            choices = tokenizer.all_special_tokens
            raise UserError(f"begin texts with {begin!r} for {model}", "no such token", choices)
        return (known[begin],)
    # what stands before the text's own ids, wherever these begin; nothing may stand before them
    own = tokenizer("a").input_ids
    plain = tokenizer("a", add_special_tokens=False).input_ids
    for start in range(len(own) - len(plain) + 1):
        if own[start : start + len(plain)] == plain and start:
            return tuple(own[:start])
    if tokenizer.bos_token_id is not None and tokenizer.bos_token_id == tokenizer.eos_token_id:
        return (tokenizer.bos_token_id,)
    raise UserError(
        f"score fluency with {model}",
        "its tokenizer puts nothing before a text",
        tokenizer.all_special_tokens,
        'name the token that separates documents: [scorer.fluency] begin = "…"',
    )


def build(variant: str, setting: BuildContext) -> Scorer:
    """Build ``fluency``; options: ``model`` (folder or hub id of a decoder-only model), ``begin``.

    Raises UserError for any other option.
    """
    scorer_options.no_variant("fluency", variant)
    given = scorer_options.checked_options("fluency", setting, model=str, begin=str)
    return Fluency(setting.runtime, **given, models=setting.models)
