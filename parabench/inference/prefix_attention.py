"""Attention to a beginning that rows share, by one product for all of them, and to what each row
has of its own.

The two softmaxes are one, over the joined scores (cascade attention: Juravsky et al. 2024,
Hydragen). Gradients flow through it, so that decoding, likelihood and training behind a prompt are
the same computation.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import pad

from parabench.inference.attention import Flat


def cascade_attention(
    query: Float[Tensor, "B kv Q X"],
    shared: tuple[Float[Tensor, "S kv X"], Float[Tensor, "S kv X"]],
    own: Sequence[tuple[Float[Tensor, "b kv k X"], Float[Tensor, "b kv k X"]]],
    unseen: Bool[Tensor, "B 1 1 S"] | None,
    later: Bool[Tensor, "*B 1 Q K"],
) -> Float[Tensor, "B kv Q X"]:
    """What scaled queries make of shared and own keys and values, where they see neither the
    ``unseen`` of the shared nor the ``later`` of their own. Rows may come in parts, b of them with
    k places of their own, K at the most.
    """
    shared_keys, shared_values = (part.transpose(0, 1) for part in shared)
    ahead = _by_row(_by_head(query) @ shared_keys.transpose(1, 2), len(query))
    if unseen is not None:
        ahead = ahead.masked_fill_(unseen, float("-inf"))
    sizes = [len(keys) for keys, _ in own]
    found = [
        asked @ keys.transpose(2, 3)
        for asked, (keys, _) in zip(query.split(sizes), own, strict=True)
    ]
    behind = _joined([pad(part, (0, later.shape[3] - part.shape[3])) for part in found])
    behind = behind.masked_fill_(later, float("-inf"))
    weights = torch.cat([ahead, behind], dim=3).softmax(dim=3, dtype=torch.float32).to(query.dtype)
    to_shared, to_own = weights.split([ahead.shape[3], behind.shape[3]], dim=3)
    pairs = zip(to_own.split(sizes), own, strict=True)
    mixed = _joined([part[..., : values.shape[2]] @ values for part, (_, values) in pairs])
    return mixed + _by_row(_by_head(to_shared) @ shared_values, len(query))


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat(list(parts)) if len(parts) > 1 else parts[0]


def _by_head(rows: Float[Tensor, "B kv Q X"]) -> Float[Tensor, "kv BQ X"]:
    return rows.transpose(0, 1).flatten(1, 2)


def _by_row(heads: Float[Tensor, "kv BQ X"], rows: int) -> Float[Tensor, "B kv Q X"]:
    return heads.unflatten(1, (rows, -1)).transpose(0, 1)


class PrefixAttention:
    """Attention of whole rows, laid end to end: to what is shared, and causally to their own row.

    ``unseen`` says which places of what is shared a row does not see; None, that every row sees
    all.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        device: torch.device,
        unseen: Bool[Tensor, "B 1 1 S"] | None = None,
    ) -> None:
        longest, self.unseen = max(lengths), unseen
        self.grid = len(lengths), longest
        self.places = torch.cat(
            [torch.arange(length) + row * longest for row, length in enumerate(lengths)]
        ).to(device)
        # a padded key stands behind all real ones of its row, so that causality alone hides it
        self.later = torch.ones(longest, longest, dtype=torch.bool, device=device).triu(1)[
            None, None
        ]

    def attend(
        self, query: Flat, key: Flat, value: Flat, shared: tuple[Flat, Flat], scaling: float | None
    ) -> Flat:
        """The flat results; ``shared`` are the keys and values that stand before the rows."""
        kv, width = key.shape[1:]
        scaled = query * (width**-0.5 if scaling is None else scaling)
        # row, head of keys, heads of queries that share it, query, width
        asked = self._padded(scaled).unflatten(2, (kv, -1)).permute(0, 2, 3, 1, 4)
        own = self._padded(key).transpose(1, 2), self._padded(value).transpose(1, 2)
        later = self.later.repeat(1, 1, asked.shape[2], 1)
        result = cascade_attention(asked.flatten(2, 3), shared, [own], self.unseen, later).view(
            asked.shape
        )
        return (
            result.permute(0, 3, 1, 2, 4).flatten(2, 3).flatten(0, 1).index_select(0, self.places)
        )

    def _padded(self, flat: Flat) -> Float[Tensor, "B Q heads X"]:
        rows, longest = self.grid
        grid = flat.new_zeros(
            rows * longest, *flat.shape[1:]
        )  # by copying, whose gradient is the cheaper one
        return grid.index_copy_(0, self.places, flat).unflatten(0, self.grid)
