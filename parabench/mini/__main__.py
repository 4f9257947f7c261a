"""``python -m parabench.mini [STAGE …]``: make the embedded models again, all of them or the stages
named.
"""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from parabench.contracts import UserError
from parabench.mini.recipe import Stage, training_stages
from parabench.training.loop import StepLog


def _main(names: list[str]) -> None:
    """Make every stage asked for, with a bar on a terminal and a line for each when it is done."""
    every = {stage.name: stage for stage in training_stages()}
    unknown = [name for name in names if name not in every]
    if unknown:
        raise UserError(
            f"make {unknown[0]!r}", "no such stage", list(every), "python -m parabench.mini"
        )
    console = Console(stderr=True)
    console.print(
        f"making {len(names or every)} stages, seeded; about an hour and a half on two CPU cores for all"
    )
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
    ) as progress:
        for name in names or every:
            _make_stage(every[name], progress)


def _make_stage(stage: Stage, progress: Progress) -> None:
    """One stage, with its loss beside its bar."""
    task, started, last = progress.add_task(stage.name, total=stage.steps), time.monotonic(), ""

    def watch(log: StepLog) -> None:
        nonlocal last
        last = f"loss {log.loss:.3f}"
        progress.update(
            task,
            completed=log.step,
            description=f"{stage.name}  {last}  {log.tokens_per_second:.0f} tok/s",
        )
        if log.step % 50 == 0 and progress.disable:
            print(
                f"{stage.name} step {log.step}/{stage.steps} {last} {log.tokens_per_second:.0f} tok/s",
                flush=True,
            )

    stage.make(stage, watch)
    print(f"{stage.name}: done in {time.monotonic() - started:.0f} s {last}", flush=True)


if __name__ == "__main__":
    try:
        _main(sys.argv[1:])
    except UserError as error:
        sys.exit(f"cannot {error}")
