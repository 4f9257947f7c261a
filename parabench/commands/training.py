"""The commands that make checkpoints: training, and the search for a prompt's length.

Two functions here are longer than others because every option is a line of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parabench.commands import signals
from parabench.commands.data import (
    DataSpec,
    SuiteName,
    TestFile,
    load_task_data,
    load_training_data,
)
from parabench.contracts import Runtime, Scorer, UserError

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from parabench.suites.suite import Suite
    from parabench.training.loop import StepLog
    from parabench.training.ranks import Ranks
    from parabench.training.requests import TrainingRequest
    from parabench.training.resumable import TrainingOutcome

_CHECKPOINTS = Path("results/checkpoints")


_SYSTEM_NAMES = "softprompt-N, ptuning-N, ptuning-mlp-N, finetuned, bart"
_Name = Annotated[str, typer.Argument(metavar="NAME", help=_SYSTEM_NAMES)]
_Family = Annotated[
    str, typer.Argument(metavar="FAMILY", help="softprompt, ptuning or ptuning-mlp.")
]
_Tasks = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Several tasks at once, a TOML table for each.")
]
_Base = Annotated[str | None, typer.Option(help="The model to start from, instead of the suite's.")]
_Rate = Annotated[float | None, typer.Option(help="The highest rate of the schedule.")]
_BatchSize = Annotated[int | None, typer.Option(help="Rows in a batch.")]
_Optimizer = Annotated[str | None, typer.Option(metavar="adamw|adam|sgd|adafactor")]
_Schedule = Annotated[str | None, typer.Option(metavar="constant|linear|cosine|plateau")]
_Dev = Annotated[int, typer.Option(help="About how many pairs to hold out for validation.")]
_Samples = Annotated[
    int, typer.Option(help="How many held-out sentences to paraphrase at each validation.")
]
_Scorers = Annotated[
    str | None,
    typer.Option(metavar="A,B,…", help="By which they are scored; the headline's if not."),
]
_Snapshots = Annotated[
    int, typer.Option(help="Updates between copies of the prompt, for its map; 0: none.")
]
_Recompute = Annotated[
    bool, typer.Option("--recompute", help="Whole models: less memory for more time.")
]
_Initialiser = Annotated[
    str | None, typer.Option(help="Where a prompt starts: sampled:1000, text:…, uniform.")
]
_Preset = Annotated[str | None, typer.Option(metavar="origin", help="Settings of a published run.")]
_Seed = Annotated[int, typer.Option(help="Seed of every random choice.")]
_Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda[:i]", help="Where to train.")]
_DataType = Annotated[
    str, typer.Option(metavar="float32|bfloat16", help="Arithmetic of the model.")
]
_Output = Annotated[
    Path | None, typer.Option(help="Folder of the result; the same folder is resumed.")
]
_Track = Annotated[str | None, typer.Option(metavar="tensorboard|wandb|trackio")]
_Lengths = Annotated[str, typer.Option(metavar="A,B,…", help="Prompt lengths to choose from.")]
_Rates = Annotated[str, typer.Option(metavar="A,B,…|LOW-HIGH", help="Rates, or a range.")]
_Initialisers = Annotated[str | None, typer.Option(metavar="A;B;…", help="Where prompts start.")]
_Optimizers = Annotated[
    str | None, typer.Option(metavar="A,B,…", help="Optimisers to choose from.")
]
_Goal = Annotated[str, typer.Option("--objective", metavar="loss|COLUMN", help="What decides.")]
_Sampler = Annotated[str, typer.Option(metavar="tpe|random|grid", help="How settings are chosen.")]
_Pruner = Annotated[
    str, typer.Option(metavar="median|hyperband|none", help="Which trials are stopped.")
]


def train_command(
    name: _Name,
    suite: SuiteName = "mini",
    data: DataSpec = None,
    tasks: _Tasks = None,
    base: _Base = None,
    steps: Annotated[int | None, typer.Option(help="Updates to make.")] = None,
    learning_rate: _Rate = None,
    batch_size: _BatchSize = None,
    accumulation: Annotated[int | None, typer.Option(help="Batches in an update.")] = None,
    optimizer: _Optimizer = None,
    schedule: _Schedule = None,
    warmup: Annotated[int | None, typer.Option(help="Updates over which the rate rises.")] = None,
    validate_every: Annotated[
        int | None, typer.Option(help="Updates between validations; 0: at the end.")
    ] = None,
    save_every: Annotated[int | None, typer.Option(help="Updates between checkpoints.")] = None,
    patience: Annotated[
        int | None, typer.Option(help="Validations without a better one before the end.")
    ] = None,
    dev: _Dev = 200,
    test: TestFile = None,
    samples: _Samples = 0,
    scorers: _Scorers = None,
    snapshots: _Snapshots = 0,
    recompute: _Recompute = False,
    initialiser: _Initialiser = None,
    preset: _Preset = None,
    seed: _Seed = 0,
    device: _Device = "auto",
    dtype: _DataType = "float32",
    output: _Output = None,
    track: _Track = None,
) -> None:
    """Train a system; the same command goes on where it was stopped."""
    from parabench.models.loading import resolve_device
    from parabench.suites import suite as suites
    from parabench.training import requests, setup
    from parabench.training.ranks import join_processes

    chosen, kind = suites.load_suite(suite), setup.parse_kind(name)
    config = requests.make_config(
        kind, preset, seed=seed, steps=steps, learning_rate=learning_rate, batch_size=batch_size,
        accumulation=accumulation, optimizer=optimizer, schedule=schedule, warmup=warmup,
        validate_every=validate_every, save_every=save_every, patience=patience,
        bf16=dtype == "bfloat16" and kind.family in ("finetuned", "bart"),
    )  # fmt: skip
    checkpoint = requests.base_checkpoint(kind, chosen.train.model_dump(), base)
    folder = output or _default_folder(chosen, name, kind.family)
    with join_processes(resolve_device(device)) as ranks:
        runtime = Runtime(ranks.device(resolve_device(device)), dtype, seed=seed)
        if tasks and data:
            raise UserError(
                "train with --tasks and --data",
                "each task names its own data",
                mend="leave --data out",
            )
        if tasks:
            pairs = load_task_data(tasks, kind.length, chosen, dev, seed, test)
        else:
            pairs = load_training_data(data, chosen, dev, seed, test)
        judges = _validation_scorers(chosen, runtime, scorers) if samples else ()
        request = requests.TrainingRequest(
            kind, checkpoint, pairs, config, runtime, folder, initialiser, chosen.decoding, samples, judges,
            recompute, snapshots,
        )  # fmt: skip
        _train_with_progress(request, ranks, track)


def _train_with_progress(request: TrainingRequest, ranks: Ranks, track: str | None) -> None:
    """Carry a training out before the user's eyes."""
    from parabench.store.files import write_atomically
    from parabench.training import figures, requests, tracking

    name, folder = request.kind.name, request.folder
    if ranks.first:
        _announce(request, ranks.count)
    watched = _training_progress(name, request.config.steps, ranks.first)
    with watched as watch, tracking.open_tracker(track if ranks.first else None, folder) as note:
        outcome = requests.run_training(request, lambda log: (watch(log), note(log)), ranks)
    if ranks.first:
        drawn = figures.draw_training([figures.read_curves(folder)])
        write_atomically(folder / "training" / "loss.svg", drawn)
        _report_outcome(request, outcome)


