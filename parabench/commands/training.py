"""The commands that make checkpoints: training, and the search for a prompt's length."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from parabench.commands.data import DataSpec, SuiteName, TestFile, training_data
from parabench.contracts import Runtime, Scorer, UserError

if TYPE_CHECKING:
    from parabench.suites import Suite
    from parabench.training.loop import StepLog

CHECKPOINTS = Path("results/checkpoints")


def train(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="softprompt-N, ptuning-N, ptuning-mlp-N, finetuned, bart")
    ],
    suite: SuiteName = "mini",
    data: DataSpec = None,
    base: Annotated[str | None, typer.Option(help="The model to start from, instead of the suite's.")] = None,
    steps: Annotated[int | None, typer.Option(help="Updates to make.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="The highest rate of the schedule.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows in a batch.")] = None,
    accumulation: Annotated[int | None, typer.Option(help="Batches in an update.")] = None,
    optimizer: Annotated[str | None, typer.Option(metavar="adamw|adam|sgd|adafactor")] = None,
    schedule: Annotated[str | None, typer.Option(metavar="constant|linear|cosine|plateau")] = None,
    warmup: Annotated[int | None, typer.Option(help="Updates over which the rate rises.")] = None,
    validate_every: Annotated[int | None, typer.Option(help="Updates between validations; 0: at the end.")] = None,
    save_every: Annotated[int | None, typer.Option(help="Updates between checkpoints.")] = None,
    patience: Annotated[int | None, typer.Option(help="Validations without a better one before the end.")] = None,
    dev: Annotated[int, typer.Option(help="About how many pairs to hold out for validation.")] = 200,
    test: TestFile = None,
    samples: Annotated[int, typer.Option(help="How many held-out sentences to paraphrase at each validation.")] = 0,
    snapshots: Annotated[int, typer.Option(help="Updates between copies of the prompt, for its map; 0: none.")] = 0,
    recompute: Annotated[bool, typer.Option("--recompute", help="Whole models: less memory for more time.")] = False,
    initialiser: Annotated[
        str | None, typer.Option(help="Where a prompt starts: sampled:1000, text:…, uniform.")
    ] = None,
    preset: Annotated[str | None, typer.Option(metavar="origin", help="Settings of a published run.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of every random choice.")] = 0,
    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda[:i]", help="Where to train.")] = "auto",
    dtype: Annotated[str, typer.Option(metavar="float32|bfloat16", help="Arithmetic of the model.")] = "float32",
    output: Annotated[Path | None, typer.Option(help="Folder of the checkpoint; the same folder is resumed.")] = None,
    track: Annotated[str | None, typer.Option(metavar="tensorboard|wandb|trackio")] = None,
) -> None:
    """Train a system; the same command goes on where it was stopped."""
    from parabench import suites
    from parabench.inference.models import resolve_device
    from parabench.training import kinds, requests, tracking
    from parabench.training.ranks import joined

    chosen, kind = suites.load(suite), kinds.parse(name)
    checkpoint = requests.base_of(kind, chosen.train.model_dump(), base)
    given: dict[str, Any] = {
        "steps": steps,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "accumulation": accumulation,
        "optimizer": optimizer,
        "schedule": schedule,
        "warmup": warmup,
        "validate_every": validate_every,
        "save_every": save_every,
        "patience": patience,
        "bf16": dtype == "bfloat16" and kind.family in ("finetuned", "bart"),
    }
    config = requests.configured(kind, preset=preset, seed=seed, **given)
    folder = output or looked_for(chosen, name, kind.family)
    with joined(resolve_device(device)) as ranks:
        runtime = Runtime(ranks.device(resolve_device(device)), dtype, seed=seed)
        request = requests.Request(
            kind, checkpoint, training_data(data, chosen, dev, seed, test), config, runtime, folder, initialiser,
            chosen.decoding, samples, judging(chosen, runtime) if samples else (), recompute, snapshots,
        )  # fmt: skip
        if ranks.first:
            announce(request, ranks.count)
        with watching(name, config.steps, ranks.first) as watch, tracking.tracker(track, folder) as note:
            outcome = requests.carry_out(request, lambda log: (watch(log), note(log)), ranks)
    if ranks.first:
        report(name, folder, outcome)


def search(
    name: Annotated[str, typer.Argument(metavar="FAMILY", help="softprompt, ptuning or ptuning-mlp.")] = "softprompt",
    suite: SuiteName = "mini",
    data: DataSpec = None,
    lengths: Annotated[str, typer.Option(metavar="A,B,…", help="Prompt lengths to choose from.")] = "5,20,59,111",
    learning_rates: Annotated[str, typer.Option(metavar="A,B,…|LOW-HIGH", help="Rates, or a range.")] = "0.001-0.1",
    initialisers: Annotated[str | None, typer.Option(metavar="A;B;…", help="Where prompts start.")] = None,
    optimizers: Annotated[str | None, typer.Option(metavar="A,B,…", help="Optimisers to choose from.")] = None,
    seeds: Annotated[int, typer.Option(help="How many seeds to try each setting with.")] = 1,
    trials: Annotated[int, typer.Option(help="Trials in all, by all workers.")] = 20,
    goal: Annotated[str, typer.Option("--objective", metavar="loss|COLUMN", help="What decides.")] = "loss",
    samples: Annotated[int, typer.Option(help="How many held-out sentences to paraphrase and score.")] = 0,
    scorers: Annotated[str | None, typer.Option(metavar="A,B,…", help="By these; the suite's headline if not.")] = None,
    steps: Annotated[int, typer.Option(help="Updates of every trial that is not stopped early.")] = 500,
    validate_every: Annotated[int, typer.Option(help="Updates between validations.")] = 50,
    batch_size: Annotated[int | None, typer.Option(help="Rows in a batch.")] = None,
    sampler: Annotated[str, typer.Option(metavar="tpe|random|grid", help="How settings are chosen.")] = "tpe",
    pruner: Annotated[str, typer.Option(metavar="median|hyperband|none", help="Which trials are stopped.")] = "median",
    dev: Annotated[int, typer.Option(help="About how many pairs to judge by.")] = 200,
    base: Annotated[str | None, typer.Option(help="The model, instead of the suite's.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the search and of the first training.")] = 0,
    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda[:i]", help="Where to train.")] = "auto",
    dtype: Annotated[str, typer.Option(metavar="float32|bfloat16", help="Arithmetic of the model.")] = "float32",
    output: Annotated[Path | None, typer.Option(help="Folder of the search; run again to go on or to help.")] = None,
) -> None:
    """Search a prompt's length and what goes with it, by the loss on held-out pairs or by a score of texts."""
    from parabench import suites
    from parabench.inference.models import resolve_device
    from parabench.training import kinds, requests

    try:
        from parabench.training import search as searching
        from parabench.training import trials as trying
    except ModuleNotFoundError as error:
        raise UserError("search", str(error), mend="pip install 'parabench[train]'") from None

    chosen = suites.load(suite)
    runtime = Runtime(resolve_device(device), dtype, seed=seed)
    pairs = training_data(data, chosen, dev, seed)
    fixed = {"steps": steps, "batch_size": batch_size, "validate_every": validate_every}
    judges = judging(chosen, runtime, scorers) if samples else ()
    choices, ranges = trying.space(lengths, learning_rates, initialisers, optimizers, range(seed, seed + seeds))
    wanted = searching.Search(
        choices, ranges, trials, steps, validate_every, sampler, pruner,  # type: ignore[arg-type]
        seed=seed, goal=goal, upwards=rises(goal, judges),
    )  # fmt: skip
    folder, kind = output or Path("results/searches") / name, kinds.parse(f"{name}-1")
    common = requests.Request(
        kind, requests.base_of(kind, chosen.train.model_dump(), base), pairs, kind.defaults, runtime, folder,
        None, chosen.decoding, samples, judges,
    )  # fmt: skip

    def told(trial: Any) -> None:
        shown = " ".join(f"{key}={value}" for key, value in trial.params.items())
        end = trial.user_attrs.get("error") or ("" if trial.value is None else f"{goal} {trial.value:.4f}")
        typer.echo(f"trial {trial.number:>3} {trial.state.name.lower():<8} {shown}  {end}")

    searching.search(wanted, folder, trying.objective(name, common, fixed), told)
    typer.echo(f"{folder}/trials.csv  importance.json  length.svg")


