"""Decoding steps: one more token in every active row.

On CUDA a step is a graph of fixed shapes, captured once a call: there launching the kernels costs
more than computing slots that hold no row. The fixed shapes are tested on CPU, the capture is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from parabench.inference import prefix_attention
from parabench.inference.attention import KeysValues, Queries
from parabench.inference.kv_cache import KVCache, RowChunk
from parabench.inference.packed_forward import forward_flat
from parabench.inference.prefix_attention import prefix_mask

STATIC_SHAPE_DEVICES = ("cuda",)
"""Kinds of device on which all steps have the same shapes."""


class Stepper:
    """Decoding steps of the rows in one key-value cache."""

    def __init__(self, model: PreTrainedModel, cache: KVCache) -> None:
        self.model = model
        self.cache = cache
        self.static: StaticShapeStep | None = None

    def step(self, tokens: Sequence[int]) -> Float[Tensor, "R V"]:
        """Feed one more token to each of R active rows: the logits behind it."""
        cache = self.cache
        begins = [cache.prefixes.spans[prefix] for prefix in cache.prefix_index]
        starts = [begin.start for begin in begins]
        stops = [begin.stop for begin in begins]
        positions = []
        for begin, length in zip(begins, cache.lengths, strict=True):
            positions.append(len(begin) + length)
        state = torch.tensor([list(tokens), positions, cache.lengths, starts, stops])
        if self.model.device.type in STATIC_SHAPE_DEVICES:
            self.static = self.static or StaticShapeStep(self.model, cache)
            logits = self.static(state)
        else:
            shared = slice(min(starts), max(stops))
            logits = run_step(
                self.model,
                cache,
                state,
                cache.chunks(),
                shared,
            )
        # only now: where memory ran out above, the step can be tried again
        cache.lengths = [length + 1 for length in cache.lengths]
        return logits


def run_step(
    model: PreTrainedModel,
    cache: KVCache,
    state: Int[Tensor, "5 R"],
    chunks: Sequence[RowChunk],
    shared: slice,
) -> Float[Tensor, "R V"]:
    """Compute one step of R rows: the logits behind each row's new token.

    ``state``: token, position, length so far, and where the row's prefix starts and stops in the
    prefix cache. ``chunks`` and ``shared``: the positions of ``cache`` and of its prefixes that
    are read.
    """
    tokens, positions, lengths, starts, stops = state.to(model.device)
    plan = StepPlan(
        cache,
        lengths,
        starts,
        stops,
        chunks,
        shared,
    )
    return forward_flat(
        model,
        plan,
        positions,
        plan.slot,
        input_ids=tokens[None],
    )


class StaticShapeStep:
    """A step over all slots and all their positions, so that shapes never change.

    On CUDA it is captured as one graph. Slots that hold no row compute what is not read.
    """

    def __init__(self, model: PreTrainedModel, cache: KVCache) -> None:
        self.model = model
        self.cache = cache
        self.shared = slice(0, cache.prefixes.spans[-1].stop)
        # the graph reads its input from here, whatever the step
        self.state = torch.zeros(
            5,
            cache.count,
            dtype=torch.long,
            device=model.device,
        )
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, state: Int[Tensor, "5 R"]) -> Float[Tensor, "R V"]:
        """The logits behind each row's new token; ``state`` as in ``run_step``."""
        rows = state.shape[1]
        self.state[:, :rows] = state.to(self.state.device)
        if self.state.is_cuda and self.graph is None:
            self._capture()
        if self.graph is None:
            self.logits = self._run()
        else:
            self.graph.replay()
        return self.logits[:rows]

    def _run(self) -> Float[Tensor, "count V"]:
        everything = [RowChunk(slice(None), self.cache.reach)]
        return run_step(
            self.model,
            self.cache,
            self.state,
            everything,
            self.shared,
        )

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
    """Attention of one new token a row: to its slot, and to its prefix by one shared product.

    ``lengths``: positions already in each slot; ``starts`` and ``stops``: where each row's prefix
    lies; ``chunks`` and ``shared``: what is read, as in ``run_step``.
    """

    def __init__(
        self,
        cache: KVCache,
        lengths: Int[Tensor, " R"],
        starts: Int[Tensor, " R"],
        stops: Int[Tensor, " R"],
        chunks: Sequence[RowChunk],
        shared: slice,
    ) -> None:
        self.cache = cache
        self.lengths = lengths
        self.chunks = chunks
        self.shared = shared
        self.slot = torch.arange(len(lengths), device=lengths.device)
        self.unseen = prefix_mask(shared, starts, stops)
        longest = max(chunk.longest for chunk in chunks)
        position = torch.arange(longest, device=lengths.device)
        # the new token is written at position ``length`` of its slot, and sees itself
        self.later = (position > lengths[:, None])[:, None, None]  # [R, 1, 1, longest]

    def __call__(
        self,
        module: Any,
        query: Queries,
        key: KeysValues,
        value: KeysValues,
        scaling: float | None,
    ) -> Queries:
        """See ``AttentionPlan``; T is R here, one token a row."""
        rows, heads, width = query.shape
        layer = module.layer_idx
        scaled = query * (width**-0.5 if scaling is None else scaling)
        per_head = scaled.view(rows, key.shape[1], -1, width)  # [R, kv, group, X]
        self.cache.write(self.slot, self.lengths, layer, key, value)
        prefix_keys, prefix_values = self.cache.prefixes.read(layer, key, value)
        shared = prefix_keys[self.shared], prefix_values[self.shared]
        keys, values = (
            stored[:, :rows].permute(1, 2, 0, 3)  # [R, kv, reach, X]
            for stored in self.cache.layers[layer]
        )
        own = []
        for part, longest in self.chunks:
            own.append((keys[part, :, :longest], values[part, :, :longest]))
        result = prefix_attention.cascade_attention(per_head, shared, own, self.unseen, self.later)
        return result.view(rows, heads, width)
