"""The command that measures what is promised about batches: the same text whatever else is decoded
beside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def batch_invariance_command(
    suite: Annotated[
        str, typer.Option(help="A built-in suite, or the path of a suite's TOML file.")
    ] = "mini",
    data: Annotated[
        Path | None, typer.Option(help="Your own examples instead of the suite's.")
    ] = None,
    limit: Annotated[
        int, typer.Option(help="Compare on a seeded sample of this many examples.")
    ] = 32,
    device: Annotated[
        str, typer.Option(metavar="auto|cpu|cuda[:i]", help="Where models run.")
    ] = "auto",
    dtype: Annotated[
        str | None,
        typer.Option(metavar="float32|bfloat16|float16", help="Arithmetic of the models."),
    ] = None,
) -> None:
    """Measure how often the batch size changes a greedy text; exit code 1 where it must not and
    does.
    """
    from parabench.pipeline import plan
    from parabench.pipeline.batch_invariance import (
        BATCH_SIZES,
        compare_batch_sizes,
        plans_by_batch_size,
    )
    from parabench.pipeline.provenance import device_name
    from parabench.suites import suite as suites

    planned = plans_by_batch_size(
        plan.RunRequest(
            suites.load_suite(suite), data=data, limit=limit, device=device, dtype=dtype
        )
    )
    runtime = planned[1].runtime
    sizes = ", ".join(map(str, BATCH_SIZES[1:]))
    typer.echo(
        f"greedy texts at batch sizes {sizes} against 1; {device_name(runtime.device)}, {runtime.dtype}"
    )
    exact, failed = (runtime.device, runtime.dtype) == ("cpu", "float32"), False
    for found in compare_batch_sizes(planned):
        rate = f"{100 * found.differing / found.compared:.1f} %"
        vain = "" if found.control else "; the control does not differ, so this shows nothing"
        counts = f"{found.differing}/{found.compared} differ ({rate}); with a wrong mask {found.control}{vain}"
        typer.echo(f"{found.system:<16} {counts}")
        failed |= not found.control or (exact and found.differing > 0)
    raise SystemExit(1 if failed else 0)
