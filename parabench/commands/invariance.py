"""The check that a text does not depend on what else is decoded in its batch."""

from __future__ import annotations

from pathlib import Path

import typer


def check_batch_invariance(
    suite: str, data: Path | None, limit: int, device: str, dtype: str | None
) -> bool:
    """Print how often the batch size changes a greedy text; False where it must not and does.

    ``limit`` examples of ``data`` (the suite's where None) are decoded at several batch sizes. A
    control with a wrong attention mask shows that a difference would be seen.
    """
    from parabench.pipeline import batch_invariance, plan
    from parabench.pipeline.provenance import device_name
    from parabench.suites.suite import load_suite

    request = plan.RunRequest(load_suite(suite), data=data, limit=limit, device=device, dtype=dtype)
    plans = batch_invariance.plans_by_batch_size(request)
    runtime = plans[1].runtime
    # the first size is 1, against which the others are compared
    _, *larger_sizes = batch_invariance.BATCH_SIZES
    sizes = ", ".join(map(str, larger_sizes))
    where = f"{device_name(runtime.device)}, {runtime.dtype}"
    typer.echo(f"greedy texts at batch sizes {sizes} against 1; {where}")
    # Kernels of other devices and shorter floats choose their sums by shape, so only here is
    # a difference a fault of ours.
    must_not_differ = runtime.device == "cpu" and runtime.dtype == "float32"
    passed = True
    for found in batch_invariance.compare_batch_sizes(plans):
        percent = 100 * found.differing / found.compared
        counts = f"{found.differing}/{found.compared} differ ({percent:.1f} %)"
        control = f"with a wrong mask {found.control}"
        if not found.control:
            control += "; the control does not differ, so this shows nothing"
            passed = False
        typer.echo(f"{found.system:<16} {counts}; {control}")
        if must_not_differ and found.differing:
            passed = False
    return passed
