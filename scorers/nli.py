"""Equivalence by inference: does the source entail the text, and the text the source?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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
from parabench.models.loading import load_classifier

from . import pretrained, scorer_options
from .aggregation import additive, mean_of_defined, values_and_counts
from .parallel import deduplicated

_BATCH = 32
"""Pairs in one forward pass, at most."""


@dataclass(frozen=True)
class Nli:
    """Mean probability of entailment in both directions, and of the smaller of the two.

    1 is equivalent. It sees what overlap and embeddings miss: negation, numbers, names, roles.
    Texts are cut at the model's limit. The model is any cross-encoder trained on natural language
    inference (Williams et al. 2018, MultiNLI).
    """

    runtime: Runtime
    model: str = "FacebookAI/roberta-large-mnli"
    models: ModelCache = field(default_factory=ModelCache, repr=False, compare=False)

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
        model = pretrained.checkpoint_items(self.model, self.runtime)
        return Signature("nli", (*model, ("both", "minimum")))

    def measure(
        self, examples: Sequence[Example], texts: Sequence[str]
    ) -> Float[np.ndarray, "N 6"]:
        pairs = [(example.source, text) for example, text in zip(examples, texts, strict=True)]
        turned = [(text, source) for source, text in pairs]
        both_ways = deduplicated([*pairs, *turned], self._entailment)
        forward, backward = np.split(both_ways, 2)
        smaller = np.minimum(forward, backward)
        return values_and_counts(np.column_stack([smaller, forward, backward]))

    @additive
    def combine(self, statistics: Float[np.ndarray, "*draws N 6"]) -> Float[np.ndarray, "*draws 3"]:
        return mean_of_defined(statistics)

    def release(self) -> None:
        """Free the model; the next ``measure`` loads it again."""
        self.models.clear()

    def _entailment(self, pairs: Sequence[tuple[str, str]]) -> Float[np.ndarray, " M"]:
        """The probability that the first text of each pair entails the second."""
        import torch

        from parabench.inference.batching import by_length, in_batches

        model, tokenizer = pretrained.scorer_model(
            self.models, load_classifier, self.model, self.runtime
        )
        entailed = _entailing_class(self.model, dict(model.config.id2label or {}))
        limit = pretrained.max_tokens(model, tokenizer)
        rows = []
        for premise, text in pairs:
            rows.append(tokenizer(premise, text, truncation=True, max_length=limit))

        @torch.inference_mode()
        def run(batch: Sequence[int]) -> tuple[Sequence[int], Float[np.ndarray, " B"]]:
            padded = tokenizer.pad([rows[at] for at in batch], return_tensors="pt")
            logits = model(**padded.to(model.device)).logits.float()  # [B, classes]
            return batch, logits.softmax(-1)[:, entailed].cpu().numpy()

        result = np.zeros(len(pairs))
        order = by_length([len(row["input_ids"]) for row in rows])
        batch_size = self.runtime.batch_size
        for batch, probabilities in in_batches(order, run, batch_size, _BATCH, model=model):
            result[np.asarray(batch)] = probabilities
        return result


def _entailing_class(name: str, labels: Mapping[int, str]) -> int:
    """The number of the class of entailment, which differs from model to model."""
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
    """Build ``nli``; option: ``model`` (folder or hub id). Raises UserError for any other."""
    scorer_options.no_variant("nli", variant)
    given = scorer_options.checked_options("nli", setting, model=str)
    return Nli(setting.runtime, **given, models=setting.models)
