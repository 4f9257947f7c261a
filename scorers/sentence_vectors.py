"""Sentence vectors: token vectors of an encoder pooled as sentence-transformers pools them.

Reimers and Gurevych 2019, "Sentence-BERT", section 3; huggingface/sentence-transformers,
``models/Pooling.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from parabench.contracts import Runtime
from parabench.inference.batching import by_length, in_batches

from . import pretrained
from .pooling import PoolingRule
from .pretrained import ScorerModel

_BATCH = 64
"""Texts encoded at once, at most."""

_SHORTEST = 1e-12
"""Least length of a vector that is divided by, as in torch's ``normalize``."""


def unit_vectors(
    loaded: ScorerModel, rule: PoolingRule, texts: Sequence[str], runtime: Runtime
) -> Mapping[str, Float[np.ndarray, " V"]]:
    """Return the vector of each text, of length 1, so that products are cosines.

    ``loaded``: the encoder. ``rule``: how vectors are made. ``runtime`` gives the batch size.
    """
    rows = _tokenise(loaded, rule, texts)

    @torch.inference_mode()
    def run(batch: Sequence[int]) -> tuple[Sequence[int], Float[np.ndarray, "B V"]]:
        padded = loaded.tokenizer.pad([rows[at] for at in batch], return_tensors="pt")
        padded = padded.to(loaded.model.device)
        hidden = loaded.model(**padded)[0].float()
        pooled = pool(hidden, padded["attention_mask"], rule.ways)
        return batch, pooled.double().cpu().numpy()

    vectors = {}
    order = by_length([len(row["input_ids"]) for row in rows])
    for batch, found in in_batches(order, run, runtime.batch_size, _BATCH, model=loaded.model):
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        unit = found / np.maximum(lengths, _SHORTEST)
        for at, vector in zip(batch, unit, strict=True):
            vectors[texts[at]] = vector
    return vectors


def _tokenise(
    loaded: ScorerModel, rule: PoolingRule, texts: Sequence[str]
) -> list[dict[str, list[int]]]:
    """Token ids and masks of each text, cut at the rule's limit or the model's."""
    model, tokenizer = loaded
    limit = pretrained.max_tokens(model, tokenizer)
    if rule.max_tokens is not None:
        limit = min(limit, rule.max_tokens)
    rows = []
    for text in texts:
        # as sentence-transformers does: outer spaces are no part of a sentence
        stripped = text.strip()
        folded = stripped.lower() if rule.lowercase else stripped
        encoded = tokenizer(folded, truncation=True, max_length=limit)
        rows.append(dict(encoded))
    return rows


def pool(
    hidden: Float[Tensor, "B T H"], mask: Int[Tensor, "B T"], ways: tuple[str, ...]
) -> Float[Tensor, "B V"]:
    """Return one vector for each text of a batch, from its token vectors.

    ``hidden``: vectors of every token; ``mask``: 1 for a token, 0 for padding; ``ways``: some of
    ``POOLINGS``, whose vectors are joined end to end, so that V is H for each.
    """
    is_token = mask[:, :, None].to(hidden.dtype)  # [B, T, 1]
    # special tokens count as any other token, and a text has at least one
    lengths = is_token.sum(dim=1)  # [B, 1]
    total = (hidden * is_token).sum(dim=1)  # [B, H]
    vectors = []
    for way in ways:
        if way == "cls":
            # padding is on the right: the first position is the first token
            vectors.append(hidden[:, 0])
        elif way == "max":
            vectors.append(hidden.masked_fill(is_token == 0, -torch.inf).amax(dim=1))
        elif way == "mean":
            vectors.append(total / lengths)
        else:
            vectors.append(total / lengths.sqrt())
    return torch.cat(vectors, dim=1)
