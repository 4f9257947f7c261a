"""Rows in flight: keys and values of shared beginnings stored once, of everything else in
preallocated slots.

Works with every decoder whose attention goes through transformers' interface (tested: OPT, GPT-2,
Llama, Qwen2). On CUDA a step is a graph of fixed shapes, captured once a call; the shapes are
tested on CPU, the capture is not.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from parabench.contracts import UserError
from parabench.inference import prefix_attention
from parabench.inference.attention import Flat, block_diagonal, spans, use_plan
from parabench.inference.prompt_ids import PromptIds, embed

STATIC_SHAPE_DEVICES = ("cuda",)
"""Kinds of device on which steps have fixed shapes: there launching them costs more than computing
what is unused.
"""

_ROWS_PER_CHUNK = 32
"""So many rows look at as many places of their slots as the longest of them has."""

StoreKeysValues = Callable[[int, Flat, Flat], None]
CacheTensor = Float[Tensor, "reach count kv X"]


class PrefixCache:
    """Keys and values of the shared beginnings ``prefixes``, end to end, a pair of tensors a
    layer.
    """

    def __init__(self, model: PreTrainedModel, prefixes: Sequence[PromptIds]) -> None:
        self.spans = spans([len(prefix.ids) for prefix in prefixes])
        self.layers: list[tuple[Flat, Flat]] = []
        shared = [prefix for prefix in prefixes if prefix.ids]
        if shared:
            run_packed(model, shared, None, [0] * len(shared), store=self._store)

    def read(self, layer: int, key: Flat, value: Flat) -> tuple[Flat, Flat]:
        """The keys and values of a layer; none, in the shape of the given ones, where nothing is
        shared.
        """
        return self.layers[layer] if self.layers else (key[:0], value[:0])

    def _store(self, layer: int, keys: Flat, values: Flat) -> None:
        self.layers.append((keys.contiguous(), values.contiguous()))


class PackedPlan:
    """Causal attention of whole rows laid end to end, row i behind the places ``begins[i]`` of the
    pool.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        begins: Sequence[range],
        pool: PrefixCache | None,
        store: StoreKeysValues | None,
        device: Any,
    ) -> None:
        self.pool, self.store, self.layers = pool, store, 0
        starts, stops = torch.tensor([[begin.start, begin.stop] for begin in begins]).T
        self.shared = slice(int(starts.min()), int(stops.max()))
        own = spans(lengths)
        self.alone = block_diagonal(own, [[span] for span in own], True, device)
        self.behind = prefix_attention.PrefixAttention(
            lengths, device, prefix_mask(self.shared, starts.to(device), stops.to(device))
        )

    def __call__(
        self, module: Any, query: Flat, key: Flat, value: Flat, scaling: float | None
    ) -> Flat:
        self.layers += 1
        if self.store is not None:
            self.store(module.layer_idx, key, value)
        if self.pool is None or self.shared.start == self.shared.stop:
            return self.alone.attend(query, key, value, scaling)
        keys, values = self.pool.read(module.layer_idx, key, value)
        return self.behind.attend(
            query, key, value, (keys[self.shared], values[self.shared]), scaling
        )


def prefix_mask(
    shared: slice, starts: Int[Tensor, " B"], stops: Int[Tensor, " B"]
) -> Bool[Tensor, "B 1 1 S"]:
    """Which of the shared places a row does not see, from where its own beginning starts and
    stops.
    """
    place = torch.arange(shared.start, shared.stop, device=starts.device)
    return ((place < starts[:, None]) | (place >= stops[:, None]))[:, None, None]


def run_packed(
    model: PreTrainedModel,
    rows: Sequence[PromptIds],
    pool: PrefixCache | None,
    prefix_index: Sequence[int],
    keep: Sequence[int] | None = None,
    store: StoreKeysValues | None = None,
) -> Float[Tensor, "K X"]:
    """Rows laid end to end, row i behind the beginning ``prefix_index[i]``: see ``forward`` for what
    comes back.

    Raises UserError where the architecture's attention does not go through transformers' interface.
    """
    lengths = [len(row.ids) for row in rows]
    begins = [range(0) if pool is None else pool.spans[prefix] for prefix in prefix_index]
    plan = PackedPlan(lengths, begins, pool, store, model.device)
    positions = [
        len(begin) + step
        for begin, length in zip(begins, lengths, strict=True)
        for step in range(length)
    ]
    result = forward_flat(model, plan, positions, keep, inputs_embeds=embed(model, rows)[None])
    if plan.layers != model.config.num_hidden_layers:
        found = f"{plan.layers} of its {model.config.num_hidden_layers} layers use transformers' attention interface"
        raise UserError(
            f"run the architecture {model.config.model_type}",
            found,
            ("opt", "gpt2", "llama", "qwen2"),
        )
    return result


