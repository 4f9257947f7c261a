"""Commands that run a suite or score predictions, and that say what there is and whether it
works.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parabench.commands import reports, signals
from parabench.commands.lists import given
from parabench.contracts import UserError

if TYPE_CHECKING:
    from parabench.pipeline.plan import Plan
    from parabench.pipeline.processes import Share

SuiteName = Annotated[
    str, typer.Option(help="A built-in suite, or the path of a suite's TOML file.")
]
Names = Annotated[
    str | None, typer.Option(metavar="A,B,…", help="Instead of the suite's own; comma-separated.")
]
DataFile = Annotated[
    Path | None, typer.Option(help="Your own examples, JSONL or TSV, instead of the suite's.")
]
Limit = Annotated[int | None, typer.Option(help="Use a seeded sample of this many examples.")]
Seed = Annotated[int, typer.Option(help="Seed of every random choice.")]
Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda[:i]", help="Where models run.")]
DataType = Annotated[
    str | None, typer.Option(metavar="float32|bfloat16|float16", help="Arithmetic of the models.")
]
BatchSize = Annotated[
    str, typer.Option(metavar="auto|N", help="Rows at once; auto probes the memory.")
]
Samples = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Texts a source; several are sampled (top-p 0.9, or as the suite says).",
    ),
]
Output = Annotated[Path | None, typer.Option(help="Folder of the run; the same folder is resumed.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print the plan, with time and memory, and stop.")
]


def run(
    suite: SuiteName = "mini",
    systems: Names = None,
    scorers: Names = None,
    data: DataFile = None,
    limit: Limit = None,
    seed: Seed = 0,
    device: Device = "auto",
    dtype: DataType = None,
    batch_size: BatchSize = "auto",
    samples: Samples = None,
    output: Output = None,
    dry_run: DryRun = False,
) -> None:
    """Generate, measure and report; run again to resume. Under torchrun, each process takes its
    share.
    """
    from parabench.pipeline import plan as planning
    from parabench.pipeline import processes, runner
    from parabench.suites import suite as suites

    share = processes.from_environment(os.environ)
    chosen, own = suites.load(suite), processes.own_device(device, os.environ)
    chosen_names = given(systems), given(scorers)
    request = planning.Request(
        chosen,
        *chosen_names,
        data,
        limit,
        seed,
        own,
        dtype,
        rows(batch_size),
        output,
        key(),
        samples,
    )
    plan = planning.plan(request)
    if dry_run:
        show_plan(plan)
    elif share.rank:
        runner.assist(plan, share)
    else:
        execute(plan, share)


def score(
    file: Annotated[
        Path,
        typer.Argument(help="Predictions: JSONL or TSV with references, or text beside --data."),
    ],
    data: DataFile = None,
    scorers: Names = None,
    suite: SuiteName = "overlap",
    seed: Seed = 0,
    device: Device = "auto",
    output: Output = None,
) -> None:
    """Score anyone's predictions beside copy, human and the other controls."""
    from parabench.pipeline import plan as planning
    from parabench.suites import suite as suites

    request = planning.Request(
        suites.load(suite),
        scorers=given(scorers),
        data=data,
        seed=seed,
        device=device,
        output=output,
    )
    execute(planning.plan_predictions(request, file))


def list_(kind: Annotated[str, typer.Argument(metavar="systems|scorers|suites")]) -> None:
    """What there is to choose from."""
    from parabench.commands import listing

    for name, text in listing.rows(kind):
        typer.echo(f"{name:<16} {text}")


def doctor() -> None:
    """Check the installation: versions, device, models, suites."""
    from parabench.commands import doctor

    healthy = True
    for name, fine, text in doctor.findings():
        healthy &= fine
        typer.echo(f"{'ok  ' if fine else 'FAIL'}  {name:<14} {text}")
    raise SystemExit(0 if healthy else 1)


def rows(text: str) -> int | None:
    """``auto`` as None, a positive number as itself."""
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UserError(
            f"use --batch-size {text}", "not a positive number", ["auto", "a number of rows"]
        )
    return int(text)


def key() -> str:
    """What an endpoint asks for: a variable that is meant for it, so that no suite can name
    another.
    """
    return os.environ.get("PARABENCH_API_KEY", "")


def execute(plan: Plan, share: Share | None = None) -> None:
    """Run a plan with a progress bar on stderr, then print the table on stdout."""
    from parabench.commands import progress
    from parabench.models import downloads
    from parabench.pipeline import plan as planning
    from parabench.pipeline import runner

    planning.check(plan)
    downloads.fetch_models([*plan.systems.values(), *plan.scorers.values()], say)
    with signals.telling(), progress.bars() as advance:
        board = runner.run(plan, advance, lambda text: say(f"note: {text}"), share or runner.WHOLE)
    reports.show(board, plan.folder)


def show_plan(plan: Plan) -> None:
    """Everything a run would do, and what stands in its way."""
    from parabench.pipeline import estimates, runner
    from parabench.pipeline import plan as planning

    done, faults, total = runner.status(plan), planning.faults(plan), len(plan.data.examples)
    typer.echo(f"suite     {plan.suite.name}: {total} examples, data {plan.data.fingerprint[:12]}")
    typer.echo(f"decoding  {planning.decoding_preset(plan.suite.decoding)}")
    typer.echo(f"runtime   {plan.runtime.device} {plan.runtime.dtype} seed={plan.runtime.seed}")
    typer.echo(f"folder    {plan.folder}")
    for name in plan.systems:
        state, cost = "MISSING", ""
        if name not in faults:
            state = f"{done[(name,)]}/{total} generated"
            cost = str(estimates.of_system(plan, name, plan.data.examples[done[(name,)] :]))
        typer.echo(f"system    {name:<16} {state:<22} {cost}".rstrip())
    for name in plan.scorers:
        measured = sum(done[system, name] for system in plan.systems)
        state, cost = "MISSING", ""
        if name not in faults:
            state = f"{measured}/{total * len(plan.systems)} measured"
            cost = str(estimates.of_scorer(plan, name, total * len(plan.systems) - measured))
        typer.echo(f"scorer    {name:<16} {state:<22} {cost}".rstrip())
    for text in faults.values():
        say(f"\n{text}")
    if faults:
        raise SystemExit(2)


def say(text: str) -> None:
    """A message on stderr, in which names and file contents can move no cursor and ring no bell."""
    from parabench.render.escape import visible

    typer.echo("\n".join(map(visible, text.split("\n"))), err=True)
