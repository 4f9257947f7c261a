"""BARTScore: how likely a BART finds the text given the source or a reference, and in reverse."""

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
)
from parabench.data.filters import TextPair
from parabench.models.loading import load_seq2seq

from . import pretrained, scorer_options
from .aggregation import additive, mean_of_defined, values_and_counts
from .pretrained import mean_log_likelihoods

_COLUMNS = (
    Column(
        "bartscore-s2h",
        "up",
        "source",
        3,
        "mean ln p of the text's tokens given the source: faithfulness",
    ),
    Column(
        "bartscore-r2h",
        "up",
        "reference",
        3,
        "mean ln p of the text's tokens given a reference: precision",
    ),
    Column(
        "bartscore-h2r",
        "up",
        "reference",
        3,
        "mean ln p of a reference's tokens given the text: recall",
    ),
    Column("bartscore-f", "up", "reference", 3, "mean of r2h and h2r"),
)


@dataclass(frozen=True)
class BartScore:
    """Mean natural log-likelihood of a target's tokens, special ones included; nearer 0 is better.

    Over several references the mean is taken, or the maximum with ``references="max"``
    (``multi_ref_score`` of neulab/BARTScore offers both, mean by default). Longer texts are cut at
    the model's limit. An empty text is scored as its special tokens alone, as in the original.
    Without references their columns are undefined. Yuan et al. 2021; neulab/BARTScore.
    """

    runtime: Runtime
    model: str = "facebook/bart-large-cnn"
    references: str = "mean"
    models: ModelCache = field(default_factory=ModelCache, repr=False, compare=False)

    @property
    def columns(self) -> tuple[Column, ...]:
        return _COLUMNS

    @property
    def signature(self) -> Signature:
        rules = (
            ("refs", self.references),
            ("log", "natural"),
            ("truncate", "model-limit"),
            ("empty", "specials-only"),
        )
        model = pretrained.checkpoint_items(self.model, self.runtime)
        return Signature("bartscore", (*model, *rules))

    def measure(
        self, examples: Sequence[Example], texts: Sequence[str]
    ) -> Float[np.ndarray, "N 8"]:
        rows = list(zip(examples, texts, strict=True))
        pairs = list[TextPair]()
        for example, text in rows:
            pairs += _pairs(example, text)
        loaded = pretrained.scorer_model(self.models, load_seq2seq, self.model, self.runtime)
        score = mean_log_likelihoods(loaded, pairs, self.runtime)
        values = [self._values(example, text, score) for example, text in rows]
        return values_and_counts(np.array(values))

    @additive
    def combine(self, statistics: Float[np.ndarray, "*draws N 8"]) -> Float[np.ndarray, "*draws 4"]:
        return mean_of_defined(statistics)

    def release(self) -> None:
        """Free the model; the next ``measure`` loads it again."""
        self.models.clear()

    def _values(self, example: Example, text: str, score: Mapping[TextPair, float]) -> list[float]:
        """The four columns of one text."""
        faithfulness = score[example.source, text]
        if not example.references:
            # a row of a corpus, which has the source alone
            return [faithfulness, np.nan, np.nan, np.nan]
        ways = [[score[one, text], score[text, one]] for one in example.references]
        precision_recall = np.array(ways)  # [references, 2]
        of_both = precision_recall.mean(axis=1)
        by_reference = np.column_stack([precision_recall, of_both])
        over = by_reference.mean if self.references == "mean" else by_reference.max
        return [faithfulness, *over(axis=0)]


def _pairs(example: Example, text: str) -> list[TextPair]:
    """The pairs (source, target) of texts that one output needs."""
    pairs = [(example.source, text)]
    for reference in example.references:
        pairs += [(reference, text), (text, reference)]
    return pairs


def build(variant: str, setting: BuildContext) -> Scorer:
    """Build ``bartscore``; options: ``model`` (folder or hub id), ``references`` (mean or max).

    Raises UserError where an option is unknown or has another value.
    """
    scorer_options.no_variant("bartscore", variant)
    given = scorer_options.checked_options("bartscore", setting, model=str, references=str)
    chosen = given.get("references", "mean")
    scorer_options.choose("bartscore", "references", chosen, ("mean", "max"))
    return BartScore(setting.runtime, **given, models=setting.models)
