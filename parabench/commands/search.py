"""The command that searches a soft prompt's length and what goes with it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from parabench.commands.help_pages import examples, takes_options
from parabench.commands.pair_training import validation_scorers
from parabench.commands.search_options import SearchOptions
from parabench.commands.task_training import table_training
from parabench.commands.training_data import load_training_data
from parabench.commands.training_options import TrainOptions
from parabench.contracts import Runtime, Scorer, UserError

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from parabench.training.search import SearchPlan, TrialFunction

_LENGTHS = "5,20,59,111"


@examples(
    "parabench search softprompt --lengths 5,20,59,111 --trials 20",
    "parabench search ptuning --objective ibleu --validation-texts 50 --scorers ibleu",
    "parabench search softprompt --tasks tasks.toml --records train.jsonl --dev-records val.jsonl",
)
@takes_options(SearchOptions)
def search_command(given: SearchOptions) -> None:
    """Search a prompt's length, rate and start.

    Trials are judged by the loss on held-out pairs, or by a score of generated texts. Several
    processes with the same ``--output`` share one search.
    """
    try:
        import optuna  # noqa: F401 - asked for here, so that its absence is told in words
    except ModuleNotFoundError as error:
        raise UserError("search", str(error), mend="pip install 'parabench[train]'") from None
    if given.tasks or given.records:
        _search_tasks(given)
    else:
        _search_pairs(given)


def _search_pairs(given: SearchOptions) -> None:
    """Search for a prompt that is trained on pairs."""
    from parabench.models.loading import resolve_device
    from parabench.suites.suite import load_suite
    from parabench.training import requests, setup
    from parabench.training.trials import trial_function

    suite = load_suite(given.suite)
    # Of any length: each trial has its own.
    kind = setup.parse_kind(f"{given.name}-1")
    if given.dev_records:
        found = "held-out records and no --tasks file that they are of"
        raise UserError(f"search {given.name}", found, mend="add --tasks FILE --records FILE")
    runtime = Runtime(resolve_device(given.device), given.dtype, seed=given.seed)
    judges: tuple[Scorer, ...] = ()
    if given.validation_texts:
        judges = validation_scorers(suite, runtime, given.scorers)
    plan = _make_plan(given, given.lengths or _LENGTHS, _higher_is_better(given.goal, judges))
    checkpoint = requests.base_checkpoint(kind, suite.train.model_dump(), given.base)
    common = requests.TrainingRequest(
        kind,
        checkpoint,
        load_training_data(given.data, suite, given.dev, given.seed),
        kind.defaults,
        runtime,
        _folder(given),
        None,
        suite.decoding,
        given.validation_texts,
        judges,
    )
    _run_search(given, plan, trial_function(given.name, common, _fixed_settings(given)))


def _search_tasks(given: SearchOptions) -> None:
    """Search for the prompts of tasks that are trained together, each trial in its own table."""
    from parabench.models.loading import resolve_device
    from parabench.training.setup import parse_kind
    from parabench.training.trials import task_trial_function

    asked = "search settings for tasks"
    kind = parse_kind(f"{given.name}-1")
    if given.data or given.validation_texts:
        found = "tasks are trained on records and judged by their held-out loss"
        raise UserError(asked, found, mend="leave --data and --validation-texts out")
    if not given.records:
        raise UserError(asked, "no records", mend="add --records FILE")
    if kind.family not in ("softprompt", "ptuning"):
        found = "what is stored of tasks are prompts"
        raise UserError(f"{asked} by {given.name}", found, ("softprompt", "ptuning", "ptuning-mlp"))
    by_prompt = kind.family == "softprompt"
    if given.initialisers and not by_prompt:
        found = "an encoder writes the prompts, and starts from random weights"
        raise UserError(f"{asked} with --initialisers", found, mend="search softprompt")
    plan = _make_plan(given, given.lengths, _higher_is_better(given.goal, ()))
    # What every trial has in common, as if it had been typed after ``tasks train``.
    options = TrainOptions(
        str(_folder(given)),
        suite=given.suite,
        tasks=given.tasks,
        records=given.records,
        dev_records=given.dev_records,
        method="prompt" if by_prompt else "ptuning",
        encoder=kind.encoder or None,
        base=given.base,
        seed=given.seed,
        dtype=given.dtype,
    )
    common = table_training(options, _folder(given), resolve_device(given.device))
    lengths = plan.choices.get("length", ())
    _run_search(given, plan, task_trial_function(common, _fixed_settings(given), lengths))


def _make_plan(given: SearchOptions, lengths: str | None, upwards: bool) -> SearchPlan:
    from parabench.training.search import SearchPlan
    from parabench.training.trials import search_space

    seeds = range(given.seed, given.seed + given.seeds)
    choices, ranges = search_space(
        lengths, given.learning_rates, given.initialisers, given.optimizers, seeds
    )
    return SearchPlan(
        choices,
        ranges,
        given.trials,
        given.steps,
        given.validate_every,
        given.sampler,  # type: ignore[arg-type]
        given.pruner,  # type: ignore[arg-type]
        seed=given.seed,
        goal=given.goal,
        upwards=upwards,
    )


def _run_search(given: SearchOptions, plan: SearchPlan, trial: TrialFunction) -> None:
    """Make the trials, a line for each, and say where the tables lie."""
    from parabench.training.search import run_search

    folder = _folder(given)
    run_search(plan, folder, trial, lambda ended: _print_trial(ended, given.goal))
    tables = ["importance.json"] + ["length.svg"] * ("length" in plan.choices)
    typer.echo(f"{folder}/trials.csv  {'  '.join(tables)}")


def _folder(given: SearchOptions) -> Path:
    return given.output or Path("results/searches") / given.name


def _fixed_settings(given: SearchOptions) -> dict[str, Any]:
    """The settings that all trials have."""
    return {
        "steps": given.steps,
        "batch_size": given.batch_size,
        "validate_every": given.validate_every,
    }


def _print_trial(trial: FrozenTrial, goal: str) -> None:
    """One line for a trial that has ended."""
    shown = " ".join(f"{key}={value}" for key, value in trial.params.items())
    end = "" if trial.value is None else f"{goal} {trial.value:.4f}"
    end = trial.user_attrs.get("error", end)
    typer.echo(f"trial {trial.number:>3} {trial.state.name.lower():<8} {shown}  {end}")


def _higher_is_better(goal: str, judges: Iterable[Scorer]) -> bool:
    """Whether a higher value of the objective is better; UserError if it is not measured."""
    better = {"loss": "down"}
    for judge in judges:
        better.update({column.name: column.better for column in judge.columns})
    if goal not in better:
        mend = "--validation-texts 50 --scorers ibleu"
        raise UserError(f"search by {goal!r}", "not measured", list(better), mend)
    return better[goal] == "up"
