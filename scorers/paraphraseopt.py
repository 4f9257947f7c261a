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
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import version
from typing import Any

import numpy as np
from jaxtyping import Float
from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer
from rouge_score.rouge_scorer import RougeScorer

from parabench.contracts import BuildContext, Column, Example, Runtime, Scorer, Signature
from parabench.models.checkpoints import locate
from parabench.models.loading import load_seq2seq

from . import pretrained, scorer_options
from .aggregation import additive, mean_of_defined, values_and_counts
from .pretrained import mean_log_likelihoods

LEGACY_ROUGE_KINDS = ("rouge1", "rouge2", "rougeL", "rougeLsum")
_PARTS = ("fmeasure", "precision", "recall")
ABBREVIATIONS = {"dr", "jr", "mr", "mrs", "ms", "prof", "sr", "st", "vs"}


@dataclass(frozen=True)
class ParaphraseOpt:
    """Means over rows of ln p(source | output), unsmoothed sentence BLEU and ROUGE of output
    against source, 0 to 1.

    Two details differ, and neither moves a text of one sentence within the model's limit:
    ROUGE-Lsum cuts sentences by Punkt with a short list of abbreviations, where the original's
    trained list is a download; and longer texts are cut at the model's limit, where the original
    fails.
    """

    runtime: Runtime
    model: str = "facebook/bart-large-cnn"

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
        return Signature(
            "paraphrase-opt",
            (*pretrained.checkpoint_items(self.model, self.runtime), *rules.items()),
        )

    def measure(
        self, examples: Sequence[Example], texts: Sequence[str]
    ) -> Float[np.ndarray, "N 28"]:
        pairs = [(text, example.source) for example, text in zip(examples, texts, strict=True)]
        likelihood = mean_log_likelihoods(*self._loaded, pairs, self.runtime)
        scorer = RougeScorer(LEGACY_ROUGE_KINDS)
        return values_and_counts(
            np.array([[likelihood[pair], bleu(*pair), *_rouge(scorer, *pair)] for pair in pairs])
        )

    @additive
    def combine(
        self, statistics: Float[np.ndarray, "*draws N 28"]
    ) -> Float[np.ndarray, "*draws 14"]:
        return mean_of_defined(statistics)

    def release(self) -> None:
        """Let go of the model; the next ``measure`` loads it again."""
        self.__dict__.pop("_loaded", None)

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        return load_seq2seq(locate(self.model), self.runtime)


def bleu(text: str, source: str) -> float:
    """BLEU of one text, 0 to 1: no smoothing, so 0 where any order from 1 to 4 has no match
    (Papineni et al. 2002).
    """
    words, kept = text.split(), source.split()
    logarithms = []
    for order in range(1, 5):
        matches, total = (
            (_ngrams(words, order) & _ngrams(kept, order)).total(),
            len(words) - order + 1,
        )
        if matches == 0:
            return 0.0
        logarithms.append(math.log(matches / total))
    brevity = min(0.0, 1 - len(kept) / len(words))
    return math.exp(brevity + sum(logarithms) / 4)


def _ngrams(words: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(words[start:] for start in range(order)), strict=False))


def _rouge(scorer: RougeScorer, text: str, source: str) -> list[float]:
    found = scorer.score(_by_line(source), _by_line(text))
    return [getattr(found[kind], part) for kind in LEGACY_ROUGE_KINDS for part in _PARTS]


def _by_line(text: str) -> str:
    """One sentence a line, for ROUGE-Lsum; the other kinds read line ends as spaces."""
    return "\n".join(" ".join(sentence.split()) for sentence in _sentences().tokenize(text))


@cache
def _sentences() -> PunktSentenceTokenizer:
    rules = PunktParameters()
    rules.abbrev_types = set(ABBREVIATIONS)
    return PunktSentenceTokenizer(rules)


def build(variant: str, setting: BuildContext) -> Scorer:
    """Build ``paraphrase-opt``; option: ``model`` (folder or hub id of the BART that scores)."""
    scorer_options.no_variant("paraphrase-opt", variant)
    return ParaphraseOpt(
        setting.runtime, **scorer_options.read_options("paraphrase-opt", setting, model=str)
    )
