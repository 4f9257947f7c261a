"""Progress on stderr: bars on a terminal; elsewhere nothing, or, for long work, a line now and
then.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from parabench.contracts import ProgressCallback

_SECONDS_BETWEEN_LINES = 30.0
"""Seconds between two lines about the same thing."""


@contextmanager
def progress_bars(spoken: bool = False) -> Iterator[ProgressCallback]:
    """One bar for each thing being done, made when it is first heard of; lines if ``spoken`` and on
    no terminal.
    """
    columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    if spoken and not console.is_terminal:
        yield ProgressLines()
        return
    with Progress(
        *columns,
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as progress:
        tasks: dict[str, int] = {}

        def advance(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done)  # type: ignore[arg-type]

        yield advance


class ProgressLines:
    """Tells every ``EVERY`` seconds how far something is, how fast it goes, and how long it will
    take.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing heard of yet."""
        self.clock = clock
        self.begun: dict[str, tuple[float, int]] = {}
        self.told: dict[str, float] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        """One thing is so far."""
        now = self.clock()
        start, before = self.begun.setdefault(what, (now, done))
        if now - self.told.setdefault(what, start) < _SECONDS_BETWEEN_LINES and done < total:
            return
        self.told[what] = now
        rate = (done - before) / (now - start) if now > start else 0.0
        left = (
            f", {timedelta(seconds=round((total - done) / rate))} left"
            if rate and done < total
            else ""
        )
        speed = f", {rate:,.0f}/s" if rate else ""
        print(f"{what}: {done:,} of {total:,}{speed}{left}", file=sys.stderr, flush=True)
