"""Equivalence by inference: does the source entail the text, and the text the source?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from parabench.contracts import BuildContext, Column, Example, Runtime, Scorer, Signature, UserError
from parabench.inference.batching import by_length, in_batches
from parabench.models.checkpoints import locate
from parabench.models.loading import load_classifier

from . import pretrained, scorer_options
from .aggregation import additive, mean_of_defined, values_and_counts
from .parallel import deduplicated

BATCH = 32


@dataclass(frozen=True)
class Nli:
    """Mean probability of entailment in both directions and, as ``nli``, the smaller of the two: 1
    is equivalent.

    It sees what overlap and embeddings miss: negation, numbers, names, roles. Texts are cut at the
    model's limit. The model is any cross-encoder trained on natural language inference (Williams et
    al. 2018, MultiNLI).
    """

    runtime: Runtime
    model: str = "FacebookAI/roberta-large-mnli"

    @property
    def columns(self) -> tuple[Column, ...]:
        return (
            Column(
                "nli",
                "up",
                "source",
                3,
                "smaller of the two probabilities that source and text entail each other",
            ),
            Column(
                "nli-s2h",
                "up",
                "source",
                3,
                "probability that the source entails the text: nothing invented",
            ),
            Column(
                "nli-h2s",
                "up",
                "source",
                3,
                "probability that the text entails the source: nothing lost",
            ),
        )

    @property
    def signature(self) -> Signature:
        return Signature(
            "nli", (*pretrained.checkpoint_items(self.model, self.runtime), ("both", "minimum"))
        )

    def measure(
        self, examples: Sequence[Example], texts: Sequence[str]
    ) -> Float[np.ndarray, "N 6"]:
        pairs = [(example.source, text) for example, text in zip(examples, texts, strict=True)]
        both_ways = [*pairs, *((text, source) for source, text in pairs)]
        forward, backward = np.split(deduplicated(both_ways, self._entailment), 2)
        return values_and_counts(
            np.column_stack([np.minimum(forward, backward), forward, backward])
        )

    @additive
    def combine(self, statistics: Float[np.ndarray, "*draws N 6"]) -> Float[np.ndarray, "*draws 3"]:
        return mean_of_defined(statistics)

    def release(self) -> None:
        """Let go of the model; the next ``measure`` loads it again."""
        self.__dict__.pop("_loaded", None)

    @cached_property
    def _loaded(self) -> tuple[Any, Any, int]:
        loaded, tokenizer = load_classifier(locate(self.model), self.runtime)
        model: Any = loaded
        return model, tokenizer, _entailing_class(self.model, dict(model.config.id2label or {}))

    def _entailment(self, pairs: Sequence[tuple[str, str]]) -> Float[np.ndarray, " M"]:
        """The probability that the first text of each pair entails the second."""
        model, tokenizer, entailed = self._loaded
        limit = pretrained.max_tokens(model, tokenizer)
        rows = [
            tokenizer(premise, text, truncation=True, max_length=limit) for premise, text in pairs
        ]
        result = np.zeros(len(pairs))

        @torch.inference_mode()
        def run(batch: Sequence[int]) -> tuple[Sequence[int], np.ndarray]:
            padded = tokenizer.pad([rows[position] for position in batch], return_tensors="pt").to(
                model.device
            )
            return batch, model(**padded).logits.float().softmax(-1)[:, entailed].cpu().numpy()

        order = by_length([len(row["input_ids"]) for row in rows])
        for batch, probabilities in in_batches(
            order, run, self.runtime.batch_size, BATCH, model=model
        ):
            result[np.asarray(batch)] = probabilities
        return result


def _entailing_class(name: str, labels: Mapping[int, str]) -> int:
    found = [number for number, label in labels.items() if label.lower().startswith("entail")]
    if len(found) != 1:
        raise UserError(
            f"score nli with {name}",
            f"classes {', '.join(labels.values())}",
            mend="choose a model that has one class named entailment, "
            "such as FacebookAI/roberta-large-mnli",
        )
    return found[0]


def build(variant: str, setting: BuildContext) -> Scorer:
    """Build ``nli``; option: ``model`` (folder or hub id)."""
    scorer_options.no_variant("nli", variant)
    return Nli(setting.runtime, **scorer_options.read_options("nli", setting, model=str))
