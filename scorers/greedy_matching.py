"""Greedy cosine matching of encoded texts: every token of one to the nearest of the other.

The matching is bert-score's own function. Its tokenisation is not called, because under
transformers 5 it silently drops the leading space that byte-level BPE needs, and fails on empty
text and on tokenizers without a length limit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from parabench.data.filters import TextPair

from .token_vectors import TokenVectors

PAIRS = 64
"""Pairs matched at once."""


def greedy_matches(
    encoded: TokenVectors, weights: Float[np.ndarray, " S"], pairs: Sequence[TextPair]
) -> Float[np.ndarray, "M 3"]:
    """Return precision, recall and F of ``pairs`` of encoded texts.

    Those of like length are matched together. ``weights``: how much each token of ``encoded``
    counts, 0 for not at all. Zhang et al. 2020, section 3.
    """
    of_token = torch.tensor(weights, dtype=torch.float32, device=encoded.vectors.device)
    place_of = encoded.places
    places = [(place_of[text], place_of[reference]) for text, reference in pairs]
    both = np.array(places, dtype=np.int64).reshape(-1, 2)  # [M, 2], also of no pairs
    text_lengths, reference_lengths = encoded.lengths[both].T
    # little padding: by the texts' length, then by the references'; a tie keeps its order
    order = np.lexsort((reference_lengths, text_lengths))
    result = np.empty((len(pairs), 3))
    for start in range(0, len(order), PAIRS):
        chosen = order[start : start + PAIRS]
        text_places, reference_places = both[chosen].T
        texts = _stack(encoded, of_token, text_places)
        references = _stack(encoded, of_token, reference_places)
        result[chosen] = _greedy(texts, references)
    return result


_Stack = tuple[Float[Tensor, "B _ H"], Float[Tensor, "B _"], Float[Tensor, "B _"]]
"""Vectors, mask and weights of B texts of equal length, as bert-score takes them."""


@torch.inference_mode()
def _greedy(text: _Stack, reference: _Stack) -> Float[np.ndarray, "B 3"]:
    from bert_score.utils import greedy_cos_idf

    # a text of special tokens alone scores 0, as in bert-score, which divides the weights in place
    is_empty = (text[2].sum(dim=1) == 0) | (reference[2].sum(dim=1) == 0)
    columns = torch.stack(greedy_cos_idf(*reference, *text), dim=1)
    columns[is_empty] = 0.0
    return columns.double().cpu().numpy()


def _stack(
    encoded: TokenVectors, weights: Float[Tensor, " S"], places: Int64[np.ndarray, " B"]
) -> _Stack:
    """The texts of these numbers side by side, shorter ones lengthened by their own last token.

    Such a token weighs nothing and is as near to any other as the last one is, so that the greatest
    cosine is that of the text alone. bert-score masks padding by a cosine of 0, which is greater
    than a negative one: there a value depends on the other texts of its batch.
    """
    lengths = encoded.lengths[places, None]  # [B, 1]
    # of two tokens bert-score would think that both are special
    steps = np.arange(max(lengths.max(), 3))
    is_token = steps < lengths  # [B, T]
    flat = encoded.starts[places, None] + np.minimum(steps, lengths - 1)
    device = encoded.vectors.device
    index = torch.from_numpy(flat).to(device)
    vectors = encoded.vectors[index]
    is_weighed = torch.from_numpy(is_token).to(device, torch.float32)
    return vectors, torch.ones_like(is_weighed), weights[index] * is_weighed
