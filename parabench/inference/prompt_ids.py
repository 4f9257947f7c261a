"""Prompts as token ids, some of which may be virtual, and the prefixes that prompts share."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
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


@dataclass(frozen=True, eq=False)
class PromptIds:
    """One prompt of T ids: token ids, and ``-1 - k`` for row k of ``virtual``.

    ``virtual`` are P virtual-token embeddings of the model's width H. Raises ValueError where an
    id means a row that ``virtual`` does not have.
    """

    ids: tuple[int, ...]
    virtual: Float[Tensor, "P H"] | None = None

    def __post_init__(self) -> None:
        rows = 0 if self.virtual is None else len(self.virtual)
        lowest = min(self.ids, default=0)
        if lowest < -rows:
            raise ValueError(f"the id {lowest} means row {-1 - lowest} of {rows} virtual rows")


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
        return PromptIds(row.ids[len(prefix.ids) :], row.virtual)


def shared_prefixes(rows: Sequence[PromptIds]) -> SharedPrefixes:
    """Find the prefixes most worth caching, 16 at most.

    Rows with the same first 8 ids (and the same virtual rows) form a group, which shares the
    longest prefix common to all of it. Every row keeps at least one id of its own, for decoding
    needs one to continue from.
    """
    alike: defaultdict[tuple[int, tuple[int, ...]], list[int]] = defaultdict(list)
    for position, row in enumerate(rows):
        if len(row.ids) > SHORTEST_SHARED_PREFIX:
            alike[id(row.virtual), row.ids[:SHORTEST_SHARED_PREFIX]].append(position)
    groups = []
    for members in alike.values():
        if len(members) > 1:
            groups.append((_common_prefix([rows[at].ids[:-1] for at in members]), members))
    # tokens saved: the prefix is computed once instead of once a member
    groups.sort(key=lambda group: -len(group[0]) * (len(group[1]) - 1))
    prefixes = [PromptIds(())]
    prefix_index = [0] * len(rows)
    for ids, members in groups[:MOST_SHARED_PREFIXES]:
        for position in members:
            prefix_index[position] = len(prefixes)
        prefixes.append(PromptIds(ids, rows[members[0]].virtual))
    return SharedPrefixes(prefixes, prefix_index)


def _common_prefix(sequences: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    # in the order of tuples, a prefix common to the first and the last is common to all between
    first = min(sequences)
    last = max(sequences)
    agreed = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    return tuple(token for token, _ in agreed)


def embed(model: PreTrainedModel, rows: Sequence[PromptIds]) -> Float[Tensor, "T H"]:
    """Input embeddings of all prompts end to end, virtual rows in their places.

    In the dtype and on the device of ``model``; T is the sum of the lengths of ``rows``.
    """
    table: Any = model.get_input_embeddings()
    all_ids = [token for row in rows for token in row.ids]
    ids = torch.tensor(all_ids, device=model.device)
    embeds = table(ids.clamp(min=0))  # virtual ids look up row 0 first, and are replaced below
    lengths = [len(row.ids) for row in rows]
    for row, part in zip(rows, embeds.split(lengths), strict=True):
        positions = [position for position, token in enumerate(row.ids) if token < 0]
        if positions and row.virtual is not None:
            taken = row.virtual[[-1 - row.ids[position] for position in positions]]
            part[positions] = taken.to(part)
    return embeds


def row_seeds(contents: Sequence[tuple[int, ...]], seed: int) -> list[int]:
    """One random seed a row, so that sampling does not depend on the batch.

    ``contents`` are the rows' ids, ``seed`` is the run's. Equal rows get different seeds, by how
    many equal ones came before.
    """
    seen: Counter[tuple[int, ...]] = Counter()
    seeds = []
    for ids in contents:
        key = f"{seed}|{seen[ids]}|{','.join(map(str, ids))}"
        seen[ids] += 1
        digest = hashlib.sha256(key.encode()).digest()
        # 63 bits, for torch's seeds are signed
        seeds.append(int.from_bytes(digest[:8]) >> 1)
    return seeds
