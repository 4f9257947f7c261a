"""What a system or scorer will take in time and memory, from its files and a short probe.

The probe runs 4 and 16 examples through the very same code and fits a line through both, for as
many rows at once as the run will have; nothing is written. Memory counts the weights in the run's
arithmetic, the keys and values of the rows in flight, and on the CPU the libraries; on CUDA also
what the probe took.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from parabench.contracts import (
    BuildContext,
    Example,
    Releasable,
    System,
    estimated_cost,
    release_models,
    runtime_of,
)
from parabench.models.cache import format_bytes
from parabench.models.checkpoints import checkpoint_folder, load_config
from parabench.models.downloads import checkpoints_of, fetch_note, model_bytes
from parabench.models.local import Checkpoint
from parabench.models.pretrained import load_tokenizer
from parabench.pipeline.device_memory import available_memory, peak_memory
from parabench.pipeline.plan import RunPlan, build_plugin
from parabench.stats.leave_one_out import measure_leave_one_out

if TYPE_CHECKING:
    from parabench.contracts import Runtime

FEW, MORE = 4, 16
"""Examples of the two probes."""
_ANSWERS_TOGETHER = 64
"""Answers that a scorer measures together at least."""
TEMPLATE_TOKENS = 32
"""Tokens that a template adds to a source, roughly."""
LIBRARIES = 100 << 20
"""Bytes that what loads and runs a model takes itself, where it shares the memory."""
ITEM_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes of a number in each arithmetic."""

_Timed = Callable[[int], float]
"""Seconds that so many examples take."""


@dataclass(frozen=True)
class CostEstimate:
    """What is left to do, in seconds and bytes.

    ``least``: memory with one row in flight; 0 where there is no model. ``most``: with all rows in
    flight. ``room``: memory there is.
    """

    seconds: float
    least: int
    most: int
    room: int

    def __str__(self) -> str:
        """``about 3 min, 1.4 GB of 22.0 GB: fits``."""
        time_needed = f"about {duration(self.seconds)}"
        if not self.least:
            return f"{time_needed}, no model"
        if self.least > self.room:
            fits = "DOES NOT FIT: another --device, or --dtype bfloat16"
        elif self.most > self.room:
            fits = "fits in smaller batches"
        else:
            fits = "fits"
        memory = f"{format_bytes(self.most)} of {format_bytes(self.room)}"
        return f"{time_needed}, {memory}: {fits}"


def estimate_system(
    plan: RunPlan,
    name: str,
    examples: Sequence[Example],
) -> CostEstimate | str:
    """What a system takes for the examples it has not answered yet, or why that is not known.

    ``plan`` and ``name``: which system. ``examples``: those it has not answered yet. Loads its
    model for the probe, and frees it.
    """
    system = plan.systems[name]
    if not examples:
        return "nothing to do"
    # What costs money, as an endpoint may, says so itself, and is not tried.
    own_estimate = estimated_cost(system, len(examples))
    if own_estimate:
        return own_estimate
    models = checkpoints_of(system)
    if not models:
        return "no model"
    absent = fetch_note(models)
    if absent:
        return absent
    sources = [example.source for example in examples]
    loading = _seconds_to_load(plan, name, sources[0])
    runtime = runtime_of(system, plan.runtime)
    new_tokens = plan.suite.decoding.max_new_tokens
    longest = max(sources, key=len)
    row_bytes, rows = _rows_in_flight(models[0], longest, new_tokens, runtime)
    seconds = loading + _seconds_of_answers(system, sources, rows, loading)
    rows = min(len(sources), rows)
    return _estimate(seconds, models, row_bytes, rows, runtime)


def estimate_scorer(
    plan: RunPlan,
    name: str,
    answers: int,
) -> CostEstimate | str:
    """What a scorer takes for what it has not measured yet, or why that is not known.

    ``plan`` and ``name``: which scorer. ``answers``: how many it has not measured. Loads its model
    for the probe, and frees it.
    """
    scorer = plan.scorers[name]
    if not answers:
        return "nothing to do"
    models = checkpoints_of(scorer)
    absent = fetch_note(models)
    if absent:
        return absent

    def measure(count: int) -> float:
        # No answers need be there yet: a reference is as long as an answer.
        chosen = _spread_over(plan.data.examples, count)
        texts = [[example.references[0]] for example in chosen]
        return _clocked(lambda: measure_leave_one_out(scorer, chosen, texts))

    loading = measure(1)
    seconds = loading + _extrapolated(measure, answers, _ANSWERS_TOGETHER)
    release_models(scorer)
    return _estimate(seconds, models, 0, 0, plan.runtime)