def forward_flat(
    model: PreTrainedModel,
    plan: Any,
    positions: Sequence[int] | Int[Tensor, " T"],
    keep: Sequence[int] | Int[Tensor, " K"] | None,
    **inputs: Tensor,
) -> Float[Tensor, "K X"]:
    """One pass over flat tokens: logits at the flat positions ``keep``, or, where that is None, all
    hidden states.
    """
    at = torch.as_tensor(positions, device=model.device)[None]
    body: Any = model.base_model
    caller: Any = model
    with use_plan(model):
        if keep is None:
            return body(**inputs, position_ids=at, use_cache=False, plan=plan).last_hidden_state[0]
        kept = torch.as_tensor(keep, device=model.device)
        return caller(
            **inputs, position_ids=at, logits_to_keep=kept, use_cache=False, plan=plan
        ).logits[0]


class RowChunk(NamedTuple):
    """Some of the rows in flight, and how many places of their slots they look at."""

    rows: slice
    longest: int


class KVCache:
    """At most ``count`` rows in flight, each with room for ``reach`` tokens behind its shared
    beginning.

    Rows in flight are always slots 0 to n - 1: what leaves is replaced by the last, so that steps
    need no gathering.
    """

    def __init__(self, model: PreTrainedModel, pool: PrefixCache, count: int, reach: int) -> None:
        self.model, self.pool, self.count, self.reach = model, pool, count, reach
        self.lengths: list[int] = []
        self.prefix_index: list[int] = []
        self.layers: dict[int, tuple[CacheTensor, CacheTensor]] = {}
        self.fixed: StaticShapeStep | None = None

    def admit(self, rows: Sequence[PromptIds], prefix_index: Sequence[int]) -> Float[Tensor, "R V"]:
        """Take in rows (without their shared beginnings); the logits behind each one's last id."""
        lengths = [len(row.ids) for row in rows]
        own = spans(lengths)
        first = len(self.lengths)
        slot = torch.tensor(
            [first + index for index, span in enumerate(own) for _ in span],
            device=self.model.device,
        )
        step = torch.tensor(
            [at for span in own for at in range(len(span))], device=self.model.device
        )
        last = [span.stop - 1 for span in own]
        logits = run_packed(
            self.model,
            rows,
            self.pool,
            prefix_index,
            last,
            lambda *new: self.write(slot, step, *new),
        )
        self.lengths += lengths
        self.prefix_index += prefix_index
        return logits

    def step(self, tokens: Sequence[int]) -> Float[Tensor, "R V"]:
        """Feed one more token to every row in flight; the logits behind it."""
        begins = [self.pool.spans[prefix] for prefix in self.prefix_index]
        positions = [
            len(begin) + length for begin, length in zip(begins, self.lengths, strict=True)
        ]
        starts, stops = [begin.start for begin in begins], [begin.stop for begin in begins]
        state = torch.tensor([list(tokens), positions, self.lengths, starts, stops])
        if self.model.device.type in STATIC_SHAPE_DEVICES:
            self.fixed = self.fixed or StaticShapeStep(self)
            logits = self.fixed(state)
        else:
            logits = run_step(self, state, self._parts(), slice(min(starts), max(stops)))
        self.lengths = [length + 1 for length in self.lengths]
        return logits

    def release(self, finished: Sequence[int]) -> list[tuple[int, int]]:
        """Free slots; the last rows in flight move into them. Gives from where to where rows
        moved.
        """
        left, gone = len(self.lengths) - len(finished), set(finished)
        movers = [slot for slot in range(left, len(self.lengths)) if slot not in gone]
        moves = list(zip(movers, sorted(slot for slot in gone if slot < left), strict=True))
        if moves:
            old, new = torch.tensor(moves, device=self.model.device).T
            used = max(self.lengths[slot] for slot in movers)
            for stored in (part for layer in self.layers.values() for part in layer):
                stored[:used, new] = stored[:used, old]
        for state in (self.lengths, self.prefix_index):
            for source, target in moves:
                state[target] = state[source]
            del state[left:]
        return moves

    def _parts(self) -> list[RowChunk]:
        """The rows in flight in parts, so that one long row does not let all others look at empty
        places.
        """
        parts = [
            slice(start, start + _ROWS_PER_CHUNK)
            for start in range(0, len(self.lengths), _ROWS_PER_CHUNK)
        ]
        return [RowChunk(part, max(self.lengths[part]) + 1) for part in parts]

    def write(
        self, slot: Int[Tensor, " T"], step: Int[Tensor, " T"], layer: int, keys: Flat, values: Flat
    ) -> None:
        """Put a layer's keys and values of T tokens into their slots, each at its step."""
        if layer not in self.layers:
            # zeros: a slot's unwritten places have weight 0, and 0 times what empty memory may hold
            # is not always 0
            shape = (self.reach, self.count, *keys.shape[1:])
            self.layers[layer] = (_zeros(shape, keys), _zeros(shape, values))
        places = step * self.count + slot
        for stored, new in zip(self.layers[layer], (keys, values), strict=True):
            stored.flatten(0, 1).flatten(1).index_copy_(0, places, new.flatten(1))


