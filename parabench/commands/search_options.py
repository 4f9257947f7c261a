"""Options of the command that searches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from parabench.commands.training_data import CorpusOption, TrainSuiteOption
from parabench.commands.training_options import (
    BaseOption,
    DevOption,
    DevRecordsOption,
    TrainBatchOption,
    TrainDeviceOption,
    TrainDtypeOption,
    TrainOutputOption,
    TrainSeedOption,
    ValidationScorersOption,
    ValidationTextsOption,
)

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
    """What was typed after ``search``: its options, each by its name."""

    name: SearchFamilyArgument = "softprompt"
    suite: TrainSuiteOption = "mini"
    data: CorpusOption = None
    dev: DevOption = 200
    tasks: SearchTasksOption = None
    records: SearchRecordsOption = None
    dev_records: DevRecordsOption = None
    lengths: SearchLengthsOption = None
    learning_rates: SearchRatesOption = "0.001-0.1"
    initialisers: SearchInitialisersOption = None
    optimizers: SearchOptimizersOption = None
    seeds: SearchSeedsOption = 1
    trials: SearchTrialsOption = 20
    goal: SearchObjectiveOption = "loss"
    sampler: SearchSamplerOption = "tpe"
    pruner: SearchPrunerOption = "median"
    steps: SearchStepsOption = 500
    validate_every: SearchValidateEveryOption = 50
    validation_texts: ValidationTextsOption = 0
    scorers: ValidationScorersOption = None
    batch_size: TrainBatchOption = None
    base: BaseOption = None
    seed: TrainSeedOption = 0
    device: TrainDeviceOption = "auto"
    dtype: TrainDtypeOption = "float32"
    output: TrainOutputOption = None
