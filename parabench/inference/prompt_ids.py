"""Prompts as rows of ids, some of which may be virtual; and what the prompts of a call have in
common.
"""

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
"""Rows are held to begin alike where they agree in so many ids."""
MOST_SHARED_PREFIXES = 16
"""So many beginnings are shared, those that save most: tasks are few, and each one's keys and
values stay in memory.
"""


@dataclass(frozen=True, eq=False)
class PromptIds:
    """One prompt: token ids, where ``-1 - k`` stands for row k of ``virtual`` (``[P, H]``, H the
    embeddings' width).
    """

    ids: tuple[int, ...]
    virtual: Float[Tensor, "P H"] | None = None

    def __post_init__(self) -> None:
        rows = 0 if self.virtual is None else len(self.virtual)
        if self.ids and min(self.ids) < -rows:
            raise ValueError(
                f"the id {min(self.ids)} stands for row {-1 - min(self.ids)} of {rows} virtual rows"
            )


class SharedPrefixes(NamedTuple):
    """The beginnings that rows share: row i begins with ``rows[prefix_index[i]]``; ``rows[0]`` is empty,
    for all others.
    """

    rows: list[PromptIds]
    prefix_index: list[int]

    def rest(self, position: int, row: PromptIds) -> PromptIds:
        """What is left of a row behind its shared beginning, at least one id."""
        return PromptIds(row.ids[len(self.rows[self.prefix_index[position]].ids) :], row.virtual)


def shared_prefixes(rows: Sequence[PromptIds]) -> SharedPrefixes:
    """Find the 16 beginnings most worth sharing: the longest common one of all rows whose first 8
    ids agree.

    Every row keeps at least one id of its own, to be continued from.
    """
    alike: defaultdict[tuple[int, tuple[int, ...]], list[int]] = defaultdict(list)
    for position, row in enumerate(rows):
        if len(row.ids) > SHORTEST_SHARED_PREFIX:
            alike[id(row.virtual), row.ids[:SHORTEST_SHARED_PREFIX]].append(position)
    groups = [
        (_common([rows[at].ids[:-1] for at in members]), members) for members in alike.values()
    ]
    groups = [(ids, members) for ids, members in groups if len(members) > 1]
    groups.sort(key=lambda group: -len(group[0]) * (len(group[1]) - 1))
    prefixes, prefix_index = [PromptIds(())], [0] * len(rows)
    for ids, members in groups[:MOST_SHARED_PREFIXES]:
        for position in members:
            prefix_index[position] = len(prefixes)
        prefixes.append(PromptIds(ids, rows[members[0]].virtual))
    return SharedPrefixes(prefixes, prefix_index)


def _common(sequences: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    low, high = (
        min(sequences),
        max(sequences),
    )  # in the order of tuples, what these two share all others do
    agreed = takewhile(lambda pair: pair[0] == pair[1], zip(low, high, strict=False))
    return tuple(token for token, _ in agreed)


def embed(model: PreTrainedModel, rows: Sequence[PromptIds]) -> Float[Tensor, "T H"]:
    """The input embeddings of all rows end to end, virtual ones among them, in the model's
    dtype.
    """
    table: Any = model.get_input_embeddings()
    ids = torch.tensor([token for row in rows for token in row.ids], device=model.device)
    embeds = table(ids.clamp(min=0))
    for row, part in zip(rows, embeds.split([len(row.ids) for row in rows]), strict=True):
        places = [place for place, token in enumerate(row.ids) if token < 0]
        if places and row.virtual is not None:
            part[places] = row.virtual[[-1 - row.ids[place] for place in places]].to(part)
    return embeds


def row_seeds(contents: Sequence[tuple[int, ...]], seed: int) -> list[int]:
    """One seed a row, from the run's seed, the row's ids, and how many equal rows came before
    it.
    """
    seen: Counter[tuple[int, ...]] = Counter()
    seeds = []
    for ids in contents:
        key = f"{seed}|{seen[ids]}|{','.join(map(str, ids))}"
        seen[ids] += 1
        seeds.append(int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) >> 1)
    return seeds