def looked_for(suite: Suite, name: str, family: str) -> Path:
    """Where a run of the suite looks for the checkpoint if that is the user's own, or ``results/checkpoints/NAME``."""
    options = suite.options("system", name, family)
    place = Path(str(options["adapters"])) / name if "adapters" in options else Path(str(options.get("model", "")))
    return place if place.is_relative_to(CHECKPOINTS) else CHECKPOINTS / name


def judging(suite: Suite, runtime: Runtime, names: str | None = None) -> tuple[Scorer, ...]:
    """The scorers for the texts generated at validations: those named, or that of the suite's headline column."""
    from parabench import planning
    from parabench.contracts import Setting

    wanted = (names or suite.headline.partition(".")[0]).split(",")
    return tuple(planning.build("scorer", name, suite, Setting(runtime, suite.decoding)) for name in wanted)


def rises(goal: str, judges: Iterable[Scorer]) -> bool:
    """Whether more of a measure is better."""
    better = {"loss": "down"} | {column.name: column.better for judge in judges for column in judge.columns}
    if goal not in better:
        raise UserError(f"search by {goal!r}", "not measured", list(better), "--samples 50 --scorers ibleu")
    return better[goal] == "up"


def announce(request: Any, processes: int) -> None:
    """What is about to be done, on stderr."""
    config, facts = request.config, ", ".join(f"{name} {value}" for name, value in request.data.facts.items())
    rows = config.batching.rows * config.accumulation * processes
    typer.echo(f"training  {request.kind.name} from {request.base.reference}", err=True)
    typer.echo(f"data      {facts}", err=True)
    typer.echo(
        f"updates   {config.steps} of {rows} rows, {config.optimizer} {config.learning_rate:g} {config.schedule}, "
        f"{processes} process{'es' * (processes > 1)}, {request.runtime.device} {request.runtime.dtype}",
        err=True,
    )


@contextmanager
def watching(name: str, steps: int, shown: bool) -> Iterator[Callable[[StepLog], object]]:
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
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    hidden = not (shown and console.is_terminal)
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=hidden) as progress:
        task = progress.add_task(name, total=steps)

        def watch(log: StepLog) -> None:
            text = f"{name}  loss {log.loss:.3f}  {log.tokens_per_second:.0f} tokens/s"
            progress.update(task, completed=log.step, description=text)

        yield watch


def report(name: str, folder: Path, outcome: Any) -> None:
    """How it ended, and how to use it."""
    judged = f", held-out loss {outcome.loss:.4f} nats a token" if outcome.loss < float("inf") else ""
    typer.echo(f"{name}: {outcome.steps} updates, kept that of step {outcome.kept}{judged}")
    for reason, count in outcome.skipped.items():
        if count:
            typer.echo(f"left out  {count} rows {reason}")
    typer.echo(f"{folder}")
