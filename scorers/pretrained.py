"""What scorers with models share: how a checkpoint is named in a signature, and how long its texts
may be, their likelihoods.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from parabench.contracts import Runtime
from parabench.models.checkpoints import locate

SourceTarget = tuple[str, str]


def checkpoint_items(model: str, runtime: Runtime) -> tuple[tuple[str, str], ...]:
    """The signature's items for a model: its short name, digest and arithmetic; finds and checks
    every file.
    """
    checkpoint = locate(model)
    name = checkpoint.path if checkpoint.revision else Path(checkpoint.path).name
    return (("model", name), ("digest", checkpoint.digest[:12]), ("dtype", runtime.dtype))


def max_tokens(model: Any, tokenizer: Any) -> int:
    """How many tokens the model takes, special ones included."""
    limit = getattr(model.config, "max_position_embeddings", None) or tokenizer.model_max_length
    positions = getattr(getattr(model.base_model, "embeddings", None), "position_embeddings", None)
    offset = getattr(positions, "padding_idx", None)  # RoBERTa numbers its positions from there
    return int(min(limit - (0 if offset is None else offset + 1), tokenizer.model_max_length))


def mean_log_likelihoods(
    model: Any, tokenizer: Any, pairs: Iterable[SourceTarget], runtime: Runtime
) -> Mapping[SourceTarget, float]:
    """Mean ln p of target's tokens given source, specials included, for each distinct (source,
    target) once.

    Texts are cut at the model's limit. Yuan et al. 2021; neulab/BARTScore.
    """
    from parabench.inference.likelihood import seq2seq_log_likelihood

    distinct = list(dict.fromkeys(pairs))
    texts = list(dict.fromkeys(text for pair in distinct for text in pair))
    encoded = tokenizer(texts, truncation=True, max_length=max_tokens(model, tokenizer)).input_ids
    ids = dict(zip(texts, map(tuple, encoded), strict=True))
    sums = seq2seq_log_likelihood(
        model, [(ids[source], ids[target]) for source, target in distinct], runtime
    )
    return dict(zip(distinct, (sums[:, 0] / sums[:, 1]).tolist(), strict=True))
