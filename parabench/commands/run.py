"""The commands that run a suite and that score predictions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parabench.commands import reports, signals
from parabench.commands.arguments import (
    BatchSizeOption,
    DataOption,
    DeviceOption,
    DtypeOption,
    LimitOption,
    MinReferencesOption,
    RunOutputOption,
    SamplesOption,
    ScorersOption,
    SeedOption,
    SuiteOption,
    SystemsOption,
)
from parabench.commands.dry_run import show_plan
from parabench.commands.help_pages import examples
from parabench.commands.lists import optional_names
from parabench.commands.paired_tests import paired_test_lines
from parabench.commands.terminal import print_message, print_text
from parabench.contracts import UserError

if TYPE_CHECKING:
    from parabench.pipeline.plan import RunPlan
    from parabench.report.board import Leaderboard
    from parabench.torchrun import ProcessRank

_DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print the plan in seconds, and stop; loads no model.")
]
_Probe = Annotated[
    bool,
    typer.Option("--probe", help="With --dry-run: load the models, estimate time and memory."),
]

_Attackers = Annotated[
    bool,
    typer.Option(
        "--attackers",
        help="Beside the suite's controls, run all attackers: texts that fool some column.",
    ),
]


@examples(
    "parabench run",
    "parabench run --systems softprompt-111,bart --limit 50",
    "parabench run --suite mine.toml --dry-run",
)
def run_command(
    suite: SuiteOption = "mini",
    systems: SystemsOption = None,
    scorers: ScorersOption = None,
    data: DataOption = None,
    limit: LimitOption = None,
    min_references: MinReferencesOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    dtype: DtypeOption = None,
    batch_size: BatchSizeOption = "auto",
    samples: SamplesOption = None,
    attackers: _Attackers = False,
    output: RunOutputOption = None,
    dry_run: _DryRun = False,
    probe: _Probe = False,
) -> None:
    """Run a suite: generate, measure, report.

    Run it again to resume. Under torchrun the processes share the work.
    """
    from parabench.pipeline import plan as planning
    from parabench.pipeline import runner
    from parabench.suites import suite as suites
    from parabench.torchrun import device_of_rank, rank_from_environment

    process = rank_from_environment(os.environ)
    chosen = suites.load_suite(suite)
    own = device_of_rank(device, os.environ)
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
        min_references,
        _attackers(attackers),
    )
    # Each process plans by itself: plans of one request are equal.
    plan = planning.make_plan(request)
    if dry_run or probe:
        show_plan(plan, probe)
    elif not process.is_first:
        runner.run_worker(plan, process)
    else:
        execute_plan(plan, process)


@examples(
    "parabench score mine.tsv",
    "parabench score mine.txt --data test.tsv --scorers ibleu,bleu",
    "parabench score a=one.txt b=two.txt --data test.tsv",
)
def score_command(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]FILE...",
            help="Predictions: JSONL, CSV or TSV with references, or text beside --data.",
        ),
    ],
    data: DataOption = None,
    scorers: ScorersOption = None,
    suite: SuiteOption = "overlap",
    min_references: MinReferencesOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    attackers: _Attackers = False,
    output: RunOutputOption = None,
) -> None:
    """Score predictions beside the controls.

    Each file is one system, called NAME or as the file; several are compared by paired tests.
    Copy, human and the suite's other controls are scored with them, so that a column which a
    control wins is seen.
    """
    from parabench.pipeline.plan import RunRequest
    from parabench.pipeline.prediction_files import plan_prediction_files
    from parabench.suites.suite import load_suite

    named = _named_files(files)
    request = RunRequest(
        load_suite(suite),
        scorers=optional_names(scorers),
        data=data,
        seed=seed,
        device=device,
        output=output,
        min_references=min_references,
        attackers=_attackers(attackers),
    )
    # all tests stand below the table: those of the leader would be there twice
    board = execute_plan(plan_prediction_files(request, named), with_tests=len(named) < 2)
    if len(named) > 1:
        for line in paired_test_lines(board, list(named)):
            print_text(line)


def _attackers(wanted: bool) -> tuple[str, ...]:
    """The names of all attackers, where they are wanted."""
    from parabench.baselines.attackers import ATTACKERS

    return ATTACKERS if wanted else ()


def _named_files(arguments: list[str]) -> dict[str, Path]:
    """``a=one.txt`` as a name and its file, ``one.txt`` under its own name without the ending."""
    named: dict[str, Path] = {}
    for argument in arguments:
        name, equals, path = argument.partition("=")
        # A file may have "=" in its own name.
        if not equals or not name or Path(argument).exists():
            name = Path(argument).stem
            path = argument
        if name in named:
            raise UserError(
                f"score {argument}",
                f"the name {name!r} is already that of {named[name]}",
                mend=f"give it another name: parabench score other-name={path}",
            )
        named[name] = Path(path)
    return named


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


def execute_plan(
    plan: RunPlan, process: ProcessRank | None = None, with_tests: bool = True
) -> Leaderboard:
    """Run a plan with a line of progress on stderr, then print the table on stdout.

    ``process``: which one this is, where several share the work. ``with_tests``: whether those of
    the leader stand under the table.
    """
    from parabench.models import downloads
    from parabench.pipeline import plan as planning
    from parabench.pipeline import runner
    from parabench.pipeline.stages import work_by_weight
    from parabench.pipeline.training_notes import training_notes
    from parabench.render.progress import overall_progress
    from parabench.torchrun import SINGLE_PROCESS

    planning.check_plan(plan)
    for note in training_notes(plan):
        print_message(f"note: {note}")
    downloads.fetch_models([*plan.systems.values(), *plan.scorers.values()], print_message)
    rank = process or SINGLE_PROCESS
    with signals.resume_hint(), overall_progress(work_by_weight(plan), rank.is_first) as advance:
        board = runner.run_plan(
            plan,
            advance,
            lambda text: print_message(f"note: {text}"),
            rank,
        )
    reports.show_leaderboard(board, plan.folder, with_tests)
    return board
