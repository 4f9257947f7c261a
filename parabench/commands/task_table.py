"""The commands that change what a task table holds: show, add, remove, merge, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parabench.commands.help_pages import examples
from parabench.commands.tasks import (
    TableArgument,
    TaskBaseOption,
    base_model,
)
from parabench.commands.terminal import print_text
from parabench.commands.training_data import TrainSuiteOption
from parabench.contracts import Runtime, UserError

if TYPE_CHECKING:
    from parabench.models.local import Checkpoint
    from parabench.prompts.table import TaskTable

_FORMS = ("adapter", "peft", "safetensors", "prompt_embeds")
_Task = Annotated[str, typer.Argument(metavar="TASK", help="A task's name.")]


@examples("parabench tasks show table")
def show_table_command(table: TableArgument) -> None:
    """List a table's tasks and their templates."""
    from parabench.prompts.table_files import load_table

    loaded = load_table(table)
    digest = (loaded.base.digest or "unknown")[:12]
    typer.echo(f"base       {loaded.base.name} {digest}, width {loaded.base.width}")
    for template in loaded.templates:
        splits = "+".join(map(str, template.virtual_token_splits)) or "0"
        print_text(template.taskname)
        print_text(f"  template   {template.prompt_template!r}")
        typer.echo(f"  virtual    {splits} tokens")
        typer.echo(f"  answer     {template.answer_field or '-'}")
        typer.echo(f"  truncated  {template.truncate_field or '-'}")
        typer.echo(f"  loss on    {'answer' if template.answer_only_loss else 'all text'}")
        stop = ", ".join(repr(one) for one in template.stop)
        typer.echo(f"  ends at    EOS{', ' * bool(stop)}{stop}")


@examples("parabench tasks add table prompts.nemo --base facebook/opt-350m")
def add_task_command(
    table: TableArgument,
    source: Annotated[
        Path, typer.Argument(help="An adapter, PEFT folder, .safetensors, .ckpt or .nemo.")
    ],
    suite: TrainSuiteOption = "mini",
    base: TaskBaseOption = None,
    tasks: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Task templates, where the source has none.")
    ] = None,
    task: Annotated[str, typer.Option(help="Which task of the source, or of --tasks.")] = "",
) -> None:
    """Add a task trained elsewhere.

    Of a .nemo file all tasks are added, or the one named; nothing in it is executed.
    """
    from parabench.prompts.convert import import_tasks
    from parabench.prompts.table import TaskTable, add_task
    from parabench.prompts.table_files import has_table, load_table, save_table, table_lock
    from parabench.prompts.task_file import read_task_file

    checkpoint = base_model(suite, base)
    templates = read_task_file(tasks) if tasks else ()
    found = import_tasks(source, checkpoint, templates, task)
    with table_lock(table):
        grown = load_table(table, checkpoint) if has_table(table) else TaskTable(found.base, (), {})
        for template in found.templates:
            grown = add_task(grown, template, found.prompts[template.taskname])
        save_table(table, grown, origin=source.name)
    for template in found.templates:
        typer.echo(f"added {template.taskname}")


@examples("parabench tasks remove table squad")
def remove_task_command(table: TableArgument, task: _Task) -> None:
    """Take a task out of a table."""
    from parabench.prompts.table import remove_task
    from parabench.prompts.table_files import load_table, save_table, table_lock

    with table_lock(table):
        save_table(table, remove_task(load_table(table), task))
    typer.echo(f"removed {task}")


@examples("parabench tasks merge both one another")
def merge_tables_command(
    target: Annotated[Path, typer.Argument(help="The folder of the merged table.")],
    tables: Annotated[list[Path], typer.Argument(help="Tables of one base model.")],
) -> None:
    """Merge tables of one base model."""
    from parabench.prompts.table import merge_tables
    from parabench.prompts.table_files import has_table, load_table, save_table, table_lock

    with table_lock(target):
        if has_table(target):
            mend = "name a new folder"
            raise UserError(f"merge into {target}", "a table is there already", mend=mend)
        merged = merge_tables([load_table(folder) for folder in tables])
        save_table(target, merged)
    typer.echo(f"{target}: {', '.join(one.taskname for one in merged.templates)}")


@examples("parabench tasks export table sentiment sentiment-adapter --format peft")
def export_task_command(
    table: TableArgument,
    task: _Task,
    target: Annotated[Path, typer.Argument(help="Where to write it.")],
    form: Annotated[
        str,
        typer.Option(
            "--format", metavar="adapter|peft|safetensors|prompt_embeds", help="What to write."
        ),
    ] = "adapter",
    records: Annotated[
        Path | None, typer.Option(metavar="FILE", help="prompt_embeds: records of the task.")
    ] = None,
    suite: TrainSuiteOption = "mini",
    base: TaskBaseOption = None,
) -> None:
    """Write one task as an adapter or for PEFT."""
    from parabench.prompts.adapters import save_adapter
    from parabench.prompts.convert import export_adapter
    from parabench.prompts.table import task_adapter
    from parabench.prompts.table_files import load_table

    if form not in _FORMS:
        raise UserError(f"export a task as {form!r}", "no such form", _FORMS)
    if records is not None and form != "prompt_embeds":
        asked = f"export a task as {form!r} with --records"
        raise UserError(asked, "this form has no records", mend="--format prompt_embeds")
    loaded = load_table(table)
    adapter = task_adapter(loaded, task, origin=f"task table {table.name}")
    if form == "prompt_embeds":
        typer.echo(_export_embeds(loaded, task, target, records, base_model(suite, base)))
    elif form == "adapter":
        save_adapter(target, adapter.prompt, adapter.facts)
        typer.echo(target)
    else:
        typer.echo(export_adapter(adapter, target, form))


def _export_embeds(
    table: TaskTable, task: str, target: Path, records: Path | None, checkpoint: Checkpoint
) -> Path:
    """Records of one task as ``prompt_embeds`` lines for a serving engine."""
    from parabench.models.loading import load_causal
    from parabench.prompts.adapters import check_base
    from parabench.prompts.convert import export_prompt_embeds
    from parabench.prompts.records import read_records
    from parabench.prompts.table import find_task, task_adapter

    template = find_task(table, task)
    if records is None:
        raise UserError("export prompt_embeds", "no records", mend="add --records FILE")
    check_base(target, table.base, checkpoint)
    asked = [one.fields for one in read_records(records, {task: template}, training=False)]
    model, tokenizer = load_causal(checkpoint, Runtime())
    room = model.config.max_position_embeddings
    return export_prompt_embeds(task_adapter(table, task), model, tokenizer, asked, target, room)
