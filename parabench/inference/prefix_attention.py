"""Attention behind a shared prefix: rows attend to the prefix by one product for all of them, and
to their own tokens each by itself.

Both parts go through one softmax over the joined scores (cascade attention: Juravsky et al. 2024,
Hydragen, section 3). Gradients flow through it, so that decoding, likelihood and training behind a
prompt are one computation.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from parabench.inference.attention import KeysValues, Queries


def cascade_attention(
    query: Float[Tensor, "B kv Q X"],
    shared: tuple[Float[Tensor, "S kv X"], Float[Tensor, "S kv X"]],
    own: Sequence[tuple[Float[Tensor, "_ kv _ X"], Float[Tensor, "_ kv _ X"]]],
    unseen: Bool[Tensor, "B 1 1 S"] | None,
    later: Bool[Tensor, "#B 1 #Q K"],
) -> Float[Tensor, "B kv Q X"]:
    """Attention over a shared prefix and each row's own keys, one softmax over both.

    ``query``: scaled queries. Q counts the queries of a row times the query heads that share one
    key head (grouped-query attention), so that no key is copied for them.
    ``shared``: keys and values of the prefix, S positions.
    ``own``: keys and values of the rows, in chunks of rows that follow one another; each chunk
    has as many positions as its longest row, K at the most.
    ``unseen``: True where a row does not see a prefix position; None, every row sees all.
    ``later``: True where a query does not see a position of its own row.
    """
    rows = len(query)
    keys, values = shared
    shared_keys = keys.transpose(0, 1)  # [kv, S, X]
    shared_values = values.transpose(0, 1)
    # one product a head for the queries of all rows
    scores_by_head = _by_head(query) @ shared_keys.transpose(1, 2)  # [kv, B * Q, S]
    shared_scores = _by_row(scores_by_head, rows)
    if unseen is not None:
        shared_scores = shared_scores.masked_fill_(unseen, float("-inf"))
    own_scores = _own_scores(query, own, later)
    scores = torch.cat([shared_scores, own_scores], dim=3)  # [B, kv, Q, S + K]
    # in float32, for bfloat16 has too few digits to sum many small weights
    weights = scores.softmax(dim=3, dtype=torch.float32).to(query.dtype)
    positions = [shared_scores.shape[3], own_scores.shape[3]]
    to_shared, to_own = weights.split(positions, dim=3)
    averages_by_head = _by_head(to_shared) @ shared_values  # [kv, B * Q, X]
    from_shared = _by_row(averages_by_head, rows)
    from_own = _own_values(to_own, own)
    return from_own + from_shared


def _own_scores(
    query: Float[Tensor, "B kv Q X"],
    own: Sequence[tuple[Tensor, Tensor]],
    later: Bool[Tensor, "#B 1 #Q K"],
) -> Float[Tensor, "B kv Q K"]:
    """Scores of the queries at their own rows' keys, masked; chunks padded to K positions."""
    sizes = [len(keys) for keys, _ in own]
    most = later.shape[3]
    chunks = []
    for chunk, (keys, _) in zip(query.split(sizes), own, strict=True):
        scores = chunk @ keys.transpose(2, 3)
        missing = most - scores.shape[3]
        chunks.append(pad(scores, (0, missing)))
    # what was padded is masked here as well: it lies behind every row's last token
    return _joined(chunks).masked_fill_(later, float("-inf"))


def _own_values(
    weights: Float[Tensor, "B kv Q K"], own: Sequence[tuple[Tensor, Tensor]]
) -> Float[Tensor, "B kv Q X"]:
    """The rows' own values, averaged by the weights."""
    sizes = [len(values) for _, values in own]
    chunks = []
    for chunk, (_, values) in zip(weights.split(sizes), own, strict=True):
        # without the weights of positions that were padded to join the scores
        positions = values.shape[2]
        chunks.append(chunk[..., :positions] @ values)
    return _joined(chunks)


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """The chunks as one tensor; a single one is not copied."""
    if len(parts) == 1:
        return parts[0]
    return torch.cat(list(parts))


def _by_head(rows: Float[Tensor, "B kv Q X"]) -> Float[Tensor, "kv B*Q X"]:
    """All rows' queries of one head together: what meets the shared keys in one product."""
    return rows.transpose(0, 1).flatten(1, 2)


def _by_row(heads: Float[Tensor, "kv BQ X"], rows: int) -> Float[Tensor, "{rows} kv Q X"]:
    """The inverse of ``_by_head``."""
    return heads.unflatten(1, (rows, -1)).transpose(0, 1)


