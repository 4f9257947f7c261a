"""Prompts as token ids, some of which may be virtual, and the prefixes that prompts share."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

SHORTEST_SHARED_PREFIX = 8
"""Rows that agree in so many leading ids are grouped, and share what all of them begin with."""
MOST_SHARED_PREFIXES = 16
"""Prefixes kept, those that save most: tasks are few, and keys and values of each stay in memory.
"""

TokenIds = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class PromptIds:
    """One prompt of T ids: token ids, and ``-1 - k`` for row k of ``virtual``.

    ``virtual`` are P virtual-token embeddings of the model's width H. Raises ValueError where an
    id means a row that ``virtual`` does not have.
    """

    ids: TokenIds
    virtual: Float[Tensor, "P H"] | None = None

    def __post_init__(self) -> None:
        rows = 0 if self.virtual is None else len(self.virtual)
        lowest = min(self.ids, default=0)
        if lowest < -rows:
            row = _virtual_row(lowest)
            raise ValueError(f"the id {lowest} means row {row} of {rows} virtual rows")


def _virtual_row(token: int) -> int:
    """The row of the virtual embeddings that a negative id means: 0 for -1, 1 for -2."""
    return -1 - token


class SharedPrefixes(NamedTuple):
    """Prefixes that prompts share: prompt i begins with ``rows[prefix_index[i]]``.

    ``rows[0]`` is empty, for the prompts that share nothing.
    """

    rows: list[PromptIds]
    prefix_index: list[int]

    def rest(self, position: int, row: PromptIds) -> PromptIds:
        """The part of a prompt behind its shared prefix, at least one id.

        ``row`` is the prompt at ``position``.
        """
        prefix = self.rows[self.prefix_index[position]]
        ids = row.ids[len(prefix.ids) :]
        return PromptIds(ids, row.virtual)


class _Group(NamedTuple):
    """Positions of prompts that begin alike, and all that they begin with."""

    prefix: TokenIds
    members: list[int]

    def saved_tokens(self) -> int:
        """The prefix is computed once instead of once a member."""
        return len(self.prefix) * (len(self.members) - 1)


def shared_prefixes(rows: Sequence[PromptIds]) -> SharedPrefixes:
    """Find the prefixes most worth caching, 16 at most.

    Rows with the same first 8 ids (and the same virtual rows) form a group, which shares the
    longest prefix common to all of it. Every row keeps at least one id of its own, for decoding
    needs one to continue from.
    """
    groups = _groups(rows)
    # Python's sort keeps the order of groups that save as much, and so does "reverse"
    groups.sort(key=_Group.saved_tokens, reverse=True)
    prefixes = [PromptIds(())]
    prefix_index = [0] * len(rows)
    for group in groups[:MOST_SHARED_PREFIXES]:
        for position in group.members:
            prefix_index[position] = len(prefixes)
        first = rows[group.members[0]]
        prefixes.append(PromptIds(group.prefix, first.virtual))
    return SharedPrefixes(prefixes, prefix_index)


def _groups(rows: Sequence[PromptIds]) -> list[_Group]:
    """Prompts that begin alike: two or more a group, in the order of their first ones."""
    alike: defaultdict[tuple[int, TokenIds], list[int]] = defaultdict(list)
    for position, row in enumerate(rows):
        if len(row.ids) > SHORTEST_SHARED_PREFIX:
            start = row.ids[:SHORTEST_SHARED_PREFIX]
            # equal negative ids mean equal embeddings only within one table of virtual rows
            key = (id(row.virtual), start)
            alike[key].append(position)
    groups = []
    for members in alike.values():
        if len(members) > 1:
            # the last id stays out: it is the one that a row keeps of its own
            shareable = [rows[at].ids[:-1] for at in members]
            prefix = _common_prefix(shareable)
            groups.append(_Group(prefix, members))
    return groups


def _common_prefix(sequences: Sequence[TokenIds]) -> TokenIds:
    # in the order of tuples, a prefix common to the first and the last is common to all between
    first = min(sequences)
    last = max(sequences)
    agreed = 0
    for one, other in zip(first, last, strict=False):
        if one != other:
            break
        agreed += 1
    return first[:agreed]


def embed(model: PreTrainedModel, rows: Sequence[PromptIds]) -> Float[Tensor, "T H"]:
    """Input embeddings of all prompts end to end, virtual rows in their places.

    In the dtype and on the device of ``model``; T is the sum of the lengths of ``rows``.
    """
    table: Any = model.get_input_embeddings()
    all_ids = [token for row in rows for token in row.ids]
    ids = torch.tensor(all_ids, device=model.device)
    # virtual ids look up row 0 first, and are replaced below
    embeds = table(ids.clamp(min=0))
    lengths = [len(row.ids) for row in rows]
    # views of ``embeds``, so that what is written into a part stands in the whole
    parts = embeds.split(lengths)
    for row, part in zip(rows, parts, strict=True):
        positions = []
        virtual_rows = []
        for position, token in enumerate(row.ids):
            if token < 0:
                positions.append(position)
                virtual_rows.append(_virtual_row(token))
        if positions and row.virtual is not None:
            taken = row.virtual[virtual_rows]
            part[positions] = taken.to(part)
    return embeds


def row_seeds(contents: Sequence[TokenIds], seed: int) -> list[int]:
    """One random seed a row, so that sampling does not depend on the batch.

    ``contents`` are the rows' ids, ``seed`` is the run's. Equal rows get different seeds, by how
    many equal ones came before.
    """
    seen: Counter[TokenIds] = Counter()
    seeds = []
    for ids in contents:
        written = ",".join(map(str, ids))
        key = f"{seed}|{seen[ids]}|{written}"
        seen[ids] += 1
        digest = hashlib.sha256(key.encode()).digest()
        number = int.from_bytes(digest[:8])
        # 63 bits, for torch's seeds are signed
        seeds.append(number >> 1)
    return seeds
