"""Where the time of our three engines goes, on the shapes of the races.

For each, which part of its time goes into matrix products with weights, how fast those run, how
fast a large product runs here, and so how many times as fast the engine could be if it did nothing
else, and that at full speed.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks import decode, likelihood, train, worlds
from benchmarks.options import Options
from benchmarks.race import Work

KINDS = {
    "products": ("aten::mm", "aten::addmm"),
    "attention": (
        "aten::bmm",
        "aten::_softmax",
        "aten::_softmax_backward_data",
        "aten::masked_fill_",
        "_attention_",
    ),
    "moving": (
        "aten::copy_",
        "aten::index",
        "aten::cat",
        "aten::fill_",
        "aten::index_copy_",
        "aten::index_select",
    ),
}
ROWS = {"likelihood": 192, "decode": 192, "train": 64}
ROWS_OF_MODEL = 48
SIDE = 2048


bounds: dict[str, float] = {}
"""Of each engine whose table was made: its time over that of its products with weights."""


def table(rounds: int, threads: int, model: str = "") -> str:
    """The table, in Markdown; fills ``bounds``. ``model``: a decoder in place of random weights."""
    torch.set_num_threads(threads)
    best = product_rate(3 * rounds)
    half = product_rate(3 * rounds, torch.bfloat16)
    lines = [
        "## where the time goes",
        f"A product of {SIDE} by {SIDE} by {SIDE} runs at {best:.0f} GFLOP/s here in fp32, and at "
        f"{half:.0f} in bf16.",
        "| work | products with weights | at GFLOP/s | attention | moving "
        "| the rest | could be at most |\n" + "|---" * 7 + "|",
    ]
    for name, work in works_of(model) if model else works():
        share, rate = shares(work)
        most = best / rate / share["products"]
        bounds[name] = 1 / share["products"]
        products, attention, moving, rest = (
            f"{100 * each:.0f} %" for each in (*share.values(), 1 - sum(share.values()))
        )
        lines[-1] += (
            f"\n| {name} | {products} | {rate:.0f} | {attention} | {moving} "
            f"| {rest} | {most:.2f} x |"
        )
    return "\n\n".join(lines)


def works() -> Iterator[tuple[str, Work]]:
    """What the races let us do."""
    yield (
        "likelihood",
        likelihood.ours(worlds.bart(Options()), likelihood.pairs(ROWS["likelihood"], 1)),
    )
    model, prompt = worlds.opt(Options()), worlds.prompt(Options())
    yield "decode", decode.ours(model, prompt, worlds.sentences(ROWS["decode"], 0))
    yield "train", train.ours(model, prompt, train._batches(Options(ROWS["train"])))


def works_of(model: str) -> Iterator[tuple[str, Work]]:
    """What the races let us do with a model that was chosen, on real sentences."""
    options = Options(ROWS_OF_MODEL, model=model)
    yield "decode", decode._ours(options, torch.float32)
    yield "train", train._ours(options, torch.float32)


def shares(work: Callable[[], object]) -> tuple[Mapping[str, float], float]:
    """The share of each kind in the time of all operations, and GFLOP/s of the products with
    weights.
    """
    work()
    with profile(activities=[ProfilerActivity.CPU], with_flops=True) as made:
        work()
    events = made.key_averages()
    total = sum(event.self_cpu_time_total for event in events)
    seconds = {
        kind: sum(
            e.self_cpu_time_total
            for e in events
            if e.key in names or any(n in e.key for n in names if n[0] == "_")
        )
        for kind, names in KINDS.items()
    }
    flops = sum(event.flops for event in events if event.key in KINDS["products"])
    return {kind: each / total for kind, each in seconds.items()}, flops / seconds["products"] / 1e3


@cache
def half_is_fast(times: int = 5) -> bool:
    """Whether a large product is twice as fast in bf16 as in fp32, as matrix instructions make it.

    Of some processors that have instructions for bf16 it is slower.
    """
    product_rate(1, torch.bfloat16)  # what is made only once
    return product_rate(times, torch.bfloat16) >= 1.8 * product_rate(times)


def product_rate(times: int, dtype: torch.dtype = torch.float32) -> float:
    """GFLOP/s of a large product, the median of some."""
    one, two = (torch.randn(SIDE, SIDE).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        one @ two
        seconds.append(time.perf_counter() - start)
    return 2 * SIDE**3 / statistics.median(seconds) / 1e9
