"""The commands about what is installed: what there is to choose from, and whether it works."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from parabench.commands.arguments import DeviceOption, DtypeOption
from parabench.commands.help_pages import examples

_INVARIANCE = "With --batch-invariance"


@examples("parabench list systems", "parabench list scorers", "parabench list suites")
def list_command(kind: Annotated[str, typer.Argument(metavar="systems|scorers|suites")]) -> None:
    """List systems, scorers or suites."""
    from parabench.commands import listing

    for name, text in listing.list_rows(kind):
        typer.echo(f"{name:<16} {text}")


@examples("parabench doctor", "parabench doctor --batch-invariance --suite mini --limit 32")
def doctor_command(
    batch_invariance: Annotated[
        bool,
        typer.Option(
            "--batch-invariance", help="Test only how often the batch size changes a text."
        ),
    ] = False,
    suite: Annotated[
        str, typer.Option(help="A built-in suite or a TOML file.", rich_help_panel=_INVARIANCE)
    ] = "mini",
    data: Annotated[
        Path | None,
        typer.Option(help="Your own examples instead of the suite's.", rich_help_panel=_INVARIANCE),
    ] = None,
    limit: Annotated[
        int,
        typer.Option(
            help="Compare on a seeded sample of this many examples.", rich_help_panel=_INVARIANCE
        ),
    ] = 32,
    device: DeviceOption = "auto",
    dtype: DtypeOption = None,
) -> None:
    """Check versions, device, models and suites.

    Exit code 1 where something is missing or damaged; with ``--batch-invariance`` where a greedy
    text changes with the batch size although it must not (float32 on the CPU).
    """
    if batch_invariance:
        from parabench.commands.invariance import check_batch_invariance

        raise SystemExit(0 if check_batch_invariance(suite, data, limit, device, dtype) else 1)
    from parabench.commands.doctor import check_installation

    healthy = True
    for name, fine, text in check_installation():
        healthy &= fine
        typer.echo(f"{'ok  ' if fine else 'FAIL'}  {name:<14} {text}")
    raise SystemExit(0 if healthy else 1)
