"""What scorers with models share: loading, a model's name in signatures, lengths, likelihoods."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from parabench.contracts import ModelCache, Runtime
from parabench.data.filters import TextPair
from parabench.models.checkpoints import locate
from parabench.models.local import Checkpoint

_Load = Callable[[Checkpoint, Runtime], tuple[Any, Any]]


class ScorerModel(NamedTuple):
    """A model loaded for a scorer, and its tokenizer."""

    model: Any
    tokenizer: Any


def scorer_model(models: ModelCache, load: _Load, name: str, runtime: Runtime) -> ScorerModel:
    """Return the model ``name``, loaded by ``load`` at the first call.

    ``models`` holds it until another model is asked for, or until it is cleared; scorers of one run
    have one cache, so that those with one model load it once. ``runtime``: device and arithmetic.

    Raises UserError where the model cannot be found or read.
    """
    return models.get(_loaded, load, name, runtime)


def _loaded(load: _Load, name: str, runtime: Runtime) -> ScorerModel:
    model, tokenizer = load(locate(name), runtime)
    return ScorerModel(model, tokenizer)


def checkpoint_items(model: str, runtime: Runtime) -> tuple[tuple[str, str], ...]:
    """Return the signature's items for a ``model``: its short name, digest and arithmetic.

    ``runtime`` gives the arithmetic. Finds and checks every file; raises UserError where one is
    missing.
    """
    checkpoint = locate(model)
    name = checkpoint.path
    if not checkpoint.revision:
        # of a folder the last part alone: where it is on this machine is nobody's business
        name = Path(checkpoint.path).name
    return (
        ("model", name),
        ("digest", checkpoint.digest[:12]),
        ("dtype", runtime.dtype),
    )


def max_tokens(model: Any, tokenizer: Any) -> int:
    """Return how many tokens the model takes, special ones included."""
    limit = getattr(model.config, "max_position_embeddings", None) or tokenizer.model_max_length
    embeddings = getattr(model.base_model, "embeddings", None)
    positions = getattr(embeddings, "position_embeddings", None)
    # RoBERTa numbers its positions from the id of padding, plus 1: its table has so many rows more
    offset = getattr(positions, "padding_idx", None)
    if offset is not None:
        limit -= offset + 1
    return int(min(limit, tokenizer.model_max_length))


def mean_log_likelihoods(
    loaded: ScorerModel, pairs: Iterable[TextPair], runtime: Runtime
) -> Mapping[TextPair, float]:
    """Return mean ln p of the target's tokens given the source, for each distinct pair.

    ``pairs`` are (source, target); special tokens count. Texts are cut at the limit of the
    ``loaded`` model. ``runtime`` gives the batch size. Yuan et al. 2021; neulab/BARTScore.
    """
    from parabench.inference.likelihood import seq2seq_log_likelihood

    model, tokenizer = loaded
    distinct = list(dict.fromkeys(pairs))
    # each text is cut up once, whichever side of a pair it is on
    texts = list(dict.fromkeys(text for pair in distinct for text in pair))
    limit = max_tokens(model, tokenizer)
    encoded = tokenizer(texts, truncation=True, max_length=limit).input_ids
    ids = {text: tuple(row) for text, row in zip(texts, encoded, strict=True)}
    id_pairs = [(ids[source], ids[target]) for source, target in distinct]
    sums = seq2seq_log_likelihood(model, id_pairs, runtime)  # [M, 2]: ln p, tokens
    means = sums[:, 0] / sums[:, 1]
    return dict(zip(distinct, means.tolist(), strict=True))
