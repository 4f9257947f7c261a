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


@contextmanager
def progress_bars(lines_elsewhere: bool = False) -> Iterator[ProgressCallback]:
    """One bar for each kind of work, made when it is first heard of.

    ``lines_elsewhere``: print a line every 30 seconds where stderr is no terminal.
    """
    if lines_elsewhere and not Console(stderr=True).is_terminal:
        yield ProgressLines()
        return
    with _rich_progress() as progress:
        tasks: dict[str, int] = {}

        def advance(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done)  # type: ignore[arg-type]

        yield advance


@contextmanager
def progress_bar(name: str, total: int, shown: bool = True) -> Iterator[Callable[[int, str], None]]:
    """One bar of ``total`` steps, called with the steps done and a text beside ``name``.

    On no terminal it prints a line every 30 seconds. ``shown``: False prints nothing, as do all but
    the first of several processes.
    """
    if shown and not Console(stderr=True).is_terminal:
        lines = ProgressLines()

        def write(done: int, text: str = "") -> None:
            lines(name, done, total, text)

        yield write
        return
    with _rich_progress(shown) as progress:
        task = progress.add_task(name, total=total)

        def update(done: int, text: str = "") -> None:
            progress.update(task, completed=done, description=f"{name}  {text}".rstrip())

        yield update


def _rich_progress(shown: bool = True) -> Progress:
    """The program's only kind of bar: what, bar, count, time gone, time left."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description:<28}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not (shown and console.is_terminal),
        expand=True,
    )


class ProgressLines:
    """Prints how far something is, its rate and its time left, at most every 30 seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` gives seconds."""
        self.clock = clock
        self.begun: dict[str, tuple[float, int]] = {}
        self.printed: dict[str, float] = {}

    def __call__(self, what: str, done: int, total: int, text: str = "") -> None:
        """``done`` of ``total`` items of ``what`` are finished; ``text`` is printed with them."""
        now = self.clock()
        start, done_at_start = self.begun.setdefault(what, (now, done))
        last_line = self.printed.setdefault(what, start)
        if now - last_line < _SECONDS_BETWEEN_LINES and done < total:
            return
        self.printed[what] = now
        seconds = now - start
        # What an earlier run had done already says nothing about this one's rate.
        rate = (done - done_at_start) / seconds if seconds > 0 else 0.0
        left, speed = "", ""
        if rate:
            # An update of a large model takes longer than a second: 0/s would say nothing.
            shown = f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
            speed = f", {shown}/s"
        if rate and done < total:
            left = f", {timedelta(seconds=round((total - done) / rate))} left"
        more = f", {text}" if text else ""
        line = f"{what}: {done:,} of {total:,}{more}{speed}{left}"
        print(line, file=sys.stderr, flush=True)
