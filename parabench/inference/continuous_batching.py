"""Continuous batching: finished rows leave, waiting rows take their slot (Yu et al. 2022, Orca)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from parabench.contracts import Decoding, Runtime
from parabench.inference.batching import (
    fitting_size,
    out_of_memory_error,
    remember_fitting_size,
    try_in_memory,
)
from parabench.inference.kv_cache import KVCache, PrefixCache
from parabench.inference.prompt_ids import PromptIds, row_seeds, shared_prefixes
from parabench.inference.sampling import TokenSampler

AUTO_SLOTS = {"cpu": 192, "cuda": 256}
CPU_CACHE_BYTES = 3 << 29
PREFILL_TOKENS = {"cpu": 1024, "cuda": 16384}
REPORT_EVERY = 16
"""So many completions are gathered before they are reported, fewer only at the end."""


class Completion(NamedTuple):
    """The new tokens of one row, without the end token; ``finished`` is False where the limit cut
    them.
    """

    position: int
    ids: tuple[int, ...]
    finished: bool


def decode_continuously(
    model: PreTrainedModel,
    rows: Sequence[PromptIds],
    decoding: Decoding,
    runtime: Runtime,
    eos: AbstractSet[int],
) -> Iterator[list[Completion]]:
    """Complete every row by greedy search or sampling; with no fixed batch size, halve it whenever
    memory runs out.
    """
    if not rows:
        return
    flight = _Scheduler(model, rows, decoding, runtime, eos)
    done: list[Completion] = []
    while flight.waiting or flight.writing:
        fits, finished = try_in_memory(flight.advance)
        if fits:
            done += finished or []
        else:
            flight.shrink(fixed=runtime.batch_size is not None)
        if len(done) >= REPORT_EVERY:
            yield done
            done = []
    if done:
        yield done


@dataclass
class _ActiveRow:
    """A row in flight: its position, its source of chance, and what it has written."""

    position: int
    draw: Random
    ids: list[int] = field(default_factory=list)


class _Scheduler:
    """The state of one call: who waits, who is in flight (in the order of the slots), and their
    keys and values.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        rows: Sequence[PromptIds],
        decoding: Decoding,
        runtime: Runtime,
        eos: AbstractSet[int],
    ) -> None:
        prefixes = shared_prefixes(rows)
        self.prefix_index = prefixes.prefix_index
        self.own = [prefixes.rest(position, row) for position, row in enumerate(rows)]
        self.seeds = row_seeds([row.ids for row in rows], runtime.seed)
        self.limit, self.eos, self.chooser = (
            decoding.max_new_tokens,
            eos,
            TokenSampler(decoding, eos),
        )
        # rows of one beginning together, long ones first: steps then meet few beginnings, and the
        # dearest come first
        order = sorted(
            range(len(rows)), key=lambda at: (self.prefix_index[at], -len(self.own[at].ids), at)
        )
        self.waiting, self.writing = deque(order), list[_ActiveRow]()
        reach = max(len(row.ids) for row in self.own) + decoding.max_new_tokens
        self.start = _auto_rows(model, reach)
        count = min(len(rows), runtime.batch_size or fitting_size(model, self.start))
        self.prefill = PREFILL_TOKENS[model.device.type]
        self.slots = KVCache(model, PrefixCache(model, prefixes.rows), count, reach)

    @torch.inference_mode()
    def advance(self) -> list[Completion]:
        """Take in waiting rows if an eighth of the slots is free, else write one token in every row
        in flight.
        """
        free = self.slots.count - len(self.writing)
        if self.waiting and (not self.writing or 8 * free >= self.slots.count):
            positions = self._next(free)
            logits = self.slots.admit(
                [self.own[at] for at in positions], [self.prefix_index[at] for at in positions]
            )
            self.writing += [
                _ActiveRow(self.waiting.popleft(), Random(self.seeds[at])) for at in positions
            ]
            return self._write(self.writing[-len(positions) :], logits)
        return self._write(self.writing, self.slots.step([row.ids[-1] for row in self.writing]))

    def shrink(self, fixed: bool) -> None:
        """Begin the rows in flight again with half as many slots; UserError where that cannot
        help.
        """
        if fixed or self.slots.count == 1:
            raise out_of_memory_error(self.slots.count)
        self.waiting.extendleft(reversed([row.position for row in self.writing]))
        self.writing = []
        self.slots = KVCache(
            self.slots.model, self.slots.pool, self.slots.count // 2, self.slots.reach
        )
        remember_fitting_size(self.slots.model, self.start, self.slots.count)

    def _next(self, free: int) -> list[int]:
        taken: list[int] = []
        tokens = 0
        for position in self.waiting:
            tokens += len(self.own[position].ids)
            if len(taken) == free or (taken and tokens > self.prefill):
                break
            taken.append(position)
        return taken

    def _write(self, rows: Sequence[_ActiveRow], logits: Float[Tensor, "R V"]) -> list[Completion]:
        tokens = self.chooser.choose(logits, [row.ids for row in rows], [row.draw for row in rows])
        first = len(self.writing) - len(rows)
        done, finished = [], []
        for index, (row, token) in enumerate(zip(rows, tokens, strict=True), first):
            ended = token in self.eos
            row.ids += [] if ended else [token]
            if ended or len(row.ids) == self.limit:
                done.append(Completion(row.position, tuple(row.ids), ended))
                finished.append(index)
        for source, target in self.slots.release(finished):
            self.writing[target] = self.writing[source]
        del self.writing[len(self.writing) - len(finished) :]
        return done


def _auto_rows(model: PreTrainedModel, reach: int) -> int:
    device = model.device.type
    if (
        device != "cpu"
    ):  # out of memory is an error there, and halved away; on a CPU it can end the process
        return AUTO_SLOTS["cuda"]
    config: Any = model.config
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    row_bytes = 2 * config.num_hidden_layers * heads * width * reach * model.dtype.itemsize
    return max(1, min(AUTO_SLOTS["cpu"], CPU_CACHE_BYTES // row_bytes))
