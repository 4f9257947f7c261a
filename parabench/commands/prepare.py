"""The commands that prepare records of NeMo's three demonstration tasks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parabench.commands.arguments import SeedOption
from parabench.commands.help_pages import examples

if TYPE_CHECKING:
    from parabench.data.task_data import TaskSplits

_Folder = Annotated[Path, typer.Option(help="Where to write the records.")]
_Name = Annotated[str, typer.Option(help="How the names of the files begin.")]


@examples("parabench data prepare demo")
def prepare_demo_command(
    folder: _Folder = Path("data"),
    seed: SeedOption = 0,
    size: Annotated[int, typer.Option(help="About how many records a task gets.")] = 600,
) -> None:
    """Source files in the embedded language."""
    from parabench.mini.task_sources import write_task_sources

    for task, path in write_task_sources(folder, seed, size).items():
        typer.echo(f"{task:<16} {path}")


@examples("parabench data prepare phrasebank data/Sentences_AllAgree.txt")
def prepare_phrasebank_command(
    source: Annotated[Path, typer.Argument(help="Sentences_AllAgree.txt or its like.")],
    folder: _Folder = Path("data"),
    name: _Name = "financial_phrase_bank",
) -> None:
    """Sentiment records of Financial PhraseBank."""
    from parabench.data.task_data import phrasebank_records

    _write_splits(phrasebank_records(source), folder, name)


@examples("parabench data prepare squad data/train-v2.0.json")
def prepare_squad_command(
    source: Annotated[Path, typer.Argument(help="train-v2.0.json or train-v1.1.json.")],
    dev: Annotated[
        Path | None, typer.Option(help="dev-v2.0.json, for validation and test.")
    ] = None,
    folder: _Folder = Path("data"),
    name: _Name = "squad",
) -> None:
    """Question answering records of SQuAD.

    All questions about one topic are on one side of the split.
    """
    from parabench.data.task_data import squad_records

    _write_splits(squad_records(source, dev), folder, name)


@examples("parabench data prepare assistant data/NLU-Evaluation-Data-master")
def prepare_assistant_command(
    source: Annotated[Path, typer.Argument(help="The folder NLU-Evaluation-Data-master.")],
    folder: _Folder = Path("data"),
    name: _Name = "assistant",
) -> None:
    """Intent and slot records of the assistant data."""
    from parabench.data.assistant_data import assistant_records

    _write_splits(assistant_records(source), folder, name)


def _write_splits(splits: TaskSplits, folder: Path, name: str) -> None:
    from parabench.data.task_data import write_splits

    counts = {"train": splits.train, "val": splits.val, "test": splits.test}
    for split, path in write_splits(splits, folder, name).items():
        number = len(counts[split.removesuffix("_ground_truth")])
        typer.echo(f"{number:>7,} records  {path}")
    for reason, count in splits.left_out.items():
        typer.echo(f"left out  {count:,} {reason}", err=True)
    for note in splits.notes:
        typer.echo(f"note      {note}", err=True)
