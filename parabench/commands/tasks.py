"""The commands that check a tasks file and answer the records of a table's tasks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parabench.commands.arguments import DeviceOption
from parabench.commands.help_pages import examples
from parabench.commands.terminal import print_text
from parabench.commands.training_data import TrainSuiteOption
from parabench.contracts import Runtime, UserError

if TYPE_CHECKING:
    from parabench.models.local import Checkpoint

TableArgument = Annotated[Path, typer.Argument(metavar="TABLE", help="The table's folder.")]
TaskBaseOption = Annotated[str | None, typer.Option(help="The base model, instead of the suite's.")]
TasksFileOption = Annotated[
    Path, typer.Option("--tasks", metavar="FILE", help="Task templates: .toml, .yaml or .json.")
]
TaskDtypeOption = Annotated[str, typer.Option(metavar="float32|bfloat16", help="Model dtype.")]
RecordsOption = Annotated[
    list[Path], typer.Option(metavar="FILE", help="Records: .jsonl or .json; may be repeated.")
]


@examples("parabench tasks check --tasks tasks.toml --records train.jsonl")
def check_tasks_command(
    tasks: TasksFileOption,
    records: Annotated[list[Path] | None, typer.Option(metavar="FILE", help="Records.")] = None,
    training: Annotated[bool, typer.Option(help="Whether every record needs its answer.")] = True,
) -> None:
    """Check a tasks file and records without a model."""
    from parabench.prompts.records import read_records
    from parabench.prompts.task_file import read_task_file
    from parabench.prompts.templates import templates_by_name

    templates = read_task_file(tasks)
    for template in templates:
        slots = ", ".join(template.fields) or "none"
        typer.echo(
            f"{template.taskname}: {template.total_virtual_tokens} virtual tokens, "
            f"slots {slots}, answer {template.answer_field or 'none'}"
        )
    for path in records or []:
        count = sum(1 for _ in read_records(path, templates_by_name(templates), training))
        if not count:
            mend = "name a file that has some"
            raise UserError(f"check the records {path}", "no record", mend=mend)
        typer.echo(f"{path}: {count} records")


@examples(
    "parabench tasks run table --records test.jsonl --output answers.jsonl",
    "parabench tasks run table --records test.jsonl --zero-shot",
)
def run_tasks_command(
    table: TableArgument,
    records: RecordsOption,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to write the answers, as JSONL.")
    ] = None,
    suite: TrainSuiteOption = "mini",
    base: TaskBaseOption = None,
    max_new_tokens: Annotated[
        int, typer.Option(min=1, help="Most tokens of an answer, where its task does not say.")
    ] = 64,
    zero_shot: Annotated[
        bool, typer.Option("--zero-shot", help="Answer without the prompts, for comparison.")
    ] = False,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Records decoded together.")] = None,
    device: DeviceOption = "auto",
    dtype: TaskDtypeOption = "float32",
) -> None:
    """Answer records of a table's tasks.

    Batches mix tasks and prompt lengths; each answer is what the record gets alone.
    """
    from parabench.contracts import Decoding
    from parabench.models.loading import load_causal, resolve_device
    from parabench.prompts.answering import ANSWERING, answer_records
    from parabench.prompts.records import read_records
    from parabench.prompts.table import without_prompts
    from parabench.prompts.table_files import load_table
    from parabench.prompts.task_scores import write_answers
    from parabench.prompts.templates import templates_by_name
    from parabench.render.progress import overall_progress

    checkpoint = base_model(suite, base)
    loaded = load_table(table, checkpoint)
    if zero_shot:
        loaded = without_prompts(loaded)
    templates = templates_by_name(loaded.templates)
    asked = [one for path in records for one in read_records(path, templates, training=False)]
    if not asked:
        files = ", ".join(map(str, records))
        raise UserError(
            f"answer the records {files}", "no record", mend="name a file that has some"
        )
    runtime = Runtime(resolve_device(device), dtype, batch_size)
    model, tokenizer = load_causal(checkpoint, runtime)
    decoding = Decoding(max_new_tokens=max_new_tokens)
    with overall_progress([{ANSWERING: 1.0}]) as advance:
        answers = answer_records(loaded, asked, model, tokenizer, decoding, runtime, advance)
    if output:
        write_answers(output, asked, answers)
        typer.echo(output)
    else:
        for answer in answers:
            print_text(f"{answer.id}  {answer.taskname}  {' / '.join(answer.text.splitlines())}")
    for answer in answers:
        if answer.problem:
            typer.echo(f"no answer to {answer.id}: {answer.problem}", err=True)


def base_model(suite: str, base: str | None) -> Checkpoint:
    """The base model asked for, or the suite's decoder-only one."""
    from parabench.suites.suite import load_suite
    from parabench.training.requests import base_checkpoint
    from parabench.training.setup import parse_kind

    return base_checkpoint(parse_kind("softprompt-1"), load_suite(suite).train.model_dump(), base)
