"""Decoding steps: the tokens behind what every active row holds, one or, with a draft, several.

On CUDA a step is a graph of fixed shapes, captured once a call: there launching the kernels costs
more than computing slots that hold no row. The fixed shapes are tested on CPU, the capture is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from parabench.inference import prefix_attention
from parabench.inference.attention import KeysValues, Queries
from parabench.inference.kv_cache import KVCache, RowChunk
from parabench.inference.packed_forward import forward_flat
from parabench.inference.prefix_attention import TokenGrid, prefix_mask

STATIC_SHAPE_DEVICES = ("cuda",)
"""Kinds of device on which all steps have the same shapes."""


@dataclass(frozen=True)
class StepInput:
    """What a step feeds: T tokens of R rows, the tokens of a row one after another.

    ``tokens`` are their ids, positions, slots, and places in their slots. ``rows`` are the lengths
    of the rows so far, and where the prefix of each starts and stops in the prefix cache. ``cells``
    is where each token stands on a grid of R rows by ``width`` tokens; None where it is full.
    """

    tokens: Int[Tensor, "4 T"]
    rows: Int[Tensor, "3 R"]
    width: int
    cells: Int[Tensor, " T"] | None

    @classmethod
    def of(cls, cache: KVCache, feeds: Sequence[Sequence[int]]) -> StepInput:
        """Lay out what each row is fed."""
        begins = [cache.prefixes.spans[prefix] for prefix in cache.prefix_index]
        width = max(map(len, feeds))
        tokens, cells = [], []
        for slot, (feed, length) in enumerate(zip(feeds, cache.lengths, strict=True)):
            before = len(begins[slot])
            for place, token in enumerate(feed, length):
                tokens.append((token, before + place, slot, place))
                cells.append(slot * width + place - length)
        starts = [begin.start for begin in begins]
        stops = [begin.stop for begin in begins]
        is_full = len(cells) == width * len(feeds)
        return cls(
            torch.tensor(tokens).T,
            torch.tensor([cache.lengths, starts, stops]),
            width,
            None if is_full else torch.tensor(cells),
        )

    def to(self, device: torch.device) -> StepInput:
        """The same on a device."""
        cells = None if self.cells is None else self.cells.to(device)
        return StepInput(self.tokens.to(device), self.rows.to(device), self.width, cells)


class Stepper:
    """Decoding steps of the rows in one key-value cache; ``width`` tokens a row at most."""

    def __init__(self, model: PreTrainedModel, cache: KVCache, width: int = 1) -> None:
        self.model = model
        self.cache = cache
        self.width = width
        self.static: StaticShapeStep | None = None

    def step(self, feeds: Sequence[Sequence[int]]) -> Float[Tensor, "T V"]:
        """Feed tokens to each active row, ``feeds[i]`` to row i: the logits behind each of them.

        The cache holds them then, and counts none of them: which are kept is seen by the logits.
        """
        step = StepInput.of(self.cache, feeds)
        if self.model.device.type in STATIC_SHAPE_DEVICES:
            self.static = self.static or StaticShapeStep(self.model, self.cache, self.width)
            return self.static(step)
        _, starts, stops = step.rows.tolist()
        shared = slice(min(starts), max(stops))
        chunks = self.cache.chunks(step.width)
        return run_step(self.model, self.cache, step, chunks, shared)


def run_step(
    model: PreTrainedModel,
    cache: KVCache,
    step: StepInput,
    chunks: Sequence[RowChunk],
    shared: slice,
) -> Float[Tensor, "T V"]:
    """Compute one step: the logits behind each of its T tokens.

    ``chunks`` and ``shared``: the positions of ``cache`` and of its prefixes that are read.
    """
    step = step.to(model.device)
    ids, positions = step.tokens[:2]
    plan = StepPlan(cache, step, chunks, shared)
    every = torch.arange(len(ids), device=ids.device)
    return forward_flat(model, plan, positions, every, input_ids=ids[None])


class StaticShapeStep:
    """A step of all slots and all their positions, ``width`` tokens each: shapes never change.

    On CUDA it is captured as one graph. Slots that hold no row compute what is not read, and so do
    the places behind the tokens of a row that is fed fewer.
    """

    def __init__(self, model: PreTrainedModel, cache: KVCache, width: int) -> None:
        self.model = model
        self.cache = cache
        self.shared = slice(0, cache.prefixes.spans[-1].stop)
        # the graph reads its input from here, whatever the step
        tokens = torch.zeros(4, cache.count, width, dtype=torch.long, device=model.device)
        tokens[2] = torch.arange(cache.count, device=model.device)[:, None]
        rows = torch.zeros(3, cache.count, dtype=torch.long, device=model.device)
        self.input = StepInput(tokens.flatten(1), rows, width, None)
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, step: StepInput) -> Float[Tensor, "T V"]:
        """The logits behind each of T tokens."""
        width = self.input.width
        rows = step.rows.shape[1]
        # the slot and, on a grid of this width, the column of each token
        slots = step.tokens[2]
        cells = slots * width + step.tokens[3] - step.rows[0, slots]
        # A place without a token repeats its row's first one, and writes where none ever stands:
        # the last token that a row may have is not fed.
        first = step.tokens[:, step.tokens[3] == step.rows[0, slots]]
        filled = first.repeat_interleave(width, dim=1)
        filled[3] = self.cache.reach - 1
        filled[:, cells] = step.tokens
        self.input.tokens[:, : rows * width] = filled.to(self.input.tokens.device)
        self.input.rows[:, :rows] = step.rows.to(self.input.rows.device)
        if self.input.rows.is_cuda and self.graph is None:
            self._capture()
        if self.graph is None:
            self.logits = self._run()
        else:
            self.graph.replay()
        return self.logits[cells.to(self.logits.device)]

    def _run(self) -> Float[Tensor, "cells V"]:
        everything = [RowChunk(slice(None), self.cache.reach)]
        return run_step(self.model, self.cache, self.input, everything, self.shared)

    def _capture(self) -> None:
        """Capture the step, after one run outside the graph, which capturing asks for.

        That run writes the same keys and values twice, which changes nothing.
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
    """Attention of a step's tokens: to their slots, and to their prefixes by one shared product.

    ``chunks`` and ``shared``: what is read, as in ``run_step``.
    """

    def __init__(
        self,
        cache: KVCache,
        step: StepInput,
        chunks: Sequence[RowChunk],
        shared: slice,
    ) -> None:
        self.cache = cache
        self.step = step
        self.chunks = chunks
        self.shared = shared
        lengths, starts, stops = step.rows
        self.grid = TokenGrid(len(lengths), step.width, step.cells)
        self.unseen = prefix_mask(shared, starts, stops)
        longest = max(chunk.longest for chunk in chunks)
        position = torch.arange(longest, device=lengths.device)
        # new tokens are written at ``length`` and behind it, and each sees itself
        offset = torch.arange(step.width, device=lengths.device)
        last = lengths[:, None, None] + offset[:, None]  # [R, width, 1]
        self.later = (position > last)[:, None]  # [R, 1, width, longest]

    def __call__(
        self,
        module: Any,
        query: Queries,
        key: KeysValues,
        value: KeysValues,
        scaling: float | None,
    ) -> Queries:
        """See ``AttentionPlan``."""
        layer = module.layer_idx
        kv_heads, width = key.shape[1:]
        scaled = query * (width**-0.5 if scaling is None else scaling)
        queries = self.grid.by_key_head(scaled, kv_heads)
        _, _, slots, places = self.step.tokens
        self.cache.write(slots, places, layer, key, value)
        prefix_keys, prefix_values = self.cache.prefixes.read(layer, key, value)
        shared = prefix_keys[self.shared], prefix_values[self.shared]
        keys, values = (
            stored[:, : len(queries)].permute(1, 2, 0, 3)  # [R, kv, reach, X]
            for stored in self.cache.layers[layer]
        )
        own = []
        for part, longest in self.chunks:
            own.append((keys[part, :, :longest], values[part, :, :longest]))
        later = self.grid.mask(self.later, queries.shape[2])
        result = prefix_attention.cascade_attention(queries, shared, own, self.unseen, later)
        return self.grid.by_token(result)
