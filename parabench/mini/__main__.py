"""``python -m parabench.mini [STAGE …]``: make the embedded models again, all of them or the stages
named.
"""

from __future__ import annotations

import sys
import time

from parabench.contracts import UserError
from parabench.mini.recipe import Stage, training_stages
from parabench.render.progress import progress_bar
from parabench.training.loop import StepLog


def _main(names: list[str]) -> None:
    """Make every stage asked for, all of them where ``names`` is empty."""
    every = {stage.name: stage for stage in training_stages()}
    unknown = [name for name in names if name not in every]
    if unknown:
        raise UserError(
            f"make {unknown[0]!r}", "no such stage", list(every), "python -m parabench.mini"
        )
    chosen = names or list(every)
    hours = "about an hour and a half on two CPU cores for all"
    print(f"making {len(chosen)} stages, seeded; {hours}", file=sys.stderr, flush=True)
    for name in chosen:
        _make_stage(every[name])


def _make_stage(stage: Stage) -> None:
    """Make one stage, with its loss beside its progress bar."""
    started = time.monotonic()
    last_loss = ""
    with progress_bar(stage.name, stage.steps) as update:

        def watch(log: StepLog) -> None:
            nonlocal last_loss
            last_loss = f"loss {log.loss:.3f}"
            update(log.step, f"{last_loss}  {log.tokens_per_second:.0f} tok/s")

        stage.make(stage, watch)
    print(f"{stage.name}: done in {time.monotonic() - started:.0f} s {last_loss}", flush=True)


if __name__ == "__main__":
    try:
        _main(sys.argv[1:])
    except UserError as error:
        sys.exit(f"cannot {error}")