def search_command(
    name: _Family = "softprompt",
    suite: SuiteName = "mini",
    data: DataSpec = None,
    lengths: _Lengths = "5,20,59,111",
    learning_rates: _Rates = "0.001-0.1",
    initialisers: _Initialisers = None,
    optimizers: _Optimizers = None,
    seeds: Annotated[int, typer.Option(help="How many seeds to try each setting with.")] = 1,
    trials: Annotated[int, typer.Option(help="Trials in all, by all workers.")] = 20,
    goal: _Goal = "loss",
    samples: _Samples = 0,
    scorers: _Scorers = None,
    steps: Annotated[
        int, typer.Option(help="Updates of every trial that is not stopped early.")
    ] = 500,
    validate_every: Annotated[int, typer.Option(help="Updates between validations.")] = 50,
    batch_size: _BatchSize = None,
    sampler: _Sampler = "tpe",
    pruner: _Pruner = "median",
    dev: _Dev = 200,
    base: _Base = None,
    seed: _Seed = 0,
    device: _Device = "auto",
    dtype: _DataType = "float32",
    output: _Output = None,
) -> None:
    """Search a prompt's length and what goes with it, by the loss on held-out pairs or by a score
    of texts.
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
    judges = _validation_scorers(chosen, runtime, scorers) if samples else ()
    choices, ranges = trying.search_space(
        lengths, learning_rates, initialisers, optimizers, range(seed, seed + seeds)
    )
    wanted = searching.SearchPlan(
        choices, ranges, trials, steps, validate_every, sampler, pruner,  # type: ignore[arg-type]
        seed=seed, goal=goal, upwards=_higher_is_better(goal, judges),
    )  # fmt: skip
    folder = output or Path("results/searches") / name
    common = requests.TrainingRequest(
        kind, requests.base_checkpoint(kind, chosen.train.model_dump(), base), load_training_data(data, chosen, dev, seed),
        kind.defaults, runtime, folder, None, chosen.decoding, samples, judges,
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


def _default_folder(suite: Suite, name: str, family: str) -> Path:
    """Where a run of the suite looks for the checkpoint if that is the user's own, or
    ``results/checkpoints/NAME``.
    """
    options = suite.options("system", name, family)
    place = (
        Path(str(options["adapters"])) / name
        if "adapters" in options
        else Path(str(options.get("model", "")))
    )
    return place if place.is_relative_to(_CHECKPOINTS) else _CHECKPOINTS / name


def _validation_scorers(
    suite: Suite, runtime: Runtime, names: str | None = None
) -> tuple[Scorer, ...]:
    """The scorers for the texts generated at validations: those named, or that of the suite's
    headline column.
    """
    from parabench.contracts import BuildContext
    from parabench.pipeline import plan

    wanted = (names or suite.headline.partition(".")[0]).split(",")
    return tuple(
        plan.build_plugin("scorer", name, suite, BuildContext(runtime, suite.decoding))
        for name in wanted
    )


def _higher_is_better(goal: str, judges: Iterable[Scorer]) -> bool:
    """Whether more of a measure is better."""
    better = {"loss": "down"} | {
        column.name: column.better for judge in judges for column in judge.columns
    }
    if goal not in better:
        raise UserError(
            f"search by {goal!r}", "not measured", list(better), "--samples 50 --scorers ibleu"
        )
    return better[goal] == "up"


def _announce(request: TrainingRequest, processes: int) -> None:
    """What is about to be done, on stderr."""
    config, facts = (
        request.config,
        ", ".join(f"{name} {value}" for name, value in request.data.facts.items()),
    )
    rows = config.batching.rows * config.accumulation * processes
    typer.echo(f"training  {request.kind.name} from {request.base.reference}", err=True)
    typer.echo(f"data      {facts}", err=True)
    typer.echo(
        f"updates   {config.steps} of {rows} rows, {config.optimizer} {config.learning_rate:g} {config.schedule}, "
        f"{processes} process{'es' * (processes > 1)}, {request.runtime.device} {request.runtime.dtype}",
        err=True,
    )


@contextmanager
def _training_progress(name: str, steps: int, shown: bool) -> Iterator[Callable[[StepLog], object]]:
    """A bar with the loss on a terminal, and nothing elsewhere: the log has every update."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    hidden = not (shown and console.is_terminal)
    bar = Progress(*columns, TimeRemainingColumn(), console=console, disable=hidden)
    with signals.resume_hint(), bar as progress:
        task = progress.add_task(name, total=steps)

        def watch(log: StepLog) -> None:
            text = f"{name}  loss {log.loss:.3f}  {log.tokens_per_second:.0f} tokens/s"
            progress.update(task, completed=log.step, description=text)

        yield watch


def _report_outcome(request: TrainingRequest, outcome: TrainingOutcome) -> None:
    """How it ended, and where the result lies."""
    from parabench.training.export import result_folders

    judged = (
        f", held-out loss {outcome.loss:.4f} nats a token" if outcome.loss < float("inf") else ""
    )
    typer.echo(
        f"{request.kind.name}: {outcome.steps} updates, kept that of step {outcome.kept}{judged}"
    )
    for reason, count in outcome.skipped.items():
        if count:
            typer.echo(f"left out  {count} rows {reason}")
    for place in result_folders(request.folder, request.data.tasks):
        typer.echo(f"{place}")
