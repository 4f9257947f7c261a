"""Options of the command that searches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

_SPACE = "Settings to choose from"
_METHOD = "How to search"
_TASKS = "Task table (parabench tasks)"

SearchFamilyArgument = Annotated[
    str, typer.Argument(metavar="FAMILY", help="softprompt, ptuning or ptuning-mlp.")
]
SearchLengthsOption = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,…",
        help="Prompt lengths to choose from: 5,20,59,111, or those of the tasks file.",
        rich_help_panel=_SPACE,
    ),
]
SearchTasksOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="A tasks file: search for tasks of a table.", rich_help_panel=_TASKS
    ),
]
SearchRecordsOption = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help="Records of these tasks.", rich_help_panel=_TASKS),
]
SearchRatesOption = Annotated[
    str,
    typer.Option(
        metavar="A,B,…|LOW-HIGH", help="Learning rates, or a range.", rich_help_panel=_SPACE
    ),
]
SearchInitialisersOption = Annotated[
    str | None,
    typer.Option(metavar="A;B;…", help="Where prompts start.", rich_help_panel=_SPACE),
]
SearchOptimizersOption = Annotated[
    str | None,
    typer.Option(metavar="A,B,…", help="Optimisers to choose from.", rich_help_panel=_SPACE),
]
SearchSeedsOption = Annotated[
    int, typer.Option(help="How many seeds to try each setting with.", rich_help_panel=_SPACE)
]
SearchTrialsOption = Annotated[
    int, typer.Option(help="Trials in all, by all workers.", rich_help_panel=_METHOD)
]
SearchObjectiveOption = Annotated[
    str,
    typer.Option(
        "--objective", metavar="loss|COLUMN", help="What decides.", rich_help_panel=_METHOD
    ),
]
SearchSamplerOption = Annotated[
    str,
    typer.Option(
        metavar="tpe|random|grid", help="How settings are chosen.", rich_help_panel=_METHOD
    ),
]
SearchPrunerOption = Annotated[
    str,
    typer.Option(
        metavar="median|hyperband|none",
        help="Which trials are stopped early.",
        rich_help_panel=_METHOD,
    ),
]
SearchStepsOption = Annotated[
    int,
    typer.Option(help="Updates of every trial that is not stopped early.", rich_help_panel=_METHOD),
]
SearchValidateEveryOption = Annotated[
    int, typer.Option(help="Updates between validations.", rich_help_panel=_METHOD)
]


@dataclass(frozen=True)
class SearchOptions:
    """What was typed after ``search``, each option by its name."""

    name: str
    suite: str
    data: str | None
    dev: int
    tasks: Path | None
    records: Sequence[Path] | None
    dev_records: Sequence[Path] | None
    lengths: str | None
    learning_rates: str
    initialisers: str | None
    optimizers: str | None
    seeds: int
    trials: int
    goal: str
    sampler: str
    pruner: str
    steps: int
    validate_every: int
    validation_texts: int
    scorers: str | None
    batch_size: int | None
    base: str | None
    seed: int
    device: str
    dtype: str
    output: Path | None