def duration(seconds: float) -> str:
    """Time as people say it."""
    units = (
        (100, 1, "s"),
        (100 * 60, 60, "min"),
        (48 * 3600, 3600, "h"),
    )
    for limit, unit, name in units:
        if seconds < limit:
            count = max(1, round(seconds / unit))
            return f"{count} {name}"
    return f"{seconds / 86400:.0f} days"


def cache_bytes(
    config: Any,
    tokens: int,
    item: int,
) -> int:
    """The bytes of the keys and values of one row.

    ``config``: the model's, of transformers. ``tokens``: how long the row is. ``item``: bytes of a
    number.
    """
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    keys_and_values = 2
    # an encoder-decoder keeps those of cross-attention too
    attentions = 2 if config.is_encoder_decoder else 1
    per_token = config.num_hidden_layers * heads * width * keys_and_values * attentions
    return per_token * tokens * item


def _seconds_to_load(
    plan: RunPlan,
    name: str,
    source: str,
) -> float:
    """From nothing to one token, with imports, which the first system of a run pays too."""
    decoding = replace(plan.suite.decoding, max_new_tokens=1, min_new_tokens=1)
    context = BuildContext(plan.runtime, decoding)
    short: System = build_plugin("system", name, plan.suite, context)
    seconds = _clocked(lambda: list(short.paraphrase([source])))
    release_models(short)
    return seconds


def _seconds_of_answers(
    system: System,
    sources: Sequence[str],
    together: int,
    loading: float,
) -> float:
    """Seconds for the answers to all ``sources``, without those for loading the model."""
    # A system that holds no model between calls loads it in every one.
    in_each_call = 0.0 if isinstance(system, Releasable) else loading
    # Not counted: the first call may load the model, and find its batch size.
    _clocked(lambda: list(system.paraphrase(sources[:1])))

    def answer(count: int) -> float:
        chosen = _spread_over(sources, count)
        return _clocked(lambda: list(system.paraphrase(chosen))) - in_each_call

    seconds = _extrapolated(answer, len(sources), together)
    release_models(system)
    return seconds


def _extrapolated(
    timed: _Timed,
    count: int,
    together: int,
) -> float:
    """Seconds for ``count`` examples, extrapolated from those for few.

    A line: so much for each batch of ``together``, and so much for each example.
    """
    few = timed(FEW)
    # Neither may be negative, however the clock of so short a probe may vary.
    per_example = max(0.0, (timed(MORE) - few) / (MORE - FEW))
    per_batch = max(0.0, few - FEW * per_example)
    batches = math.ceil(count / together)
    return batches * per_batch + count * per_example


def _estimate(
    seconds: float,
    models: Sequence[Checkpoint],
    row_bytes: int,
    rows: int,
    runtime: Runtime,
) -> CostEstimate:
    """The estimate for ``rows`` rows in flight, of ``row_bytes`` each."""
    item = ITEM_BYTES[runtime.dtype]
    weights = sum(model_bytes(model, item) for model in models)
    if models and runtime.device == "cpu":
        weights += LIBRARIES
    return CostEstimate(
        seconds=seconds,
        least=weights + row_bytes,
        most=max(weights + row_bytes * rows, peak_memory(runtime)),
        room=available_memory(runtime),
    )


def _rows_in_flight(
    model: Checkpoint,
    longest: str,
    new_tokens: int,
    runtime: Runtime,
) -> tuple[int, int]:
    """The bytes of the longest row's keys and values, and how many rows are in flight at once."""
    from parabench.inference.decoding import AUTO_BATCH
    from parabench.inference.kv_cache import AUTO_SLOTS, CPU_CACHE_BYTES

    tokenizer = load_tokenizer(checkpoint_folder(model), model.reference)
    tokens = len(tokenizer(longest).input_ids) + TEMPLATE_TOKENS + new_tokens
    config = load_config(model)
    row_bytes = cache_bytes(config, tokens, ITEM_BYTES[runtime.dtype])
    if runtime.batch_size:
        return row_bytes, runtime.batch_size
    if config.is_encoder_decoder:
        return row_bytes, AUTO_BATCH
    rows = AUTO_SLOTS[runtime.device.partition(":")[0]]
    if runtime.device == "cpu":
        # There the cache of all rows is bounded, as decoding does it.
        rows = min(rows, max(1, CPU_CACHE_BYTES // row_bytes))
    return row_bytes, rows


def _spread_over(items: Sequence[Any], count: int) -> list[Any]:
    """``count`` items from all over, again from the start where there are fewer."""
    step = max(1, len(items) // count)
    return [items[at * step % len(items)] for at in range(count)]


def _clocked(work: Callable[[], object]) -> float:
    """The seconds that some work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