def prefix_mask(
    shared: slice,
    starts: Int[Tensor, " B"],
    stops: Int[Tensor, " B"],
) -> Bool[Tensor, "B 1 1 S"]:
    """True where a row does not see a position of the cached prefixes.

    ``shared`` are the positions that are read, of which row b sees ``starts[b]`` to ``stops[b]``.
    """
    position = torch.arange(shared.start, shared.stop, device=starts.device)
    before = position < starts[:, None]
    behind = position >= stops[:, None]
    unseen = before | behind  # [B, S]
    return unseen[:, None, None]


class TokenGrid:
    """Flat tokens of B rows on a grid of ``rows`` by ``width``, and back.

    ``cells`` is where each token stands, the grid read line by line; None where it is full.
    """

    def __init__(self, rows: int, width: int, cells: Int[Tensor, " T"] | None) -> None:
        self.size = rows, width
        self.cells = cells

    def spread(self, flat: Float[Tensor, "T heads X"]) -> Float[Tensor, "B W heads X"]:
        """The tokens on the grid, zeros where there is none."""
        if self.cells is None:
            return flat.unflatten(0, self.size)
        rows, width = self.size
        zeros = flat.new_zeros(rows * width, *flat.shape[1:])
        # copying into zeros has a cheaper gradient than gathering from the flat states
        filled = zeros.index_copy_(0, self.cells, flat)
        return filled.unflatten(0, self.size)

    def by_key_head(
        self, flat: Float[Tensor, "T heads X"], kv_heads: int
    ) -> Float[Tensor, "B kv Q X"]:
        """Queries as ``cascade_attention`` takes them; those of one query head are neighbours."""
        grid = self.spread(flat)
        # query heads come in groups that share a key head
        grouped = grid.unflatten(2, (kv_heads, -1))  # [B, W, kv, group, X]
        return grouped.permute(0, 2, 3, 1, 4).flatten(2, 3)

    def by_token(self, result: Float[Tensor, "B kv Q X"]) -> Float[Tensor, "T heads X"]:
        """The inverse of ``by_key_head``."""
        per_head = result.unflatten(2, (-1, self.size[1]))  # [B, kv, group, W, X]
        grid = per_head.permute(0, 3, 1, 2, 4)  # [B, W, kv, group, X]
        cells = grid.flatten(2, 3).flatten(0, 1)
        return cells if self.cells is None else cells.index_select(0, self.cells)

    def mask(self, later: Bool[Tensor, "#B 1 W K"], queries: int) -> Bool[Tensor, "#B 1 #Q K"]:
        """A mask of each token for all of ``queries``, those of a row and key head."""
        width = self.size[1]
        # of one token it spreads by itself
        return later if width == 1 else later.repeat(1, 1, queries // width, 1)


class PrefixAttention:
    """Attention of whole rows, laid end to end: to a shared prefix, and causally to their own row.

    ``lengths`` are the rows' numbers of tokens, ``unseen`` says which prefix positions a row does
    not see (None: every row sees all).
    """

    def __init__(
        self,
        lengths: Sequence[int],
        device: torch.device,
        unseen: Bool[Tensor, "B 1 1 S"] | None = None,
    ) -> None:
        longest = max(lengths)
        self.unseen = unseen
        # where each token stands on a grid of rows padded to the longest, read line by line
        cells = []
        for row, length in enumerate(lengths):
            start = row * longest
            cells.append(torch.arange(length) + start)
        self.grid = TokenGrid(len(lengths), longest, torch.cat(cells).to(device))
        # a padded key stands behind all real ones of its row, so that causality alone hides it
        pairs = torch.ones(longest, longest, dtype=torch.bool, device=device)
        later = pairs.triu(1)
        self.later = later[None, None]

    def attend(
        self,
        query: Queries,
        key: KeysValues,
        value: KeysValues,
        shared: tuple[Float[Tensor, "P kv_heads width"], Float[Tensor, "P kv_heads width"]],
        scaling: float | None,
    ) -> Queries:
        """The attention output of each flat query.

        ``key`` and ``value`` are the rows' own, ``shared`` the keys and values of the P prefix
        positions before them, and ``scaling`` multiplies the scores (None: width ** -0.5).
        """
        kv_heads, width = key.shape[1:]
        if scaling is None:
            scaling = width**-0.5
        queries = self.grid.by_key_head(query * scaling, kv_heads)
        own_keys = self.grid.spread(key).transpose(1, 2)  # [B, kv, T, X]
        own_values = self.grid.spread(value).transpose(1, 2)
        own = [(own_keys, own_values)]
        later = self.grid.mask(self.later, queries.shape[2])
        result = cascade_attention(queries, shared, own, self.unseen, later)
        return self.grid.by_token(result)
