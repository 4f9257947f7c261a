"""What overlap scorers share: BLEU's statistics, the score made of them, sacrebleu's signatures."""

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
    """Return the options ``tokenize`` and ``lowercase`` that ``setting`` has for a ``scorer``.

    Raises UserError for any other option, and for a tokenizer of sacrebleu's that is a download.
    """
    given = scorer_options.checked_options(scorer, setting, tokenize=str, lowercase=bool)
    chosen = given.get("tokenize", "13a")
    scorer_options.choose(scorer, "tokenize", chosen, ("13a", "none", "intl", "char", "zh"))
    return given


def bleu_counter(tokenize: str = "13a", lowercase: bool = False) -> Count:
    """Return what counts BLEU's ten statistics of a text, as sacrebleu counts them.

    ``tokenize`` is sacrebleu's name of a tokenizer, ``lowercase`` folds case first. Each text is
    cut up once, as long as it is among the last ``CACHED_TEXTS``.
    """
    metric = BLEU(tokenize=tokenize, lowercase=lowercase)
    metric.tokenizer = uncached(metric.tokenizer)
    orders = metric.max_ngram_order

    @lru_cache(CACHED_TEXTS)
    def grams(text: str) -> tuple[Mapping[tuple[str, ...], int], int]:
        """How often a text has each n-gram, and how many tokens it has."""
        segment = metric._preprocess_segment(text)
        return extract_all_word_ngrams(segment, 1, orders)

    def count(text: str, references: Sequence[str]) -> list[float]:
        own, length = grams(text)
        of_references = [grams(reference) for reference in references]
        reference_counts, reference_lengths = zip(*of_references, strict=True)
        matches = [0.0] * orders
        totals = [0.0] * orders
        for gram, times in own.items():
            place = len(gram) - 1
            # clipped: as often as in the reference that has it most often
            allowed = max(counts.get(gram, 0) for counts in reference_counts)
            totals[place] += times
            matches[place] += min(times, allowed)
        closest = metric._get_closest_ref_len(length, list(reference_lengths))
        return [length, closest, *matches, *totals]

    return count


def corpus_bleu(sums: Float[np.ndarray, "*draws 10"]) -> Float[np.ndarray, "*draws"]:
    """Return corpus BLEU in percent from summed statistics, as sacrebleu's ``compute_bleu``.

    With exponential smoothing. Post 2018, "A Call for Clarity in Reporting BLEU Scores"; smoothing:
    Chen and Cherry 2014, method 3.
    """
    length = sums[..., 0]
    reference_length = sums[..., 1]
    matches = sums[..., 2:6]
    totals = sums[..., 6:]
    # smoothing: the first order without a match counts 1/2, the next 1/4, …
    halvings = np.cumsum(matches == 0, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        smoothed = np.where(matches > 0, matches, np.ldexp(1.0, -halvings))
        precisions = smoothed / totals
        brevity = np.exp(np.minimum(0.0, 1 - reference_length / length))
        geometric_mean = np.exp(np.log(precisions).mean(axis=-1))
        score = 100 * brevity * geometric_mean
    # 0 where nothing matches at all, and where a text has no 4-gram to count
    has_match = halvings[..., -1] < matches.shape[-1]
    has_all_orders = (totals > 0).all(axis=-1)
    return np.where(has_match & has_all_orders, score, 0.0)


def sacrebleu_items(metric: Metric) -> tuple[tuple[str, str], ...]:
    """Return sacrebleu's own signature of a metric, as items."""
    # printed as `nrefs:var`: examples may differ in how many references they have
    metric.num_refs = -1
    items = []
    for item in str(metric.get_signature()).split("|"):
        key, _, value = item.partition(":")
        items.append((key, value))
    return tuple(items)
