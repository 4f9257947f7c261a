"""The command that trains new tasks into a table.

``train_tasks_command`` is longer than other functions because every option is a line of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from parabench.commands import signals
from parabench.commands.arguments import DeviceOption, SeedOption
from parabench.commands.help_pages import examples
from parabench.commands.tasks import (
    RecordsOption,
    TableArgument,
    TaskBaseOption,
    TaskDtypeOption,
    TasksFileOption,
    base_model,
)
from parabench.commands.training_data import TrainSuiteOption
from parabench.contracts import Runtime, UserError
from parabench.render.progress import progress_bar

if TYPE_CHECKING:
    from parabench.prompts.records import TaskRecord
    from parabench.prompts.templates import Template
    from parabench.training.loop import StepLog
    from parabench.training.ranks import Ranks
    from parabench.training.task_training import TaskTraining, TaskTrainingResult


@examples(
    "parabench tasks train table --tasks tasks.toml --records train.jsonl --dev-records val.jsonl",
    "parabench tasks train table --tasks tasks.toml --records squad.jsonl --new squad",
)
def train_tasks_command(
    table: TableArgument,
    tasks: TasksFileOption,
    records: RecordsOption,
    dev_records: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Held-out records, for validation.")
    ] = None,
    method: Annotated[str, typer.Option(metavar="prompt|ptuning")] = "ptuning",
    new: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Tasks to tune; all that are not there.")
    ] = None,
    existing: Annotated[
        str, typer.Option(metavar="A,B,…", help="Tasks that the table must have, and keeps.")
    ] = "",
    encoder: Annotated[
        str, typer.Option(metavar="lstm|mlp|tpmlp|peft-lstm|peft-mlp", help="p-tuning's encoder.")
    ] = "lstm",
    initialiser: Annotated[
        str, typer.Option(help="Where prompt tuning starts: sampled:1000, text:…, xavier.")
    ] = "sampled:1000",
    suite: TrainSuiteOption = "mini",
    base: TaskBaseOption = None,
    steps: Annotated[int | None, typer.Option(help="Updates to make.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Records in a batch.")] = None,
    validate_every: Annotated[
        int | None, typer.Option(help="Updates between validations; 0: at the end.")
    ] = None,
    save_every: Annotated[int | None, typer.Option(help="Updates between checkpoints.")] = None,
    patience: Annotated[
        int | None, typer.Option(help="Validations without a better one before the end.")
    ] = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    dtype: TaskDtypeOption = "float32",
    track: Annotated[str | None, typer.Option(metavar="tensorboard|wandb|trackio")] = None,
) -> None:
    """Train new tasks into a table.

    The tasks that it has keep their bits. The same command goes on where it was stopped.
    """
    settings = {
        "steps": steps,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "validate_every": validate_every,
        "save_every": save_every,
        "patience": patience,
        "seed": seed,
    }
    train_table(
        table, tasks, records, dev_records or (), method, new, existing, encoder, initialiser,
        suite, base, settings, device, dtype, track,
    )  # fmt: skip


def train_table(
    table: Path,
    tasks: Path,
    records: Sequence[Path],
    dev_records: Sequence[Path],
    method: str,
    new: str | None,
    existing: str,
    encoder: str,
    initialiser: str,
    suite: str,
    base: str | None,
    settings: Mapping[str, Any],
    device: str,
    dtype: str,
    track: str | None,
) -> None:
    """Carry out what ``parabench train TABLE --tasks … --records …`` asks for.

    ``settings`` are those of ``TrainingConfig`` that were given; the other parameters are the
    command's options of the same names.
    """
    from parabench.models.loading import resolve_device
    from parabench.training.presets import make_config
    from parabench.training.ranks import join_processes
    from parabench.training.setup import parse_kind
    from parabench.training.task_training import TaskTraining

    kind = parse_kind("softprompt-1" if method == "prompt" else "ptuning-1")
    chosen = _new_templates(table, tasks, new)
    kept = tuple(name for name in existing.split(",") if name)
    with join_processes(resolve_device(device)) as ranks:
        training = TaskTraining(
            table,
            base_model(suite, base),
            chosen,
            _training_records(records, chosen),
            _training_records(dev_records, chosen),
            method,  # type: ignore[arg-type]
            make_config(kind, None, **settings),
            Runtime(ranks.device(resolve_device(device)), dtype, seed=settings["seed"]),
            kept,
            encoder,
            initialiser,
        )
        result = _train_with_progress(training, ranks, track)
    if ranks.first:
        _print_result(training, result)


def _new_templates(table: Path, tasks: Path, new: str | None) -> tuple[Template, ...]:
    """The templates of the tasks to tune: those named, or all that the table lacks."""
    from parabench.prompts.table import has_table, load_table
    from parabench.prompts.task_file import read_task_file
    from parabench.prompts.templates import templates_by_name

    templates = templates_by_name(read_task_file(tasks))
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
            raise UserError(
                f"read the records {path}", "no record", mend="name a file that has some"
            )
        records += found
    return tuple(records)


def _train_with_progress(
    training: TaskTraining, ranks: Ranks, track: str | None
) -> TaskTrainingResult:
    from parabench.training.resumable import StopRequest, TrainingStopped
    from parabench.training.task_training import train_tasks
    from parabench.training.tracking import open_tracker

    names = ", ".join(one.taskname for one in training.templates)
    if ranks.first:
        config = training.config
        typer.echo(f"training  {names} from {training.base.reference}", err=True)
        typer.echo(
            f"updates   {config.steps} of {config.batching.rows} records, {config.optimizer} "
            f"{config.learning_rate:g}",
            err=True,
        )
    stop = StopRequest()
    tracked = open_tracker(track if ranks.first else None, training.folder)
    bar = progress_bar(names, training.config.steps, ranks.first)
    try:
        with signals.stop_after_update(stop), bar as update, tracked as tracker:

            def watch(log: StepLog) -> None:
                update(log.step, f"loss {log.loss:.3f}  {log.tokens_per_second:.0f} tokens/s")
                tracker.update(log)

            return train_tasks(training, watch, ranks, tracker.validation, stop)
    except TrainingStopped as stopped:
        # Trackers and the progress bar are closed by now.
        text = f"stopped after update {stopped.step}; run again to resume there"
        signals.end_after_stop(text)


def _print_result(training: TaskTraining, result: TaskTrainingResult) -> None:
    outcome = result.outcome
    names = ", ".join(one.taskname for one in training.templates)
    judged = ""
    if outcome.loss < float("inf"):
        judged = f", held-out loss {outcome.loss:.4f} nats a token"
    typer.echo(f"{names}: {outcome.steps} updates, kept that of step {outcome.kept}{judged}")
    for name in result.too_long:
        typer.echo(f"left out  {name}: longer than the model reads", err=True)
    typer.echo(training.table)
