"""Running contenders in turn, each in its own process, and reporting medians, ratios and memory."""

from __future__ import annotations

import multiprocessing
import os
import platform
import re
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

Work = Callable[[], np.ndarray]

AT_ONCE = {"MALLOC_MMAP_THRESHOLD_": str(1 << 16)}
"""Tells glibc to give back to the system at once what is freed in pieces of 64 KB and more."""


@dataclass(frozen=True)
class Contender:
    """``build()`` makes the weights and the inputs, and returns the work to be timed; the first is
    the yardstick.

    The work's result is compared with the yardstick's: every number within ``tolerance``, or, where
    that is None, the share of equal rows is reported. ``units`` counts what the speed is per second
    of, from the result.
    """

    name: str
    build: Callable[[], Work]
    units: Callable[[np.ndarray], float]
    unit: str
    tolerance: float | None = 0.0


@dataclass
class Result:
    """Seconds of each round, memory above the weights in MB, and the difference in words."""

    contender: Contender
    seconds: list[float]
    output: np.ndarray
    memory: float
    difference: str = ""

    @property
    def speed(self) -> float:
        return self.contender.units(self.output) / statistics.median(self.seconds)

    def times(self, other: Result) -> float:
        """How many times as fast as another: the median over the rounds, in which the two stood
        side by side.
        """
        rounds = statistics.median(
            theirs / own for theirs, own in zip(other.seconds, self.seconds, strict=True)
        )
        return rounds * self.contender.units(self.output) / other.contender.units(other.output)


def race(contenders: Sequence[Contender], rounds: int, threads: int) -> list[Result]:
    """Start all contenders, compare what they compute, then time them in turn; raises SystemExit
    where they differ.
    """
    context = multiprocessing.get_context("spawn")
    ends: list[Connection] = []
    try:
        results = [_entered(context, contender, threads, ends) for contender in contenders]
        for result in results:
            result.difference = compare(result, results[0].output)
        for _ in range(rounds):
            for end, result in zip(ends, results, strict=True):
                end.send(None)
                result.seconds.append(end.recv())
    finally:
        for end in ends:
            end.close()  # which ends its process
    for result in results:
        result.memory = _memory_of(context, result.contender, threads)
    return results


def _memory_of(context: Any, contender: Contender, threads: int) -> float:
    """MB above the weights, in a process that holds nothing that is freed: only what was in use
    together counts.
    """
    ours, theirs = context.Pipe()
    os.environ.update(AT_ONCE)
    try:
        context.Process(target=_weigh, args=(contender.build, threads, theirs)).start()
    finally:
        for name in AT_ONCE:
            del os.environ[name]
    theirs.close()
    return float(_received(ours, contender))


def _entered(context: Any, contender: Contender, threads: int, ends: list[Connection]) -> Result:
    ours, theirs = context.Pipe()
    context.Process(target=_contend, args=(contender.build, threads, theirs)).start()
    theirs.close()
    ends.append(ours)
    return Result(contender, [], _received(ours, contender), 0.0)


def _received(end: Connection, contender: Contender) -> Any:
    try:
        return end.recv()
    except EOFError:
        raise SystemExit(f"{contender.name}: its process has ended") from None


def table(results: Sequence[Result]) -> str:
    """A Markdown table of the results."""
    unit = results[0].contender.unit
    lines = [
        f"| variant | {unit} | x first | memory above weights, MB | against the first |",
        "|---|---|---|---|---|",
    ]
    for result in results:
        ratio = result.times(results[0])
        cells = (f"{result.speed:.1f}", f"{ratio:.2f}", f"{result.memory:.0f}", result.difference)
        lines.append(f"| {result.contender.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def machine(device: str) -> str:
    """Processor, GPU and versions in words."""
    import torch

    packages = ("torch", "transformers", "peft", "sacrebleu", "rouge-score")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    card = f"{torch.cuda.get_device_name(device)}; " if "cuda" in device else ""
    return f"{card}{_processor()}; Python {platform.python_version()}, {versions}"


def _contend(build: Callable[[], Work], threads: int, end: Connection) -> None:
    import torch

    torch.set_num_threads(threads)
    work = build()
    end.send(
        work()
    )  # once for what is made only once: threads, kernels, the libraries' own buffers
    with suppress(EOFError):
        while True:
            end.recv()
            start = time.perf_counter()
            work()
            end.send(time.perf_counter() - start)


def _weigh(build: Callable[[], Work], threads: int, end: Connection) -> None:
    import torch

    torch.set_num_threads(threads)
    work = build()
    work()
    before = _reset_peak()
    work()
    end.send((_peak() - before) / 1e6)


def compare(result: Result, expected: np.ndarray) -> str:
    output, tolerance = result.output, result.contender.tolerance
    if output.shape != expected.shape:
        raise SystemExit(
            f"{result.contender.name}: another shape of results: "
            f"{output.shape}, not {expected.shape}"
        )
    if tolerance is None:
        return f"{int((output == expected).all(axis=1).sum())} of {len(expected)} rows equal"
    worst = float(np.abs(output - expected).max())
    if not worst <= tolerance:
        raise SystemExit(
            f"{result.contender.name}: results differ by {worst:.2g}, more than {tolerance:g}"
        )
    return f"within {worst:.1g}" if worst else "equal"


def _reset_peak() -> float:
    """Forget the highest use of memory so far; the use now, which is that of the weights and the
    libraries.
    """
    import torch

    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()
        return float(torch.cuda.memory_allocated())
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")


def _peak() -> float:
    import torch

    return (
        float(torch.cuda.max_memory_allocated())
        if torch.cuda.is_initialized()
        else _memory("VmHWM")
    )


def _memory(field: str) -> float:
    status = Path("/proc/self/status")
    match = re.search(rf"{field}:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return float(match[1]) * 1024 if match else float("nan")


def processor_features() -> list[str]:
    """Instruction sets that decide speed, of those that this processor has; none where unknown."""
    words = set(_cpuinfo().split())
    return [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in words]


def _processor() -> str:
    name = re.search(r"model name\s*:\s*(.+)", _cpuinfo())
    model = name[1] if name else platform.machine()
    features = ", ".join(processor_features())
    return f"{model} ({features}), {multiprocessing.cpu_count()} cores"


def _cpuinfo() -> str:
    info = Path("/proc/cpuinfo")
    return info.read_text() if info.exists() else ""