def _zeros(shape: Sequence[int], like: Tensor) -> Tensor:
    """Zeros; on a CPU in memory of which the system gives each page when it is first written."""
    if like.device.type != "cpu" or not hasattr(mmap, "MAP_ANONYMOUS"):
        return like.new_zeros(shape)
    try:
        memory = mmap.mmap(
            -1, prod(shape) * like.itemsize, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        )
    except OSError as error:
        raise torch.OutOfMemoryError(str(error)) from None
    return torch.frombuffer(memory, dtype=like.dtype).view(shape)


def run_step(
    slots: KVCache, state: Int[Tensor, "5 R"], parts: Sequence[RowChunk], shared: slice
) -> Float[Tensor, "R V"]:
    """The logits behind one more token of R rows, from their tokens, positions, lengths, and where
    their beginnings start and stop in the pool; ``parts`` and ``shared`` are the places of slots
    and pool that are looked at.
    """
    tokens, positions, lengths, starts, stops = state.to(slots.model.device)
    plan = StepPlan(slots, lengths, starts, stops, parts, shared)
    return forward_flat(slots.model, plan, positions, plan.slot, input_ids=tokens[None])


class StaticShapeStep:
    """A step over all slots and all their places, so that its shapes never change; on CUDA, one
    graph.

    Slots that hold no row compute what nobody reads.
    """

    def __init__(self, slots: KVCache) -> None:
        self.slots, self.shared = slots, slice(0, slots.pool.spans[-1].stop)
        self.state = torch.zeros(5, slots.count, dtype=torch.long, device=slots.model.device)
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, state: Int[Tensor, "5 R"]) -> Float[Tensor, "R V"]:
        self.state[:, : state.shape[1]] = state.to(self.state.device)
        if self.state.is_cuda and self.graph is None:
            self._capture()
        if self.graph is None:
            self.logits = self._run()
        else:
            self.graph.replay()
        return self.logits[: state.shape[1]]

    def _run(self) -> Float[Tensor, "R V"]:
        return run_step(
            self.slots, self.state, [RowChunk(slice(None), self.slots.reach)], self.shared
        )

    def _capture(self) -> None:
        """Run once outside the graph, as capturing wants it; writing the same keys and values twice
        changes nothing.
        """
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self._run()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.logits = self._run()
        self.graph = graph


class StepPlan:
    """Attention of one new token a row: to its slot, and to its beginning by one product shared by
    all rows.
    """

    def __init__(
        self,
        slots: KVCache,
        lengths: Int[Tensor, " R"],
        starts: Int[Tensor, " R"],
        stops: Int[Tensor, " R"],
        parts: Sequence[RowChunk],
        shared: slice,
    ) -> None:
        self.slots, self.step, self.parts, self.shared = slots, lengths, parts, shared
        self.slot = torch.arange(len(lengths), device=lengths.device)
        self.unseen = prefix_mask(shared, starts, stops)
        longest = torch.arange(max(part.longest for part in parts), device=lengths.device)
        self.later = (longest > lengths[:, None])[:, None, None]

    def __call__(
        self, module: Any, query: Flat, key: Flat, value: Flat, scaling: float | None
    ) -> Flat:
        rows, heads, width = query.shape
        scaled = (query * (width**-0.5 if scaling is None else scaling)).view(
            rows, key.shape[1], -1, width
        )
        self.slots.write(self.slot, self.step, module.layer_idx, key, value)
        ahead_keys, ahead_values = self.slots.pool.read(module.layer_idx, key, value)
        shared = ahead_keys[self.shared], ahead_values[self.shared]
        keys, values = (
            stored[:, :rows].permute(1, 2, 0, 3) for stored in self.slots.layers[module.layer_idx]
        )
        own = [(keys[part, :, :longest], values[part, :, :longest]) for part, longest in self.parts]
        return prefix_attention.cascade_attention(
            scaled, shared, own, self.unseen, self.later
        ).view(rows, heads, width)
