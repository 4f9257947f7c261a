"""BARTScore: how likely a BART finds the text given the source or a reference, and the reference
given the text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from parabench.contracts import BuildContext, Column, Example, Runtime, Scorer, Signature
from parabench.models.checkpoints import locate
from parabench.models.loading import load_seq2seq

from . import pretrained, scorer_options
from .aggregation import additive, mean_of_defined, values_and_counts
from .pretrained import SourceTarget, mean_log_likelihoods

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
    """Mean natural log-likelihood per target token, special tokens included; always below 0, nearer
    0 is better.

    Over several references the mean is taken, or the maximum with ``references="max"``
    (``multi_ref_score`` of neulab/BARTScore offers both, mean by default). Longer texts are cut at
    the model's limit. An empty text is scored as its special tokens alone, as in the original.
    Without references their columns are undefined. Yuan et al. 2021; neulab/BARTScore.
    """

    runtime: Runtime
    model: str = "facebook/bart-large-cnn"
    references: str = "mean"

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
        return Signature(
            "bartscore", (*pretrained.checkpoint_items(self.model, self.runtime), *rules)
        )

    def measure(
        self, examples: Sequence[Example], texts: Sequence[str]
    ) -> Float[np.ndarray, "N 8"]:
        rows = list(zip(examples, texts, strict=True))
        pairs = (pair for example, text in rows for pair in _pairs(example, text))
        score = mean_log_likelihoods(*self._loaded, pairs, self.runtime)
        return values_and_counts(
            np.array([self._row(example, text, score) for example, text in rows])
        )

    @additive
    def combine(self, statistics: Float[np.ndarray, "*draws N 8"]) -> Float[np.ndarray, "*draws 4"]:
        return mean_of_defined(statistics)

    def release(self) -> None:
        """Let go of the model; the next ``measure`` loads it again."""
        self.__dict__.pop("_loaded", None)

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        return load_seq2seq(locate(self.model), self.runtime)

    def _row(self, example: Example, text: str, score: Mapping[SourceTarget, float]) -> list[float]:
        if not example.references:  # a row of a corpus, which has the source alone
            return [score[example.source, text], np.nan, np.nan, np.nan]
        ways = np.array([[score[r, text], score[text, r]] for r in example.references])
        both = np.column_stack([ways, ways.mean(axis=1)])
        return [
            score[example.source, text],
            *(both.mean(axis=0) if self.references == "mean" else both.max(axis=0)),
        ]


def _pairs(example: Example, text: str) -> list[SourceTarget]:
    both_ways = [
        pair for reference in example.references for pair in ((reference, text), (text, reference))
    ]
    return [(example.source, text), *both_ways]


def build(variant: str, setting: BuildContext) -> Scorer:
    """Build ``bartscore``; options: ``model`` (folder or hub id), ``references`` (mean or max)."""
    scorer_options.no_variant("bartscore", variant)
    given = scorer_options.read_options("bartscore", setting, model=str, references=str)
    scorer_options.choose(
        "bartscore", "references", given.get("references", "mean"), ("mean", "max")
    )
    return BartScore(setting.runtime, **given)
