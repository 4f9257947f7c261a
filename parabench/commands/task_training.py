"""The command that trains new tasks into a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from parabench.commands.help_pages import examples, takes_options
from parabench.commands.tasks import RecordsOption, TableArgument, TasksFileOption, base_model
from parabench.commands.training_options import TrainOptions
from parabench.commands.training_progress import (
    describe_updates,
    print_outcome,
    train_with_progress,
)
from parabench.contracts import Runtime, UserError

if TYPE_CHECKING:
    from parabench.prompts.records import TaskRecord
    from parabench.prompts.templates import Template
    from parabench.training.ranks import Ranks
    from parabench.training.recipes import StepCallback
    from parabench.training.requests import ValidationCallback
    from parabench.training.resumable import StopRequest
    from parabench.training.task_training import TaskTraining, TaskTrainingResult

_OF_PAIRS = (
    "data",
    "test",
    "dev",
    "preset",
    "validation_texts",
    "scorers",
    "snapshots",
    "gradient_checkpointing",
    "output",
)
"""Options of a training on pairs."""


@examples(
    "parabench tasks train table --tasks tasks.toml --records train.jsonl --dev-records val.jsonl",
    "parabench tasks train table --tasks tasks.toml --records squad.jsonl --new squad",
)
@takes_options(
    TrainOptions,
    leave_out=_OF_PAIRS,
    name=TableArgument,
    tasks=TasksFileOption,
    records=RecordsOption,
)
def train_tasks_command(given: TrainOptions) -> None:
    """Train new tasks into a table.

    The tasks that it has keep their bits. The same command resumes a training that was stopped.
    """
    train_into_table(given)


def train_into_table(given: TrainOptions) -> None:
    """Train what ``parabench tasks train``, or ``train`` with ``--records``, asks for.

    Raises UserError for options that do not go together, and for tasks or records that cannot be
    trained on, before any model is loaded.
    """
    from parabench.models.loading import resolve_device
    from parabench.training.ranks import join_processes
    from parabench.training.tracking import check_tracker

    _check_options(given)
    check_tracker(given.track)
    with join_processes(resolve_device(given.device)) as ranks:
        device = ranks.device(resolve_device(given.device))
        training = table_training(given, Path(given.name), device)
        result = _carry_out(training, ranks, given.track)
    if ranks.process.is_first:
        _print_result(training, result)


def _check_options(given: TrainOptions) -> None:
    """Refuse options that a training into a table does not have."""
    asked = f"train the task table {given.name}"
    stray = given.given(_OF_PAIRS)
    if stray:
        found = "an option of a training on pairs"
        raise UserError(f"{asked} with {stray[0]}", found, mend="leave it out")


def table_training(given: TrainOptions, table: Path, device: str) -> TaskTraining:
    """The training of tasks that the options ask for, into the folder ``table`` on ``device``.

    Raises UserError where there is no tasks file, where options do not go with the method, and
    where tasks file or records are not as they have to be.
    """
    from parabench.training.presets import make_config
    from parabench.training.setup import parse_kind
    from parabench.training.task_training import TaskTraining

    if given.tasks is None:
        mend = "add --tasks FILE with their templates (docs/tasks.md)"
        raise UserError(f"train the task table {table}", "no tasks file", mend=mend)
    _check_start(given)
    kind = parse_kind("softprompt-1" if given.method == "prompt" else "ptuning-1")
    config = make_config(kind, None, **given.settings)
    templates = _new_templates(table, given.tasks, given.new)
    return TaskTraining(
        table,
        base_model(given.suite, given.base),
        templates,
        _training_records(given.records or (), templates),
        _training_records(given.dev_records or (), templates),
        given.method,  # type: ignore[arg-type]
        config,
        Runtime(device, given.dtype, seed=given.seed),
        tuple(name for name in given.existing.split(",") if name),
        given.encoder or "lstm",
        given.initialiser or "sampled:1000",
    )


def _check_start(given: TrainOptions) -> None:
    """Refuse an encoder where there is none, and an initialiser where an encoder writes rows."""
    if given.method == "prompt" and given.encoder:
        asked = f"train by the method 'prompt' with the encoder {given.encoder!r}"
        raise UserError(asked, "prompt tuning has no encoder", mend="--method ptuning")
    if given.method == "ptuning" and given.initialiser:
        asked = f"train by the method 'ptuning' with --initialiser {given.initialiser}"
        found = "an encoder writes the prompts, and starts from random weights"
        raise UserError(asked, found, mend="--method prompt, or leave it out")


def _new_templates(table: Path, tasks: Path, new: str | None) -> tuple[Template, ...]:
    """The templates of the tasks to tune: those named, or all that the table lacks."""
    from parabench.prompts.table_files import has_table, load_table
    from parabench.prompts.task_file import read_task_file
    from parabench.prompts.templates import templates_by_name

    templates = templates_by_name(read_task_file(tasks))
    # A task that the table has keeps its bits, so that it is tuned again only if it is named.
    if new is None:
        there = set(load_table(table).prompts) if has_table(table) else set()
        names = [name for name in templates if name not in there]
    else:
        names = new.split(",")
    for name in names:
        if name not in templates:
            asked = f"tune the new task {name!r}"
            raise UserError(asked, f"it has no template in {tasks}", sorted(templates))
        if names.count(name) > 1:
            raise UserError(f"tune the new task {name!r}", "it is named twice", mend="name it once")
    if not names:
        found = "the table has every task of the tasks file"
        raise UserError("tune new tasks", found, sorted(templates), "name one by --new")
    return tuple(templates[name] for name in names)


def _training_records(
    paths: Sequence[Path], templates: Sequence[Template]
) -> tuple[TaskRecord, ...]:
    from parabench.prompts.records import read_records
    from parabench.prompts.templates import templates_by_name

    tasks = templates_by_name(tuple(templates))
    records: list[TaskRecord] = []
    for path in paths:
        found = list(read_records(path, tasks, training=True))
        if not found:
            mend = "name a file that has some"
            raise UserError(f"read the records {path}", "no record", mend=mend)
        records += found
    return tuple(records)


def _carry_out(training: TaskTraining, ranks: Ranks, track: str | None) -> TaskTrainingResult:
    """Train before the user's eyes."""
    from parabench.training.task_training import train_tasks

    def train(
        watch: StepCallback, report: ValidationCallback, stop: StopRequest
    ) -> TaskTrainingResult:
        return train_tasks(training, watch, ranks, report, stop)

    names = _names(training)
    if ranks.process.is_first:
        typer.echo(f"training  {names} from {training.base.reference}", err=True)
        typer.echo(describe_updates(training.config, ranks, "records"), err=True)
    return train_with_progress(train, names, training.config, training.folder, ranks, track)


def _print_result(training: TaskTraining, result: TaskTrainingResult) -> None:
    print_outcome(_names(training), result.outcome)
    for name in result.too_long:
        typer.echo(f"left out  {name}: longer than the model reads", err=True)
    typer.echo(training.table)


def _names(training: TaskTraining) -> str:
    return ", ".join(one.taskname for one in training.templates)
