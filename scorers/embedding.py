"""Sentence embeddings: how near the vector of a text is to those of its references and source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

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
from parabench.models.checkpoints import locate, tokenizer_folder
from parabench.models.loading import load_encoder

from . import pretrained, scorer_options
from .aggregation import additive, mean_of_defined, values_and_counts
from .pooling import POOLINGS, PoolingRule, read_pooling

_COLUMNS = (
    Column("embedding", "up", "reference", 4, "cosine of sentence vectors, best reference"),
    Column("embedding-source", "up", "source", 4, "cosine of sentence vectors to the source"),
)


@dataclass(frozen=True)
class Embedding:
    """Mean cosine of sentence vectors, -1 to 1; of several references the nearest counts.

    Vectors are made as the model's folder says, if sentence-transformers wrote it, else by the mean
    of all tokens; ``pooling`` (ways joined by ``+``) and ``max_tokens`` replace what it says. An
    empty text has the vector of its special tokens. Without references their column is undefined.

    It sees what a text is about, and hardly who did what to whom: reordered or negated words stay
    near. Reimers and Gurevych 2019, "Sentence-BERT"; huggingface/sentence-transformers.
    """

    runtime: Runtime
    model: str = "sentence-transformers/all-MiniLM-L6-v2"
    pooling: str = ""
    max_tokens: int = 0
    models: ModelCache = field(default_factory=ModelCache, repr=False, compare=False)

    @property
    def columns(self) -> tuple[Column, ...]:
        return _COLUMNS

    @property
    def signature(self) -> Signature:
        rule = self._rule()
        items = (
            ("pooling", "+".join(rule.ways)),
            ("truncate", str(rule.max_tokens or "model-limit")),
            ("case", "lc" if rule.lowercase else "mixed"),
            ("refs", "best"),
        )
        model = pretrained.checkpoint_items(self.model, self.runtime)
        return Signature("embedding", (*model, *items))

    def measure(
        self, examples: Sequence[Example], texts: Sequence[str]
    ) -> Float[np.ndarray, "N 4"]:
        from .sentence_vectors import unit_vectors

        # each distinct text once, whoever wrote it and whatever it is compared with
        distinct = dict.fromkeys(texts)
        for example in examples:
            distinct |= dict.fromkeys((example.source, *example.references))
        loaded = pretrained.scorer_model(self.models, load_encoder, self.model, self.runtime)
        vectors = unit_vectors(loaded, self._rule(), list(distinct), self.runtime)
        values = []
        for example, text in zip(examples, texts, strict=True):
            own = vectors[text]
            to_references = [own @ vectors[reference] for reference in example.references]
            nearest = max(to_references, default=np.nan)
            values.append([nearest, own @ vectors[example.source]])
        return values_and_counts(np.array(values))

    @additive
    def combine(self, statistics: Float[np.ndarray, "*draws N 4"]) -> Float[np.ndarray, "*draws 2"]:
        return mean_of_defined(statistics)

    def release(self) -> None:
        """Free the model; the next ``measure`` loads it again."""
        self.models.clear()

    def _rule(self) -> PoolingRule:
        """How vectors are made: as the options say, else as the model's folder does."""
        if self.pooling:
            # what the folder asks for is replaced, so it need not be known here
            rule = PoolingRule(tuple(self.pooling.split("+")))
        else:
            rule = _rule_of_files(self.model)
        if self.max_tokens:
            rule = replace(rule, max_tokens=self.max_tokens)
        return rule


def _rule_of_files(name: str) -> PoolingRule:
    """How a model's files say that vectors are made; UserError where these are not at hand."""
    checkpoint = locate(name)
    if checkpoint.revision is not None:
        # a hub's folders within a repository are not fetched, and 1_Pooling is one
        raise UserError(
            f"make sentence vectors with {name}",
            "of a hub's model the files that say how are not fetched",
            POOLINGS,
            'say what its 1_Pooling/config.json says: [scorer.embedding] pooling = "mean"',
        )
    return read_pooling(tokenizer_folder(checkpoint), name)


def build(variant: str, setting: BuildContext) -> Scorer:
    """Build ``embedding``; options: ``model`` (folder, package or hub id), ``pooling``,
    ``max_tokens``.

    Raises UserError where an option is unknown or has a value that there is none of.
    """
    scorer_options.no_variant("embedding", variant)
    given = scorer_options.checked_options(
        "embedding", setting, model=str, pooling=str, max_tokens=int
    )
    for way in given.get("pooling", "mean").split("+"):
        scorer_options.choose("embedding", "pooling", way, POOLINGS)
    if given.get("max_tokens", 1) < 1:
        found = "not a positive number"
        raise UserError(f"use max_tokens = {given['max_tokens']} for embedding", found)
    return Embedding(setting.runtime, **given, models=setting.models)
