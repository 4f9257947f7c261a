"""The commands that make checkpoints: training, its data, and the search for a prompt's length."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from parabench.contracts import Runtime, Scorer, UserError

if TYPE_CHECKING:
    from parabench.data.leakage import TestSentences
    from parabench.suites import Suite
    from parabench.training.loop import StepLog
    from parabench.training.requests import Data

data = typer.Typer(help="Training corpora: look into them, fetch them.", no_args_is_help=True)

CHECKPOINTS = Path("results/checkpoints")
SuiteName = Annotated[str, typer.Option(help="The suite that names base models, data and test set.")]
DataSpec = Annotated[
    str | None, typer.Option("--data", metavar="SPEC", help="FORMAT:PATH=SHARE,… or mini; the suite's otherwise.")
]

TestFile = Annotated[Path | None, typer.Option(help="More examples that training must not see, JSONL or TSV.")]


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
            chosen.decoding, samples, judge(chosen, runtime) if samples else None, recompute,
        )  # fmt: skip
        if ranks.first:
            announce(request, ranks.count)
        with watching(name, config.steps, ranks.first) as watch, tracking.tracker(track, folder) as note:
            outcome = requests.carry_out(request, lambda log: (watch(log), note(log)), ranks)
    if ranks.first:
        report(name, folder, outcome)


@data.command()
def inspect(
    spec: Annotated[str, typer.Argument(metavar="SPEC", help="FORMAT:PATH?option=value=SHARE,…")],
    suite: SuiteName = "mini",
    dev: Annotated[int, typer.Option(help="About how many pairs a training would hold out.")] = 200,
    test: TestFile = None,
    seed: Annotated[int, typer.Option(help="Seed of the split.")] = 0,
    samples: Annotated[int, typer.Option(help="How many pairs of each corpus to show.")] = 3,
) -> None:
    """What training would see of a corpus: rows kept and left out with their lines, duplicates, leakage, samples."""
    from itertools import islice

    from parabench import suites
    from parabench.cli_prompts import printable
    from parabench.data import specs, training_set
    from parabench.data.inspection import repeated

    parsed = specs.parse(spec)
    found = training_set.prepare(parsed, test_sentences(suites.load(suite), test), dev, seed)
    for part, tally in zip(parsed, found.tallies, strict=True):
        typer.echo(f"{part.form} {part.path}  share {part.share:.2f}")
        typer.echo(f"  {tally.kept:>9,} pairs to train on")
        for reason, count in tally.reasons.most_common():
            lines = ", ".join(map(str, tally.lines[reason]))
            typer.echo(f"  {count:>9,} {reason}: line {lines}{', …' * (count > len(tally.lines[reason]))}")
        typer.echo(f"  {repeated(training_set.Corpus(part, seed)):>9,} pairs that stand there again (dedup=yes)")
        for source, target in islice(training_set.Corpus(part, seed), samples):
            typer.echo(printable(f"            {source}") + "\n" + printable(f"         -> {target}"))
    typer.echo(f"held out  {len(found.dev):,} pairs, in no component with a pair to train on")
    typer.echo(f"test set  {found.removed:,} pairs taken out, which it or its paraphrases hold")
    typer.echo(f"data      {found.fingerprint}")


@data.command()
def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="parabank2, paranmt, or an https address.")],
    folder: Annotated[Path, typer.Option(help="Where to put it.")] = Path("data"),
) -> None:
    """Download a corpus, going on where an earlier download stopped."""
    from parabench.data import fetching
    from parabench.progress import bars

    with bars() as advance:
        path = fetching.fetch(fetching.find(name), folder, lambda done, total: advance(name, done, total))
    typer.echo(path)


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
    """Search a prompt's length and the settings that go with it, by the loss on held-out pairs."""
    from parabench import suites
    from parabench.inference.models import resolve_device
    from parabench.training import requests
    from parabench.training import search as searching

    chosen = suites.load(suite)
    runtime = Runtime(resolve_device(device), dtype, seed=seed)
    pairs = training_data(data, chosen, dev, seed)
    fixed = {"steps": steps, "batch_size": batch_size, "validate_every": validate_every}
    choices, ranges = requests.space(lengths, learning_rates, initialisers, optimizers, range(seed, seed + seeds))
    wanted = searching.Search(
        choices, ranges, trials, steps, validate_every, sampler, pruner, seed=seed  # type: ignore[arg-type]
    )  # fmt: skip
    objective = requests.objective(name, chosen.train.model_dump(), base, pairs, fixed, runtime)
    folder = output or Path("results/searches") / name

    def told(trial: Any) -> None:
        shown = " ".join(f"{key}={value}" for key, value in trial.params.items())
        end = trial.user_attrs.get("error") or ("" if trial.value is None else f"loss {trial.value:.4f}")
        typer.echo(f"trial {trial.number:>3} {trial.state.name.lower():<8} {shown}  {end}")

    searching.search(wanted, folder, objective, told)
    typer.echo(f"{folder}/trials.csv  importance.json  length.svg")


def looked_for(suite: Suite, name: str, family: str) -> Path:
    """Where a run of the suite looks for the checkpoint if that is the user's own, or ``results/checkpoints/NAME``."""
    options = suite.options("system", name, family)
    place = Path(str(options["adapters"])) / name if "adapters" in options else Path(str(options.get("model", "")))
    return place if place.is_relative_to(CHECKPOINTS) else CHECKPOINTS / name


def judge(suite: Suite, runtime: Runtime) -> Scorer:
    """The scorer of the suite's headline column, for the texts generated at validations."""
    from parabench import planning
    from parabench.contracts import Setting

    return planning.build("scorer", suite.headline.partition(".")[0], suite, Setting(runtime, suite.decoding))


def training_data(asked: str | None, suite: Suite, dev: int, seed: int, test: Path | None = None) -> Data:
    """The pairs to train on, cleared of the suite's test set; ``mini`` are those of the embedded language."""
    from itertools import islice

    from parabench.data import specs, training_set
    from parabench.mini import language
    from parabench.training.requests import Data

    text = asked or suite.train.data
    if not text:
        raise UserError("train", f"the suite {suite.name} names no training data", mend="--data FORMAT:PATH")
    if text == "mini":
        held_out = tuple(islice(language.pairs("dev", seed), dev))
        facts = {"data": f"embedded language, split train, seed {seed}", "dev": len(held_out), "removed": 0}
        return Data(Endless(lambda: language.pairs("train", seed)), held_out, facts)
    found = training_set.prepare(specs.parse(text), test_sentences(suite, test), dev, seed)
    left_out = sum((tally.reasons for tally in found.tallies), Counter[str]())
    for reason, count in left_out.most_common():
        typer.echo(f"left out  {count:>9,} {reason}", err=True)
    kept = sum(tally.kept for tally in found.tallies)
    facts = {"data": found.fingerprint, "pairs": kept, "dev": len(found.dev), "removed": found.removed}
    return Data(found.pairs, found.dev, facts)


def test_sentences(suite: Suite, more: Path | None) -> TestSentences:
    """What no training may see: the sentences of the suite's test set, and of a file of the user's."""
    from parabench.data.examples import read_examples
    from parabench.data.leakage import TestSentences

    files = [Path(suite.data)] * bool(suite.data) + ([more] if more else [])
    return TestSentences.of([example for file in files for example in read_examples(file)])


@dataclass(frozen=True)
class Endless:
    """Pairs that can be read again from the start."""

    begin: Callable[[], Iterator[tuple[str, str]]]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return self.begin()


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
