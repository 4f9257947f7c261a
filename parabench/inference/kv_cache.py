"""Key-value cache: shared prefixes stored once, everything else in preallocated slots.

Both classes are storage alone; ``packed_forward`` fills them, ``decode_step`` reads and extends
them.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from parabench.inference.attention import KeysValues, spans
from parabench.inference.prompt_ids import PromptIds

AUTO_SLOTS = {"cpu": 192, "cuda": 256}
"""Slots to begin with where no batch size is asked for, by kind of device."""
CPU_CACHE_BYTES = 3 << 29
"""Most bytes of keys and values on a CPU, 1.5 GiB."""
_ROWS_PER_CHUNK = 32
"""Rows that read as many positions of their slots as the longest among them has."""

StoreKeysValues = Callable[[int, KeysValues, KeysValues], None]
"""Takes a layer's index, keys and values, as the layer computes them."""

CacheTensor = Float[Tensor, "reach count kv_heads width"]
"""Keys, or values, of one layer: position by slot, so that one step of all slots is contiguous."""


class PrefixCache:
    """Keys and values of shared prefixes, end to end, a pair of tensors a layer.

    ``spans[i]`` are the positions of prefix i.
    """

    def __init__(self, prefixes: Sequence[PromptIds]) -> None:
        self.spans = spans([len(prefix.ids) for prefix in prefixes])
        self.layers: list[tuple[KeysValues, KeysValues]] = []

    def store(
        self,
        layer: int,
        keys: KeysValues,
        values: KeysValues,
    ) -> None:
        """Append the ``keys`` and ``values`` of the next ``layer``; layers come in order."""
        self.layers.append((keys.contiguous(), values.contiguous()))

    def read(
        self,
        layer: int,
        key: Float[Tensor, "T kv_heads width"],
        value: Float[Tensor, "T kv_heads width"],
    ) -> tuple[KeysValues, KeysValues]:
        """The S keys and values of a ``layer``.

        Where nothing is shared there are none: ``key`` and ``value`` give the shape of nothing.
        """
        if not self.layers:
            return key[:0], value[:0]
        return self.layers[layer]


class RowChunk(NamedTuple):
    """Some of the active rows, and how many positions of their slots they read."""

    rows: slice
    longest: int


class KVCache:
    """Keys and values of the rows being decoded, one slot each.

    ``prefixes`` is the cache of the prefixes before them, ``count`` the number of slots, ``reach``
    the positions of each: tokens behind its shared prefix. Active rows are always slots 0 to
    n - 1: the last one moves where one has left, so that a step reads without gathering.
    """

    def __init__(
        self,
        prefixes: PrefixCache,
        count: int,
        reach: int,
        device: torch.device,
    ) -> None:
        self.prefixes = prefixes
        self.count = count
        self.reach = reach
        self.device = device
        self.lengths: list[int] = []  # of each active row, in positions of its slot
        self.prefix_index: list[int] = []  # of each active row
        self.layers: dict[int, tuple[CacheTensor, CacheTensor]] = {}

    def write(
        self,
        slot: Int[Tensor, " T"],
        step: Int[Tensor, " T"],
        layer: int,
        keys: Float[Tensor, "T kv_heads width"],
        values: Float[Tensor, "T kv_heads width"],
    ) -> None:
        """Write a layer's keys and values of T tokens, each into its slot, at its step.

        ``slot``: the slot of each token. ``step``: its position there. ``layer``: whose ``keys``
        and ``values`` they are.
        """
        if layer not in self.layers:
            # zeros, not empty memory: an unwritten position has weight 0, but 0 times the NaN
            # that empty memory may hold is NaN
            shape = (self.reach, self.count, *keys.shape[1:])
            self.layers[layer] = (_zeros(shape, keys), _zeros(shape, values))
        rows = step * self.count + slot
        for stored, new in zip(self.layers[layer], (keys, values), strict=True):
            by_row = stored.flatten(0, 1).flatten(1)  # a view: [reach * count, kv * width]
            by_row.index_copy_(0, rows, new.flatten(1))

    def keep(self, counts: Sequence[int]) -> None:
        """Count so many of the tokens that each active row was fed last; the rest is forgotten."""
        pairs = zip(self.lengths, counts, strict=True)
        self.lengths = [length + count for length, count in pairs]

    def release(self, finished: Sequence[int]) -> list[tuple[int, int]]:
        """Free the slots ``finished``, and close the gaps with the last active rows.

        The result holds (from, to) for each row that moved.
        """
        active = len(self.lengths)
        left = active - len(finished)
        gone = set(finished)
        # as many rows lie behind the new end as there are gaps before it
        movers = [slot for slot in range(left, active) if slot not in gone]
        gaps = sorted(slot for slot in gone if slot < left)
        moves = list(zip(movers, gaps, strict=True))
        if moves:
            old, new = torch.tensor(moves, device=self.device).T
            # what lies behind the longest of them was never written
            used = max(self.lengths[slot] for slot in movers)
            for keys, values in self.layers.values():
                keys[:used, new] = keys[:used, old]
                values[:used, new] = values[:used, old]
        for state in (self.lengths, self.prefix_index):
            for source, target in moves:
                state[target] = state[source]
            del state[left:]
        return moves

    def chunks(self, tokens: int) -> list[RowChunk]:
        """The active rows in chunks of 32, with what each must read in the coming step.

        The step writes so many ``tokens`` of a row at most.

        One long row then does not make all others read positions that they never wrote.
        """
        starts = range(0, len(self.lengths), _ROWS_PER_CHUNK)
        chunks = []
        for start in starts:
            rows = slice(start, start + _ROWS_PER_CHUNK)
            longest = min(max(self.lengths[rows]) + tokens, self.reach)
            chunks.append(RowChunk(rows, longest))
        return chunks


def auto_slots(model: PreTrainedModel, reach: int) -> int:
    """Slots of ``reach`` positions to begin with.

    Elsewhere than on a CPU running out of memory is an error, and halved away. On a CPU it can
    end the process, so that the bytes of keys and values are counted beforehand.
    """
    if model.device.type != "cpu":
        return AUTO_SLOTS["cuda"]
    config: Any = model.config
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    values_per_token = config.num_hidden_layers * heads * width
    slot_bytes = 2 * values_per_token * reach * model.dtype.itemsize  # keys and values
    return max(1, min(AUTO_SLOTS["cpu"], CPU_CACHE_BYTES // slot_bytes))


def _zeros(shape: Sequence[int], like: Tensor) -> Tensor:
    """Zeros of a shape, in the dtype and on the device of another tensor.

    On a CPU they are anonymous memory, of which the system provides each page when it is first
    written: slots that are never filled cost nothing.
    """
    if like.device.type != "cpu" or not hasattr(mmap, "MAP_ANONYMOUS"):
        return like.new_zeros(shape)
    size = prod(shape) * like.itemsize
    try:
        memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise torch.OutOfMemoryError(str(error)) from None
    return torch.frombuffer(memory, dtype=like.dtype).view(shape)
