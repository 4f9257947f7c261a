"""The fourteen columns of Paraphrase-OPT (2022), its own way: shown as legacy, never ranked.

Every output is compared with the source it was made from, so an unchanged copy is perfect. The
columns are here to read the published table by, and to show what such a protocol rewards.
Clyde013/Paraphrase-OPT, ``model_benchmark.py`` and ``metrics/bart_metric.py``; torchmetrics 0.8.2,
``functional/text``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
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
)
from parabench.models.loading import load_seq2seq

from . import pretrained, scorer_options
from .aggregation import additive, mean_of_defined, values_and_counts
from .pretrained import mean_log_likelihoods
from .segment import ngrams

LEGACY_ROUGE_KINDS = ("rouge1", "rouge2", "rougeL", "rougeLsum")
_PARTS = ("fmeasure", "precision", "recall")
ABBREVIATIONS = {"dr", "jr", "mr", "mrs", "ms", "prof", "sr", "st", "vs"}
"""Words whose full stop ends no sentence, in lower case and without it."""


@dataclass(frozen=True)
class ParaphraseOpt:
    """Means over rows of ln p(source | output), sentence BLEU and ROUGE of output against source.

    BLEU, which is not smoothed, and ROUGE lie between 0 and 1. Two details differ, and neither
    moves a text of one sentence within the model's limit: ROUGE-Lsum cuts sentences by Punkt with a
    short list of abbreviations, where the original's trained list is a download; and longer texts
    are cut at the model's limit, where the original fails.
    """

    runtime: Runtime
    model: str = "facebook/bart-large-cnn"
    models: ModelCache = field(default_factory=ModelCache, repr=False, compare=False)

    @property
    def columns(self) -> tuple[Column, ...]:
        likelihood = Column(
            "legacy-bartscore",
            "none",
            "source",
            3,
            "mean ln p of the source's tokens given the text",
        )
        bleu = Column(
            "legacy-bleuscore",
            "none",
            "source",
            3,
            "mean of unsmoothed sentence BLEU, words between spaces",
        )
        rouge = (
            Column(
                f"legacy-{kind}_{part}",
                "none",
                "source",
                3,
                f"mean {kind}, {part}, against the source",
            )
            for kind in LEGACY_ROUGE_KINDS
            for part in _PARTS
        )
        return (likelihood, bleu, *rouge)

    @property
    def signature(self) -> Signature:
        rules = {
            "bleu": "rows,unsmoothed,spaces",
            "rouge": f"rouge-score-{version('rouge-score')}",
            "sentences": f"punkt-untrained-{version('nltk')}",
            "truncate": "model-limit",
        }
        model = pretrained.checkpoint_items(self.model, self.runtime)
        return Signature("paraphrase-opt", (*model, *rules.items()))

    def measure(
        self, examples: Sequence[Example], texts: Sequence[str]
    ) -> Float[np.ndarray, "N 28"]:
        # it imports nltk, which takes more than a second
        from rouge_score.rouge_scorer import RougeScorer

        pairs = [(text, example.source) for example, text in zip(examples, texts, strict=True)]
        # The output is what the model reads, the source what it is asked to write.
        loaded = pretrained.scorer_model(self.models, load_seq2seq, self.model, self.runtime)
        likelihood = mean_log_likelihoods(loaded, pairs, self.runtime)
        scorer = RougeScorer(LEGACY_ROUGE_KINDS)
        values = []
        for pair in pairs:
            values.append([likelihood[pair], bleu(*pair), *_rouge(scorer, *pair)])
        return values_and_counts(np.array(values))

    @additive
    def combine(
        self, statistics: Float[np.ndarray, "*draws N 28"]
    ) -> Float[np.ndarray, "*draws 14"]:
        return mean_of_defined(statistics)

    def release(self) -> None:
        """Free the model; the next ``measure`` loads it again."""
        self.models.clear()


def bleu(text: str, source: str) -> float:
    """Return BLEU of one ``text`` against its ``source``, 0 to 1.

    Without smoothing: 0 where any order from 1 to 4 has no match. Papineni et al. 2002.
    """
    # Words between spaces, as the original split them: no tokenizer and no folding of case.
    words = text.split()
    kept = source.split()
    logarithms = []
    for order in range(1, 5):
        shared = _ngrams(words, order) & _ngrams(kept, order)
        matches = shared.total()
        # The geometric mean of all orders is 0 then, and its logarithm has no value.
        if matches == 0:
            return 0.0
        total = len(words) - order + 1
        logarithms.append(math.log(matches / total))
    # logarithm of the penalty for a text shorter than its source
    brevity = min(0.0, 1 - len(kept) / len(words))
    return math.exp(brevity + sum(logarithms) / 4)


def _ngrams(words: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(ngrams(words, order))


def _rouge(scorer: Any, text: str, source: str) -> list[float]:
    found = scorer.score(_by_line(source), _by_line(text))
    values = []
    for kind in LEGACY_ROUGE_KINDS:
        values += [getattr(found[kind], part) for part in _PARTS]
    return values


def _by_line(text: str) -> str:
    """One sentence a line, for ROUGE-Lsum; the other kinds read line ends as spaces."""
    sentences = _sentences().tokenize(text)
    return "\n".join(" ".join(sentence.split()) for sentence in sentences)


@cache
def _sentences() -> Any:
    """nltk's tokenizer of sentences."""
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer

    rules = PunktParameters()
    rules.abbrev_types = set(ABBREVIATIONS)
    return PunktSentenceTokenizer(rules)


def build(variant: str, setting: BuildContext) -> Scorer:
    """Build ``paraphrase-opt``; option: ``model`` (folder or hub id of the BART that scores).

    Raises UserError for any other option.
    """
    scorer_options.no_variant("paraphrase-opt", variant)
    given = scorer_options.checked_options("paraphrase-opt", setting, model=str)
    return ParaphraseOpt(setting.runtime, **given, models=setting.models)
