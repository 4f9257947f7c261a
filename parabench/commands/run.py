"""Commands that run a suite or score predictions, and that say what there is and whether it
works.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parabench.commands import reports, signals
from parabench.commands.lists import optional_names
from parabench.contracts import UserError

if TYPE_CHECKING:
    from parabench.pipeline.plan import RunPlan
    from parabench.pipeline.processes import WorkerRank

_SuiteName = Annotated[
    str, typer.Option(help="A built-in suite, or the path of a suite's TOML file.")
]
_Names = Annotated[
    str | None, typer.Option(metavar="A,B,…", help="Instead of the suite's own; comma-separated.")
]
_DataFile = Annotated[
    Path | None, typer.Option(help="Your own examples, JSONL or TSV, instead of the suite's.")
]
_Limit = Annotated[int | None, typer.Option(help="Use a seeded sample of this many examples.")]
_Seed = Annotated[int, typer.Option(help="Seed of every random choice.")]
_Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda[:i]", help="Where models run.")]
_DataType = Annotated[
    str | None, typer.Option(metavar="float32|bfloat16|float16", help="Arithmetic of the models.")
]
_BatchSize = Annotated[
    str, typer.Option(metavar="auto|N", help="Rows at once; auto probes the memory.")
]
_Samples = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Texts a source; several are sampled (top-p 0.9, or as the suite says).",
    ),
]
_Output = Annotated[
    Path | None, typer.Option(help="Folder of the run; the same folder is resumed.")
]
_DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print the plan, with time and memory, and stop.")
]


def run_command(
    suite: _SuiteName = "mini",
    systems: _Names = None,
    scorers: _Names = None,
    data: _DataFile = None,
    limit: _Limit = None,
    seed: _Seed = 0,
    device: _Device = "auto",
    dtype: _DataType = None,
    batch_size: _BatchSize = "auto",
    samples: _Samples = None,
    output: _Output = None,
    dry_run: _DryRun = False,
) -> None:
    """Generate, measure and report; run again to resume. Under torchrun, each process takes its
    share.
    """
    from parabench.pipeline import plan as planning
    from parabench.pipeline import processes, runner
    from parabench.suites import suite as suites

    share = processes.rank_from_environment(os.environ)
    chosen, own = suites.load_suite(suite), processes.device_of_rank(device, os.environ)
    chosen_names = optional_names(systems), optional_names(scorers)
    request = planning.RunRequest(
        chosen,
        *chosen_names,
        data,
        limit,
        seed,
        own,
        dtype,
        _batch_size(batch_size),
        output,
        _api_key(),
        samples,
    )
    plan = planning.make_plan(request)
    if dry_run:
        _show_plan(plan)
    elif share.rank:
        runner.run_worker(plan, share)
    else:
        execute_plan(plan, share)


def score_command(
    file: Annotated[
        Path,
        typer.Argument(help="Predictions: JSONL or TSV with references, or text beside --data."),
    ],
    data: _DataFile = None,
    scorers: _Names = None,
    suite: _SuiteName = "overlap",
    seed: _Seed = 0,
    device: _Device = "auto",
    output: _Output = None,
) -> None:
    """Score anyone's predictions beside copy, human and the other controls."""
    from parabench.pipeline import plan as planning
    from parabench.suites import suite as suites

    request = planning.RunRequest(
        suites.load_suite(suite),
        scorers=optional_names(scorers),
        data=data,
        seed=seed,
        device=device,
        output=output,
    )
    execute_plan(planning.plan_predictions(request, file))


def list_command(kind: Annotated[str, typer.Argument(metavar="systems|scorers|suites")]) -> None:
    """What there is to choose from."""
    from parabench.commands import listing

    for name, text in listing.list_rows(kind):
        typer.echo(f"{name:<16} {text}")


def doctor_command() -> None:
    """Check the installation: versions, device, models, suites."""
    from parabench.commands import doctor

    healthy = True
    for name, fine, text in doctor.check_installation():
        healthy &= fine
        typer.echo(f"{'ok  ' if fine else 'FAIL'}  {name:<14} {text}")
    raise SystemExit(0 if healthy else 1)


def _batch_size(text: str) -> int | None:
    """``auto`` as None, a positive number as itself."""
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UserError(
            f"use --batch-size {text}", "not a positive number", ["auto", "a number of rows"]
        )
    return int(text)


def _api_key() -> str:
    """What an endpoint asks for: a variable that is meant for it, so that no suite can name
    another.
    """
    return os.environ.get("PARABENCH_API_KEY", "")


def execute_plan(plan: RunPlan, share: WorkerRank | None = None) -> None:
    """Run a plan with a progress bar on stderr, then print the table on stdout."""
    from parabench.commands import progress
    from parabench.models import downloads
    from parabench.pipeline import plan as planning
    from parabench.pipeline import runner

    planning.check_plan(plan)
    downloads.fetch_models([*plan.systems.values(), *plan.scorers.values()], print_message)
    with signals.resume_hint(), progress.progress_bars() as advance:
        board = runner.run_plan(
            plan,
            advance,
            lambda text: print_message(f"note: {text}"),
            share or runner.SINGLE_PROCESS,
        )
    reports.show_leaderboard(board, plan.folder)


def _show_plan(plan: RunPlan) -> None:
    """Everything a run would do, and what stands in its way."""
    from parabench.pipeline import estimates, runner
    from parabench.pipeline import plan as planning

    done, faults, total = (
        runner.done_counts(plan),
        planning.plan_problems(plan),
        len(plan.data.examples),
    )
    typer.echo(f"suite     {plan.suite.name}: {total} examples, data {plan.data.fingerprint[:12]}")
    typer.echo(f"decoding  {planning.decoding_preset(plan.suite.decoding)}")
    typer.echo(f"runtime   {plan.runtime.device} {plan.runtime.dtype} seed={plan.runtime.seed}")
    typer.echo(f"folder    {plan.folder}")
    for name in plan.systems:
        state, cost = "MISSING", ""
        if name not in faults:
            state = f"{done[(name,)]}/{total} generated"
            cost = str(estimates.estimate_system(plan, name, plan.data.examples[done[(name,)] :]))
        typer.echo(f"system    {name:<16} {state:<22} {cost}".rstrip())
    for name in plan.scorers:
        measured = sum(done[system, name] for system in plan.systems)
        state, cost = "MISSING", ""
        if name not in faults:
            state = f"{measured}/{total * len(plan.systems)} measured"
            cost = str(estimates.estimate_scorer(plan, name, total * len(plan.systems) - measured))
        typer.echo(f"scorer    {name:<16} {state:<22} {cost}".rstrip())
    for text in faults.values():
        print_message(f"\n{text}")
    if faults:
        raise SystemExit(2)


def print_message(text: str) -> None:
    """A message on stderr, in which names and file contents can move no cursor and ring no bell."""
    from parabench.render.escape import visible

    typer.echo("\n".join(map(visible, text.split("\n"))), err=True)
