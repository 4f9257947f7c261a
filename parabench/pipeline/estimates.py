"""Plan before you pay: what a system or scorer will take in time and memory, from its files and a
short probe.

The probe runs 4 and 16 examples through the very same code and fits a line through both, for as
many rows at once as the run will have; nothing is written. Memory counts the weights in the run's
arithmetic, the keys and values of the rows in flight, and on the CPU the libraries; on CUDA also
what the probe took.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
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
from parabench.models.checkpoints import checkpoint_folder
from parabench.models.downloads import checkpoints_of, format_bytes, missing_files
from parabench.models.local import Checkpoint
from parabench.models.pretrained import load_config, load_tokenizer
from parabench.pipeline.plan import RunPlan, build_plugin
from parabench.stats import leave_one_out

if TYPE_CHECKING:
    from parabench.contracts import Runtime

FEW, MORE = 4, 16
_ANSWERS_TOGETHER = 64
"""Answers that a scorer measures together at least."""
TEMPLATE_TOKENS = 32
LIBRARIES = 100 << 20
"""Bytes that what loads and runs a model takes itself, where it shares the memory."""
ITEM_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}

_Timed = Callable[[int], float]
"""Seconds that so many examples take."""


@dataclass(frozen=True)
class CostEstimate:
    """Seconds for what is missing, bytes of memory for one row and for all rows in flight, and
    bytes there are.
    """

    seconds: float
    least: int
    most: int
    room: int

    def __str__(self) -> str:
        """``about 3 min, 1.4 GB of 22.0 GB: fits``."""
        if not self.least:
            return f"about {duration(self.seconds)}, no model"
        fits = "fits" if self.most <= self.room else "fits in smaller batches"
        fits = (
            fits
            if self.least <= self.room
            else "DOES NOT FIT: another --device, or --dtype bfloat16"
        )
        memory = f"{format_bytes(self.most)} of {format_bytes(self.room)}"
        return f"about {duration(self.seconds)}, {memory}: {fits}"


def estimate_system(plan: RunPlan, name: str, examples: Sequence[Example]) -> CostEstimate | str:
    """What a system takes for the examples it has not answered yet, or why that is not known."""
    system = plan.systems[name]
    if not examples:
        return "nothing to do"
    if said := estimated_cost(system, len(examples)):
        return said
    if not (models := checkpoints_of(system)):
        return "no model"
    if absent := fetch_note(models):
        return absent
    sources = [example.source for example in examples]
    load = _seconds_to_load(plan, name, sources[0])
    runtime = runtime_of(system, plan.runtime)
    row, flying = _row_bytes(
        models[0], max(sources, key=len), plan.suite.decoding.max_new_tokens, runtime
    )
    seconds = load + _seconds_of_answers(system, sources, flying, load)
    return _estimate(seconds, models, row, min(len(sources), flying), runtime)


def estimate_scorer(plan: RunPlan, name: str, answers: int) -> CostEstimate | str:
    """What a scorer takes for so many answers that it has not measured yet, or why that is not
    known.
    """
    scorer = plan.scorers[name]
    if not answers:
        return "nothing to do"
    models = checkpoints_of(scorer)
    if absent := fetch_note(models):
        return absent

    def measure(count: int) -> float:
        chosen = _some(plan.data.examples, count)
        return _clocked(
            lambda: leave_one_out.measure_leave_one_out(
                scorer, chosen, [[example.references[0]] for example in chosen]
            )
        )

    begin = measure(1)
    seconds = begin + _extrapolated(measure, answers, _ANSWERS_TOGETHER)
    release_models(scorer)
    return _estimate(seconds, models, 0, 0, plan.runtime)


def fetch_note(models: Sequence[Checkpoint]) -> str:
    """``2.6 GB to fetch first`` where files are not here yet, else nothing."""
    needed = sum(sum(missing_files(checkpoint).values()) for checkpoint in models)
    return f"{format_bytes(needed)} to fetch first: parabench models fetch" if needed else ""


def duration(seconds: float) -> str:
    """Time as people say it."""
    for limit, unit, name in ((100, 1, "s"), (100 * 60, 60, "min"), (48 * 3600, 3600, "h")):
        if seconds < limit:
            return f"{max(1, round(seconds / unit))} {name}"
    return f"{seconds / 86400:.0f} days"


def weight_bytes(folder: Path, item: int) -> int:
    """The bytes of all weights at ``item`` bytes each, from the headers of the safetensors files
    alone.
    """
    total = 0
    for path in folder.glob("*.safetensors"):
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        total += sum(
            math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__"
        )
    return total * item


def cache_bytes(config: Any, tokens: int, item: int) -> int:
    """The bytes of the keys and values of one row of so many tokens; cross-attention's too where
    there is any.
    """
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return (
        2
        * config.num_hidden_layers
        * heads
        * width
        * tokens
        * item
        * (2 if config.is_encoder_decoder else 1)
    )


def _seconds_to_load(plan: RunPlan, name: str, source: str) -> float:
    """From nothing to one token, with imports, which the first system of a run pays too."""
    decoding = replace(plan.suite.decoding, max_new_tokens=1, min_new_tokens=1)
    short: System = build_plugin("system", name, plan.suite, BuildContext(plan.runtime, decoding))
    seconds = _clocked(lambda: list(short.paraphrase([source])))
    release_models(short)
    return seconds


def _seconds_of_answers(
    system: System, sources: Sequence[str], together: int, load: float
) -> float:
    again = (
        0.0 if isinstance(system, Releasable) else load
    )  # what one that holds no model spends each time
    _clocked(lambda: list(system.paraphrase(sources[:1])))

    def answer(count: int) -> float:
        return _clocked(lambda: list(system.paraphrase(_some(sources, count)))) - again

    seconds = _extrapolated(answer, len(sources), together)
    release_models(system)
    return seconds


def _extrapolated(timed: _Timed, count: int, together: int) -> float:
    """Seconds for ``count`` from those for few: so much a batch of ``together``, and so much an
    example.
    """
    few = timed(FEW)
    each = max(0.0, (timed(MORE) - few) / (MORE - FEW))
    batch = max(0.0, few - FEW * each)
    return math.ceil(count / together) * batch + count * each


def _estimate(
    seconds: float, models: Sequence[Checkpoint], row: int, count: int, runtime: Runtime
) -> CostEstimate:
    weights = sum(
        weight_bytes(checkpoint_folder(model), ITEM_BYTES[runtime.dtype]) for model in models
    )
    weights += LIBRARIES if models and runtime.device == "cpu" else 0
    return CostEstimate(
        seconds, weights + row, max(weights + row * count, _peak(runtime)), _room(runtime)
    )


def _row_bytes(model: Checkpoint, longest: str, new: int, runtime: Runtime) -> tuple[int, int]:
    """The bytes of the longest row's keys and values, and how many rows fly at once."""
    from parabench.inference.continuous_batching import AUTO_SLOTS, CPU_CACHE_BYTES
    from parabench.inference.decoding import AUTO_BATCH

    folder = checkpoint_folder(model)
    tokenizer = load_tokenizer(folder, model.reference)
    tokens = len(tokenizer(longest).input_ids) + TEMPLATE_TOKENS + new
    config = load_config(model)
    row = cache_bytes(config, tokens, ITEM_BYTES[runtime.dtype])
    flying = (
        AUTO_BATCH if config.is_encoder_decoder else AUTO_SLOTS[runtime.device.partition(":")[0]]
    )
    if runtime.device == "cpu" and not config.is_encoder_decoder:
        flying = min(flying, max(1, CPU_CACHE_BYTES // row))
    return row, runtime.batch_size or flying


def _peak(runtime: Runtime) -> int:
    import torch

    return (
        torch.cuda.max_memory_allocated(runtime.device) if runtime.device.startswith("cuda") else 0
    )


def _room(runtime: Runtime) -> int:
    """Bytes free on the device; what the probe left in torch's own hands counts as free."""
    import psutil
    import torch

    if runtime.device.startswith("cuda"):
        torch.cuda.empty_cache()
        return torch.cuda.mem_get_info(runtime.device)[0]
    return psutil.virtual_memory().available


def _some(items: Sequence[Any], count: int) -> list[Any]:
    """``count`` items from all over, again from the start where there are fewer."""
    step = max(1, len(items) // count)
    return [items[at * step % len(items)] for at in range(count)]


def _clocked(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
