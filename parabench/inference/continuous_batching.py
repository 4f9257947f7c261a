"""Continuous batching: finished rows leave, waiting rows take their slot.

Yu et al. 2022, Orca: A Distributed Serving System for Transformer-Based Generative Models.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import accumulate
from random import Random
from typing import NamedTuple

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
from parabench.inference.decode_step import STATIC_SHAPE_DEVICES, Stepper
from parabench.inference.drafts import DRAFT_TOKENS, DRAFTED_ROWS, draft
from parabench.inference.end_of_text import EndOfText
from parabench.inference.kv_cache import KVCache, auto_slots
from parabench.inference.packed_forward import encode_prefixes, prefill
from parabench.inference.prompt_ids import PromptIds, row_seeds, shared_prefixes
from parabench.inference.sampling import TokenSampler

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
        # what drafts are looked up in: all that a row holds
        self.prompts = [row.ids for row in rows]
        self.seeds = row_seeds(self.prompts, runtime.seed)
        self.limit = decoding.max_new_tokens
        self.eos = eos
        self.end = end
        self.sampler = TokenSampler(decoding, eos, end.stopping_ids if end else ())
        self.waiting = deque(self._order())
        self.active = list[_ActiveRow]()
        self.prefill_tokens = PREFILL_TOKENS[model.device.type]
        reach = max(len(row.ids) for row in self.own) + decoding.max_new_tokens
        self.auto_slots = auto_slots(model, reach)
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
        self.stepper = Stepper(self.model, cache, self._step_width(cache.count))

    def _step_width(self, slots: int) -> int:
        """Tokens of a row in a step, at most: with a draft, where there may be one."""
        device = self.model.device.type
        # of fixed shapes all slots have as many, so that all of them must be few
        if device in STATIC_SHAPE_DEVICES and slots > DRAFTED_ROWS[device]:
            return 1
        return 1 + DRAFT_TOKENS

    def _order(self) -> list[int]:
        """Rows of one prefix together, so that a step reads few prefixes; long ones first."""
        positions = range(len(self.own))

        def key(at: int) -> tuple[int, int, int]:
            # long rows first: begun last, one alone would keep the others' slots empty
            return self.prefix_index[at], -len(self.own[at].ids), at

        return sorted(positions, key=key)

    @torch.inference_mode()
    def advance(self) -> list[Completion]:
        """Admit waiting rows, or write on in every active row: the rows that finished.

        Rows are admitted once an eighth of the slots is free: a pass for each single one would
        cost more than the slots that stay empty until then.
        """
        free = self.cache.count - len(self.active)
        if self.waiting and (not self.active or 8 * free >= self.cache.count):
            return self._admit(free)
        drafts = self._drafts()
        # the last token of a row is the only one whose keys are not in the cache yet
        feeds = [[row.ids[-1], *draft] for row, draft in zip(self.active, drafts, strict=True)]
        logits = self.stepper.step(feeds)
        counts, done = self._write_along(self.active, logits, drafts)
        self.cache.keep(counts)
        return self._release(done)

    def _drafts(self) -> list[list[int]]:
        """What may come behind the last token of each active row; nothing where there are many."""
        few = len(self.active) <= DRAFTED_ROWS[self.model.device.type]
        if not few or self.stepper.width == 1:
            return [[] for _ in self.active]
        found = []
        for row in self.active:
            # one token more is written than is drafted
            most = min(DRAFT_TOKENS, self.limit - len(row.ids) - 1)
            found.append(draft([*self.prompts[row.position], *row.ids], most))
        return found

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
        _, done = self._write_along(admitted, logits, [[] for _ in admitted])
        return self._release(done)

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

    def _write_along(
        self,
        rows: Sequence[_ActiveRow],
        logits: Float[Tensor, "T V"],
        drafts: Sequence[Sequence[int]],
    ) -> tuple[list[int], list[Completion]]:
        """Write what comes next in ``rows``, each as far as its draft is what it writes.

        ``logits`` stand behind each token that the rows were fed: its last one, and its draft.
        Returns how many tokens each row wrote, and the rows that finished.
        """
        starts = [0, *accumulate(len(draft) + 1 for draft in drafts)]
        counts = [0] * len(rows)
        done = []
        going = list(range(len(rows)))
        while going:
            places = [starts[at] + counts[at] for at in going]
            behind = logits if len(places) == len(logits) else logits[places]
            written = [rows[at].ids for at in going]
            tokens = self.sampler.choose(behind, written, [rows[at].draw for at in going])
            along = []
            for at, token in zip(going, tokens, strict=True):
                drafted = drafts[at][counts[at] :][:1]
                counts[at] += 1
                completion = self._write(rows[at], token)
                if completion:
                    done.append(completion)
                elif drafted == [token]:
                    along.append(at)
            going = along
        return counts, done

    def _write(self, row: _ActiveRow, token: int) -> Completion | None:
        """Write one token of a row: the completed row, or None where it goes on."""
        ended = token in self.eos
        if not ended:
            row.ids.append(token)
            ended = self.end is not None and self.end.reached(row.ids)
        if ended or len(row.ids) == self.limit:
            return Completion(row.position, tuple(row.ids), ended)
        return None

    def _release(self, done: list[Completion]) -> list[Completion]:
        """Free the slots of the rows that are done, which it returns."""
        positions = {completion.position for completion in done}
        finished = [slot for slot, row in enumerate(self.active) if row.position in positions]
        # the cache moves its last rows into the slots that were left; the list does the same
        for source, target in self.cache.release(finished):
            self.active[target] = self.active[source]
        del self.active[len(self.active) - len(finished) :]
        return done
