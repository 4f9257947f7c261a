"""Continuous batching: finished rows leave, waiting rows take their slot.

Yu et al. 2022, Orca: A Distributed Serving System for Transformer-Based Generative Models.
"""

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
from parabench.inference.decode_step import Stepper
from parabench.inference.end_of_text import EndOfText
from parabench.inference.kv_cache import KVCache
from parabench.inference.packed_forward import encode_prefixes, prefill
from parabench.inference.prompt_ids import PromptIds, row_seeds, shared_prefixes
from parabench.inference.sampling import TokenSampler

AUTO_SLOTS = {"cpu": 192, "cuda": 256}
"""Slots to begin with where no batch size is asked for, by kind of device."""
CPU_CACHE_BYTES = 3 << 29
"""Most bytes of keys and values on a CPU, 1.5 GiB."""
PREFILL_TOKENS = {"cpu": 1024, "cuda": 16384}
"""Prompt tokens in one forward pass, by kind of device."""
REPORT_EVERY = 16
"""Completions that are gathered before they are reported; fewer only at the end."""


class Completion(NamedTuple):
    """The new tokens of one row, without the end token but with those of a stop string.

    ``position`` is the row's, ``finished`` is False where the limit of new tokens cut it.
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
    end: EndOfText | None = None,
) -> Iterator[list[Completion]]:
    """Complete every row by greedy search or sampling.

    ``runtime.batch_size`` is the number of slots; where it is None, the number is halved whenever
    memory runs out. Any id of ``eos`` ends a row, and so does what ``end`` finds. Raises UserError
    where a fixed number of slots, or a single one, does not fit.
    """
    if not rows:
        return
    scheduler = _Scheduler(
        model,
        rows,
        decoding,
        runtime,
        eos,
        end,
    )
    done: list[Completion] = []
    while scheduler.waiting or scheduler.active:
        fits, finished = try_in_memory(scheduler.advance)
        if fits:
            done += finished or []
        else:
            scheduler.shrink(fixed=runtime.batch_size is not None)
        if len(done) >= REPORT_EVERY:
            yield done
            done = []
    if done:
        yield done


@dataclass
class _ActiveRow:
    """A row being decoded: its position, its random numbers, and its new tokens."""

    position: int
    draw: Random
    ids: list[int] = field(default_factory=list)


class _Scheduler:
    """The rows of one call that wait, and those being decoded, in the order of their slots."""

    def __init__(
        self,
        model: PreTrainedModel,
        rows: Sequence[PromptIds],
        decoding: Decoding,
        runtime: Runtime,
        eos: AbstractSet[int],
        end: EndOfText | None,
    ) -> None:
        prefixes = shared_prefixes(rows)
        self.model = model
        self.prefix_index = prefixes.prefix_index
        self.own = [prefixes.rest(position, row) for position, row in enumerate(rows)]
        self.seeds = row_seeds([row.ids for row in rows], runtime.seed)
        self.limit = decoding.max_new_tokens
        self.eos = eos
        self.end = end
        self.sampler = TokenSampler(decoding, eos, end.stopping_ids if end else ())
        self.waiting = deque(self._order())
        self.active = list[_ActiveRow]()
        self.prefill_tokens = PREFILL_TOKENS[model.device.type]
        reach = max(len(row.ids) for row in self.own) + decoding.max_new_tokens
        self.auto_slots = _auto_slots(model, reach)
        # a number that was asked for is a promise, one chosen here may be halved
        slots = runtime.batch_size or fitting_size(model, self.auto_slots)
        count = min(len(rows), slots)
        cache = KVCache(
            encode_prefixes(model, prefixes.rows),
            count,
            reach,
            model.device,
        )
        self._open(cache)

    def _open(self, cache: KVCache) -> None:
        self.cache = cache
        self.stepper = Stepper(self.model, cache)

    def _order(self) -> list[int]:
        """Rows of one prefix together, so that a step reads few prefixes; long ones first."""
        positions = range(len(self.own))

        def key(at: int) -> tuple[int, int, int]:
            # long rows first: begun last, one alone would keep the others' slots empty
            return self.prefix_index[at], -len(self.own[at].ids), at

        return sorted(positions, key=key)

    @torch.inference_mode()
    def advance(self) -> list[Completion]:
        """Admit waiting rows, or write one token in every active row: the rows that finished.

        Rows are admitted once an eighth of the slots is free: a pass for each single one would
        cost more than the slots that stay empty until then.
        """
        free = self.cache.count - len(self.active)
        if self.waiting and (not self.active or 8 * free >= self.cache.count):
            return self._admit(free)
        # the last token of a row is the only one whose keys are not in the cache yet
        last = [row.ids[-1] for row in self.active]
        logits = self.stepper.step(last)
        return self._append(self.active, logits)

    def _admit(self, free: int) -> list[Completion]:
        positions = self._next(free)
        rows = [self.own[at] for at in positions]
        logits = prefill(
            self.model,
            self.cache,
            rows,
            [self.prefix_index[at] for at in positions],
        )
        admitted = [_ActiveRow(at, Random(self.seeds[at])) for at in positions]
        for _ in admitted:  # only now: where memory ran out above, they wait still
            self.waiting.popleft()
        self.active += admitted
        return self._append(admitted, logits)

    def shrink(self, fixed: bool) -> None:
        """Begin the active rows again with half as many slots.

        Raises UserError where the number of slots is ``fixed``, or is 1.
        """
        if fixed or self.cache.count == 1:
            raise out_of_memory_error(self.cache.count)
        # extendleft turns the order around, and they were in order
        begun = [row.position for row in self.active]
        self.waiting.extendleft(reversed(begun))
        self.active = []
        count = self.cache.count // 2
        smaller = KVCache(
            self.cache.prefixes,
            count,
            self.cache.reach,
            self.model.device,
        )
        self._open(smaller)
        remember_fitting_size(self.model, self.auto_slots, count)

    def _next(self, free: int) -> list[int]:
        """The waiting rows to admit: as many as are ``free``, and as one pass may hold."""
        taken: list[int] = []
        tokens = 0
        for position in self.waiting:
            tokens += len(self.own[position].ids)
            # the first one goes whatever its length, or it would wait for ever
            full = taken and tokens > self.prefill_tokens
            if len(taken) == free or full:
                break
            taken.append(position)
        return taken

    def _append(self, rows: Sequence[_ActiveRow], logits: Float[Tensor, "R V"]) -> list[Completion]:
        """Write the next token of the last R active rows, and release those that finished."""
        written = [row.ids for row in rows]
        tokens = self.sampler.choose(logits, written, [row.draw for row in rows])
        first = len(self.active) - len(rows)
        done = []
        finished = []
        for slot, (row, token) in enumerate(zip(rows, tokens, strict=True), first):
            ended = token in self.eos
            if not ended:
                row.ids.append(token)
                ended = self.end is not None and self.end.reached(row.ids)
            if ended or len(row.ids) == self.limit:
                done.append(Completion(row.position, tuple(row.ids), ended))
                finished.append(slot)
        # the cache moves its last rows into the slots that were left; the list does the same
        for source, target in self.cache.release(finished):
            self.active[target] = self.active[source]
        del self.active[len(self.active) - len(finished) :]
        return done


def _auto_slots(model: PreTrainedModel, reach: int) -> int:
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
