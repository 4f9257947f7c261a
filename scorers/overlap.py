"""What several overlap scorers share: BLEU's statistics and how they become a score; sacrebleu's
signatures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float
from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.helpers import extract_all_word_ngrams

from parabench.contracts import BuildContext

from . import scorer_options
from .parallel import CACHED_TEXTS, Count
from .segment import uncached

BLEU_STATISTICS = 10
"""Statistics per text: hypothesis and reference length, then matches and totals of orders 1 to
4.
"""


def bleu_options(scorer: str, setting: BuildContext) -> dict[str, Any]:
    """The options ``tokenize`` and ``lowercase``, checked; only sacrebleu's tokenizers that need no
    download.
    """
    given = scorer_options.read_options(scorer, setting, tokenize=str, lowercase=bool)
    scorer_options.choose(
        scorer, "tokenize", given.get("tokenize", "13a"), ("13a", "none", "intl", "char", "zh")
    )
    return given


def bleu_counter(tokenize: str = "13a", lowercase: bool = False) -> Count:
    """BLEU's ten statistics of a text against its references, as sacrebleu counts them; each text
    is cut up once.
    """
    metric = BLEU(tokenize=tokenize, lowercase=lowercase)
    metric.tokenizer = uncached(metric.tokenizer)

    @lru_cache(CACHED_TEXTS)
    def grams(text: str) -> tuple[Mapping[tuple[str, ...], int], int]:
        return extract_all_word_ngrams(metric._preprocess_segment(text), 1, metric.max_ngram_order)

    def count(text: str, references: Sequence[str]) -> list[float]:
        own, length = grams(text)
        theirs, lengths = zip(*map(grams, references), strict=True)
        matches, totals = [0.0] * metric.max_ngram_order, [0.0] * metric.max_ngram_order
        for gram, times in own.items():
            totals[len(gram) - 1] += times
            matches[len(gram) - 1] += min(times, max(one.get(gram, 0) for one in theirs))
        return [length, metric._get_closest_ref_len(length, list(lengths)), *matches, *totals]

    return count


def corpus_bleu(sums: Float[np.ndarray, "*draws 10"]) -> Float[np.ndarray, "*draws"]:
    """Corpus BLEU in percent from summed statistics, exponential smoothing, as sacrebleu's
    ``compute_bleu``.

    Post 2018, "A Call for Clarity in Reporting BLEU Scores"; smoothing: Chen and Cherry 2014,
    method 3.
    """
    length, reference_length, matches, totals = (
        sums[..., 0],
        sums[..., 1],
        sums[..., 2:6],
        sums[..., 6:],
    )
    halvings = 2.0 ** np.cumsum(matches == 0, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precisions = np.where(matches > 0, matches, 1 / halvings) / totals
        brevity = np.exp(np.minimum(0.0, 1 - reference_length / length))
        score = 100 * brevity * np.exp(np.log(precisions).mean(axis=-1))
    return np.where((matches > 0).any(axis=-1) & (totals > 0).all(axis=-1), score, 0.0)


def sacrebleu_items(metric: Metric) -> tuple[tuple[str, str], ...]:
    """Sacrebleu's own signature of a metric; ``nrefs:var`` because examples may differ in how many
    they have.
    """
    metric.num_refs = -1
    items = (item.partition(":") for item in str(metric.get_signature()).split("|"))
    return tuple((key, value) for key, _, value in items)
