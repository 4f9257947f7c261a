"""The command that searches a soft prompt's length and what goes with it.

``search_command`` is longer than other functions because every option is a line of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parabench.commands.help_pages import examples
from parabench.commands.pair_training import validation_scorers
from parabench.commands.training_data import CorpusOption, TrainSuiteOption, load_training_data
from parabench.commands.training_options import (
    BaseOption,
    DevOption,
    TrainBatchOption,
    TrainDeviceOption,
    TrainDtypeOption,
    TrainOutputOption,
    TrainSeedOption,
    ValidationScorersOption,
    ValidationTextsOption,
)
from parabench.contracts import Runtime, Scorer, UserError

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

_SPACE = "Settings to choose from"
_METHOD = "How to search"

_Family = Annotated[
    str, typer.Argument(metavar="FAMILY", help="softprompt, ptuning or ptuning-mlp.")
]
_Lengths = Annotated[
    str,
    typer.Option(metavar="A,B,…", help="Prompt lengths to choose from.", rich_help_panel=_SPACE),
]
_Rates = Annotated[
    str,
    typer.Option(
        metavar="A,B,…|LOW-HIGH", help="Learning rates, or a range.", rich_help_panel=_SPACE
    ),
]
_Initialisers = Annotated[
    str | None,
    typer.Option(metavar="A;B;…", help="Where prompts start.", rich_help_panel=_SPACE),
]
_Optimizers = Annotated[
    str | None,
    typer.Option(metavar="A,B,…", help="Optimisers to choose from.", rich_help_panel=_SPACE),
]
_Seeds = Annotated[
    int, typer.Option(help="How many seeds to try each setting with.", rich_help_panel=_SPACE)
]
_Trials = Annotated[
    int, typer.Option(help="Trials in all, by all workers.", rich_help_panel=_METHOD)
]
_Objective = Annotated[
    str,
    typer.Option(
        "--objective", metavar="loss|COLUMN", help="What decides.", rich_help_panel=_METHOD
    ),
]
_Sampler = Annotated[
    str,
    typer.Option(
        metavar="tpe|random|grid", help="How settings are chosen.", rich_help_panel=_METHOD
    ),
]
_Pruner = Annotated[
    str,
    typer.Option(
        metavar="median|hyperband|none",
        help="Which trials are stopped early.",
        rich_help_panel=_METHOD,
    ),
]
_Steps = Annotated[
    int,
    typer.Option(help="Updates of every trial that is not stopped early.", rich_help_panel=_METHOD),
]
_ValidateEvery = Annotated[
    int, typer.Option(help="Updates between validations.", rich_help_panel=_METHOD)
]


@examples(
    "parabench search softprompt --lengths 5,20,59,111 --trials 20",
    "parabench search ptuning --objective ibleu --validation-texts 50 --scorers ibleu",
)
def search_command(
    name: _Family = "softprompt",
    suite: TrainSuiteOption = "mini",
    data: CorpusOption = None,
    dev: DevOption = 200,
    lengths: _Lengths = "5,20,59,111",
    learning_rates: _Rates = "0.001-0.1",
    initialisers: _Initialisers = None,
    optimizers: _Optimizers = None,
    seeds: _Seeds = 1,
    trials: _Trials = 20,
    goal: _Objective = "loss",
    sampler: _Sampler = "tpe",
    pruner: _Pruner = "median",
    steps: _Steps = 500,
    validate_every: _ValidateEvery = 50,
    validation_texts: ValidationTextsOption = 0,
    scorers: ValidationScorersOption = None,
    batch_size: TrainBatchOption = None,
    base: BaseOption = None,
    seed: TrainSeedOption = 0,
    device: TrainDeviceOption = "auto",
    dtype: TrainDtypeOption = "float32",
    output: TrainOutputOption = None,
) -> None:
    """Search a prompt's length, rate and start.

    Trials are judged by the loss on held-out pairs, or by a score of generated texts. Several
    processes with the same ``--output`` share one search.
    """
    from parabench.models.loading import resolve_device
    from parabench.suites import suite as suites
    from parabench.training import requests, setup

    try:
        from parabench.training import search as searching
        from parabench.training import trials as trying
    except ModuleNotFoundError as error:
        raise UserError("search", str(error), mend="pip install 'parabench[train]'") from None

    chosen, kind = suites.load_suite(suite), setup.parse_kind(f"{name}-1")
    runtime = Runtime(resolve_device(device), dtype, seed=seed)
    judges = validation_scorers(chosen, runtime, scorers) if validation_texts else ()
    choices, ranges = trying.search_space(
        lengths, learning_rates, initialisers, optimizers, range(seed, seed + seeds)
    )
    wanted = searching.SearchPlan(
        choices, ranges, trials, steps, validate_every, sampler, pruner,  # type: ignore[arg-type]
        seed=seed, goal=goal, upwards=_higher_is_better(goal, judges),
    )  # fmt: skip
    folder = output or Path("results/searches") / name
    checkpoint = requests.base_checkpoint(kind, chosen.train.model_dump(), base)
    training_data = load_training_data(data, chosen, dev, seed)
    common = requests.TrainingRequest(
        kind, checkpoint, training_data, kind.defaults, runtime, folder, None,
        chosen.decoding, validation_texts, judges,
    )  # fmt: skip
    fixed = {"steps": steps, "batch_size": batch_size, "validate_every": validate_every}
    searching.run_search(
        wanted,
        folder,
        trying.trial_function(name, common, fixed),
        lambda trial: _print_trial(trial, goal),
    )
    typer.echo(f"{folder}/trials.csv  importance.json  length.svg")


def _print_trial(trial: FrozenTrial, goal: str) -> None:
    """One line for a trial that has ended."""
    shown = " ".join(f"{key}={value}" for key, value in trial.params.items())
    end = trial.user_attrs.get("error") or (
        "" if trial.value is None else f"{goal} {trial.value:.4f}"
    )
    typer.echo(f"trial {trial.number:>3} {trial.state.name.lower():<8} {shown}  {end}")


def _higher_is_better(goal: str, judges: Iterable[Scorer]) -> bool:
    """Whether a higher value of the objective is better; UserError if it is not measured."""
    better = {"loss": "down"} | {
        column.name: column.better for judge in judges for column in judge.columns
    }
    if goal not in better:
        raise UserError(
            f"search by {goal!r}",
            "not measured",
            list(better),
            "--validation-texts 50 --scorers ibleu",
        )
    return better[goal] == "up"
