"""Progress on stderr: bars on a terminal; elsewhere nothing, or, for long work, a line now and
then.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from rich.table import Column

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

        def advance(
            what: str,
            done: int,
            total: int,
        ) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done)  # type: ignore[arg-type]

        yield advance


@contextmanager
def progress_bar(
    name: str,
    total: int,
    shown: bool = True,
) -> Iterator[Callable[[int, str], None]]:
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


@contextmanager
def overall_progress(
    stages: Sequence[Mapping[str, float]],
    shown: bool = True,
) -> Iterator[ProgressCallback]:
    """One line for the whole of a long work: what is done now, a bar, and the time left.

    ``stages``: the kinds of work by their names, as the callback will hear them, in the order in
    which they are done, each with its weight; kinds of one stage are done side by side. On no
    terminal a line is printed every 30 seconds. ``shown``: False prints nothing, as do all but the
    first of several processes.
    """
    overall = OverallProgress(stages)
    console = Console(stderr=True)
    if shown and not console.is_terminal:
        yield OverallLines(overall)
        return
    with Progress(
        TextColumn("{task.description}", table_column=Column(ratio=1, no_wrap=True)),
        BarColumn(bar_width=20),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[left]}", table_column=Column(no_wrap=True)),
        console=console,
        disable=not shown,
        expand=True,
    ) as progress:
        task = progress.add_task("starting", total=1.0, left="")

        def advance(what: str, done: int, total: int) -> None:
            label = overall.advance(what, done, total)
            left = overall.time_left()
            progress.update(task, completed=overall.share, description=label, left=left)

        yield advance


class OverallProgress:
    """How much of a work in several stages is done, each kind of work counting by its weight.

    Stages before the present one are done, also where nothing was heard of them: an earlier run
    had finished them.
    """

    def __init__(
        self,
        stages: Sequence[Mapping[str, float]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``stages`` as for ``overall_progress``; ``clock`` gives seconds."""
        self.stages = stages
        self.stage_of = {name: place for place, names in enumerate(stages) for name in names}
        self.weights = [sum(kinds.values()) for kinds in stages]
        self.shares: dict[str, float] = {}
        self.share = 0.0
        self.clock = clock
        self.begun: tuple[float, float] | None = None

    def advance(
        self,
        what: str,
        done: int,
        total: int,
    ) -> str:
        """Take note that ``done`` of ``total`` items of ``what`` are finished; returns a label.

        The label says the stage, what is done, and how many items are: ``3/9 bleu of copy 5/40``.
        """
        present = self.stage_of.get(what, 0)
        self.shares[what] = done / total if total else 1.0
        earlier = sum(self.weights[:present])
        kinds = self.stages[present].items()
        here = sum(weight * self.shares.get(name, 0.0) for name, weight in kinds)
        # Several processes go through the stages twice: what was done stays done.
        self.share = max(self.share, (earlier + here) / sum(self.weights))
        if self.begun is None:
            self.begun = self.clock(), self.share
        return f"{present + 1}/{len(self.stages)} {what} {done:,}/{total:,}"

    def seconds_left(self) -> float | None:
        """An estimate by the rate since the first call; None before there is one."""
        if self.begun is None:
            return None
        start, share_at_start = self.begun
        done = self.share - share_at_start
        if done > 0:
            return (self.clock() - start) * (1 - self.share) / done
        return None

    def time_left(self) -> str:
        """The estimate in words; empty before there is one."""
        seconds = self.seconds_left()
        return "" if seconds is None else f"about {timedelta(seconds=round(seconds))} left"


class OverallLines:
    """Prints how far a work in several stages is, every 30 seconds."""

    def __init__(self, overall: OverallProgress) -> None:
        """``overall`` is what is printed; its clock counts."""
        self.overall = overall
        self.printed = overall.clock()

    def __call__(
        self,
        what: str,
        done: int,
        total: int,
    ) -> None:
        """``done`` of ``total`` items of ``what`` are finished."""
        label = self.overall.advance(what, done, total)
        now = self.overall.clock()
        if now - self.printed < _SECONDS_BETWEEN_LINES:
            return
        self.printed = now
        parts = [f"{self.overall.share:.0%}", label, self.overall.time_left()]
        print(", ".join(filter(None, parts)), file=sys.stderr, flush=True)


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

    def __call__(
        self,
        what: str,
        done: int,
        total: int,
        text: str = "",
    ) -> None:
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
        left = ""
        speed = ""
        if rate:
            # An update of a large model takes longer than a second: 0/s would say nothing.
            shown = f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
            speed = f", {shown}/s"
        if rate and done < total:
            left = f", {timedelta(seconds=round((total - done) / rate))} left"
        more = f", {text}" if text else ""
        line = f"{what}: {done:,} of {total:,}{more}{speed}{left}"
        print(line, file=sys.stderr, flush=True)
