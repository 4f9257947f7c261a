"""Mean log-likelihood of one text given another under an encoder-decoder: what BARTScore is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from parabench.contracts import Runtime
from parabench.inference.likelihood import seq2seq_log_likelihood

from . import checkpoints

Pair = tuple[str, str]


def mean_log_likelihoods(model: Any, tokenizer: Any, pairs: Iterable[Pair], runtime: Runtime) -> Mapping[Pair, float]:
    """Mean ln p of target's tokens given source, specials included, for each distinct (source, target) once.

    Texts are cut at the model's limit. Yuan et al. 2021; neulab/BARTScore.
    """
    distinct = list(dict.fromkeys(pairs))
    texts = list(dict.fromkeys(text for pair in distinct for text in pair))
    encoded = tokenizer(texts, truncation=True, max_length=checkpoints.longest(model, tokenizer)).input_ids
    ids = dict(zip(texts, map(tuple, encoded), strict=True))
    sums = seq2seq_log_likelihood(model, [(ids[source], ids[target]) for source, target in distinct], runtime)
    return dict(zip(distinct, (sums[:, 0] / sums[:, 1]).tolist(), strict=True))
