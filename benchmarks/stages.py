"""Where a whole run spends its CPU time: ``python -m benchmarks.stages [--save FILE]
[--beside FILE ...] [run's options]``.

``parabench run`` in this process, one thread, each second counted for the innermost stage: the
systems, the scorers, the report's parts. What ``--save`` keeps, ``--beside`` prints in a column
of its own. The file runs by its path too, in the environment of an older checkout, whose names for
the same parts it knows.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

REST = "everything else: start, plan, logs"
PARTS = {
    "report: the page": ("page_html", "to_html"),
    "report: tests of pairs": ("pairwise_comparisons", "comparisons"),
    "report: table and files": ("write_reports",),
}
"""Functions of ``report.assemble``, by today's name and an older one."""


class Meter:
    """CPU seconds by stage; those of a stage within another are the inner one's alone."""

    def __init__(self) -> None:
        self.seconds = Counter[str]()
        self.fsyncs = 0
        self._stack = [REST]
        self._last = 0.0  # from the start of the process

    @contextmanager
    def within(self, stage: str) -> Iterator[None]:
        """Count what happens meanwhile for ``stage``."""
        self.tick()
        self._stack.append(stage)
        try:
            yield
        finally:
            self.tick()
            self._stack.pop()

    def tick(self) -> None:
        """Count what was spent since the last call for the stage at hand."""
        now = time.process_time()
        self.seconds[self._stack[-1]] += now - self._last
        self._last = now


def watch(meter: Meter) -> None:
    """Let every system, scorer and part of the report count its time."""
    registry = importlib.import_module("parabench.registry")
    for name in ("plugin_builder", "builder"):
        if hasattr(registry, name):
            setattr(registry, name, _watched_builders(meter, getattr(registry, name)))
    fsync = os.fsync

    def counted(descriptor: Any) -> None:
        meter.fsyncs += 1
        fsync(descriptor)

    os.fsync = counted
    assemble = importlib.import_module("parabench.report.assemble")
    for stage, names in PARTS.items():
        for name in names:
            if hasattr(assemble, name):
                setattr(assemble, name, _watched(meter, stage, getattr(assemble, name)))


def _watched(meter: Meter, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def call(*given: Any, **named: Any) -> Any:
        with meter.within(stage):
            return function(*given, **named)

    return call


def _watched_builders(meter: Meter, find: Callable[..., Any]) -> Callable[..., Any]:
    watched = set[type]()

    def builder(kind: str, family: str) -> Callable[..., Any]:
        build = find(kind, family)

        def built(*given: Any) -> Any:
            part = build(*given)
            if type(part) not in watched:
                watched.add(type(part))
                _watch_part(meter, kind, family, type(part))
            return part

        return built

    return builder


def _watch_part(meter: Meter, kind: str, family: str, cls: Any) -> None:
    if kind == "scorer":
        cls.measure = _watched(meter, f"scorer {family}", cls.measure)
        return
    paraphrase = cls.paraphrase

    def batches(self: Any, sources: Sequence[str]) -> Iterator[Any]:
        stage = f"systems of {cls.__name__}"
        with meter.within(stage):
            answers = iter(paraphrase(self, sources))
        while True:
            # between two batches the run writes the last one: that is not the system's time
            with meter.within(stage):
                batch = next(answers, None)
            if batch is None:
                return
            yield batch

    cls.paraphrase = batches


def table(columns: dict[str, dict[str, float]]) -> str:
    """A Markdown table of stages, the most expensive of the last column first."""
    last = list(columns.values())[-1]
    names = dict.fromkeys(sorted(last, key=lambda name: -last[name]))
    for column in columns.values():
        names |= dict.fromkeys(column)
    names.pop("fsyncs", None)
    lines = ["| stage, CPU-s | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name in names:
        cells = [f"{column[name]:.1f}" if name in column else "" for column in columns.values()]
        if any(cell not in ("", "0.0") for cell in cells):
            lines.append(f"| {name} | {' | '.join(cells)} |")
    sums = []
    for column in columns.values():
        sums.append(sum(seconds for name, seconds in column.items() if name != "fsyncs"))
    lines.append(f"| all | {' | '.join(f'{one:.1f}' for one in sums)} |")
    counts = " | ".join(f"{column.get('fsyncs', 0):.0f}" for column in columns.values())
    lines.append(f"| calls of fsync | {counts} |")
    return "\n".join(lines)


def main() -> None:
    """Run, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stages", description=__doc__)
    parser.add_argument("--save", type=Path, help="keep the figures as JSON")
    parser.add_argument("--beside", type=Path, nargs="*", default=[], help="figures kept before")
    parser.add_argument("--name", default="now", help="the column's name")
    chosen, run = parser.parse_known_args()
    meter = Meter()
    watch(meter)
    app = importlib.import_module("parabench.cli").app
    try:
        app(["run", *run])
    except SystemExit as ended:
        if ended.code:
            raise
    meter.tick()
    found = {**meter.seconds, "fsyncs": float(meter.fsyncs)}
    columns = {}
    for path in chosen.beside:
        columns |= json.loads(path.read_text(encoding="utf-8"))
    columns[chosen.name] = found
    if chosen.save:
        chosen.save.write_text(json.dumps({chosen.name: found}), encoding="utf-8")
    print(table(columns))


if __name__ == "__main__":
    main()
