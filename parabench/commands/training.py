"""The command that trains a system, and what it shares with the search.

``train_command`` is longer than other functions because every option is a line of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from parabench.commands import signals
from parabench.commands.help_pages import examples
from parabench.commands.training_data import (
    CorpusOption,
    TestFileOption,
    TrainSuiteOption,
    load_task_data,
    load_training_data,
)
from parabench.contracts import Runtime, Scorer, UserError
from parabench.render.progress import progress_bar

if TYPE_CHECKING:
    from parabench.suites.suite import Suite
    from parabench.training.loop import StepLog
    from parabench.training.ranks import Ranks
    from parabench.training.requests import TrainingRequest
    from parabench.training.resumable import StopRequest, TrainingOutcome


_DATA = "Data"
_SCHEDULE = "Schedule"
_TASKS = "Task table (parabench tasks)"
_VALIDATION = "Validation"
_PROMPT = "Prompt and model"
_MACHINE = "Machine and output"

_Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="softprompt-N, ptuning-N, ptuning-mlp-N, finetuned or bart."
    ),
]
_Tasks = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Several tasks at once: a TOML table for each, or with --records a tasks file.",
        rich_help_panel=_DATA,
    ),
]
BaseOption = Annotated[
    str | None,
    typer.Option(help="The model to start from, instead of the suite's.", rich_help_panel=_PROMPT),
]
_Records = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE",
        help="Records of the tasks in --tasks; NAME is then a task table's folder.",
        rich_help_panel=_TASKS,
    ),
]
_DevRecords = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help="Held-out records.", rich_help_panel=_TASKS),
]
_Method = Annotated[
    str,
    typer.Option(metavar="prompt|ptuning", help="How tasks are tuned.", rich_help_panel=_TASKS),
]
_New = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,…", help="Tasks to tune; all that the table lacks.", rich_help_panel=_TASKS
    ),
]
_Existing = Annotated[
    str,
    typer.Option(
        metavar="A,B,…", help="Tasks that the table has, and keeps.", rich_help_panel=_TASKS
    ),
]
DevOption = Annotated[
    int,
    typer.Option(help="About how many pairs to hold out for validation.", rich_help_panel=_DATA),
]
_Steps = Annotated[int | None, typer.Option(help="Updates to make.", rich_help_panel=_SCHEDULE)]
_Minutes = Annotated[
    float | None,
    typer.Option(help="Minutes of training, instead of updates.", rich_help_panel=_SCHEDULE),
]
_Rate = Annotated[
    float | None,
    typer.Option(help="The highest learning rate of the schedule.", rich_help_panel=_SCHEDULE),
]
TrainBatchOption = Annotated[
    int | None, typer.Option(help="Batch size in rows.", rich_help_panel=_SCHEDULE)
]
_Accumulation = Annotated[
    int | None, typer.Option(help="Batches in an update.", rich_help_panel=_SCHEDULE)
]
_Optimizer = Annotated[
    str | None,
    typer.Option(
        metavar="adamw|adam|sgd|adafactor", help="The optimiser.", rich_help_panel=_SCHEDULE
    ),
]
_Schedule = Annotated[
    str | None,
    typer.Option(
        metavar="constant|linear|cosine|plateau",
        help="Learning rate schedule.",
        rich_help_panel=_SCHEDULE,
    ),
]
_Warmup = Annotated[
    int | None,
    typer.Option(help="Updates over which the rate rises.", rich_help_panel=_SCHEDULE),
]
_Preset = Annotated[
    str | None,
    typer.Option(metavar="origin", help="Settings of a published run.", rich_help_panel=_SCHEDULE),
]
_ValidateEvery = Annotated[
    int | None,
    typer.Option(help="Updates between validations; 0: at the end.", rich_help_panel=_VALIDATION),
]
_Patience = Annotated[
    int | None,
    typer.Option(
        help="Validations without a better one before the end.", rich_help_panel=_VALIDATION
    ),
]
ValidationTextsOption = Annotated[
    int,
    typer.Option(
        help="Held-out sentences to paraphrase at each validation.", rich_help_panel=_VALIDATION
    ),
]
ValidationScorersOption = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,…",
        help="Scorers of these paraphrases; the headline's if not.",
        rich_help_panel=_VALIDATION,
    ),
]
_Snapshots = Annotated[
    int,
    typer.Option(
        help="Updates between copies of the prompt, for its map; 0: none.",
        rich_help_panel=_PROMPT,
    ),
]
_GradientCheckpointing = Annotated[
    bool,
    typer.Option(
        "--gradient-checkpointing",
        help="Whole models: recompute activations, for less memory and more time.",
        rich_help_panel=_PROMPT,
    ),
]
_Initialiser = Annotated[
    str | None,
    typer.Option(
        help="Where a prompt starts: sampled:1000, text:…, uniform.", rich_help_panel=_PROMPT
    ),
]
TrainSeedOption = Annotated[
    int, typer.Option(help="Seed of every random choice.", rich_help_panel=_MACHINE)
]
TrainDeviceOption = Annotated[
    str,
    typer.Option(metavar="auto|cpu|cuda[:i]", help="Where to train.", rich_help_panel=_MACHINE),
]
TrainDtypeOption = Annotated[
    str,
    typer.Option(metavar="float32|bfloat16", help="Model dtype.", rich_help_panel=_MACHINE),
]
TrainOutputOption = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the result; the same folder is resumed.", rich_help_panel=_MACHINE
    ),
]
_SaveEvery = Annotated[
    int | None,
    typer.Option(help="Updates between checkpoints.", rich_help_panel=_MACHINE),
]
_Track = Annotated[
    str | None,
    typer.Option(
        metavar="tensorboard|wandb|trackio", help="Experiment tracker.", rich_help_panel=_MACHINE
    ),
]


@examples(
    "parabench train softprompt-40",
    "parabench train softprompt-20 --data tsv:pairs.tsv --steps 2000 --validate-every 200",
    "parabench train finetuned --gradient-checkpointing --dtype bfloat16",
)
def train_command(
    name: _Name,
    suite: TrainSuiteOption = "mini",
    data: CorpusOption = None,
    tasks: _Tasks = None,
    dev: DevOption = 200,
    test: TestFileOption = None,
    records: _Records = None,
    dev_records: _DevRecords = None,
    method: _Method = "ptuning",
    new: _New = None,
    existing: _Existing = "",
    steps: _Steps = None,
    minutes: _Minutes = None,
    learning_rate: _Rate = None,
    batch_size: TrainBatchOption = None,
    accumulation: _Accumulation = None,
    optimizer: _Optimizer = None,
    schedule: _Schedule = None,
    warmup: _Warmup = None,
    preset: _Preset = None,
    validate_every: _ValidateEvery = None,
    patience: _Patience = None,
    validation_texts: ValidationTextsOption = 0,
    scorers: ValidationScorersOption = None,
    base: BaseOption = None,
    initialiser: _Initialiser = None,
    snapshots: _Snapshots = 0,
    gradient_checkpointing: _GradientCheckpointing = False,
    seed: TrainSeedOption = 0,
    device: TrainDeviceOption = "auto",
    dtype: TrainDtypeOption = "float32",
    save_every: _SaveEvery = None,
    track: _Track = None,
    output: TrainOutputOption = None,
) -> None:
    """Train a system; run again to resume.

    The suite names the base model, and the test set that no training pair may hold.
    """
    from parabench.models.loading import resolve_device
    from parabench.suites import suite as suites
    from parabench.training import presets, requests, setup, tracking
    from parabench.training.ranks import join_processes

    if records:
        settings = {
            "seed": seed, "steps": steps, "learning_rate": learning_rate, "batch_size": batch_size,
            "accumulation": accumulation, "optimizer": optimizer, "schedule": schedule,
            "warmup": warmup, "validate_every": validate_every, "save_every": save_every,
            "patience": patience,
        }  # fmt: skip
        _train_table(
            name, tasks, records, dev_records, method, new, existing, initialiser, suite, base,
            settings, device, dtype, track,
        )  # fmt: skip
        return
    chosen, kind = suites.load_suite(suite), setup.parse_kind(name)
    tracking.check_tracker(track)  # before the pass over the data, which may take minutes
    config = presets.make_config(
        kind, preset, seed=seed, steps=steps, minutes=minutes,
        learning_rate=learning_rate, batch_size=batch_size, accumulation=accumulation,
        optimizer=optimizer, schedule=schedule, warmup=warmup,
        validate_every=validate_every, save_every=save_every, patience=patience,
        bf16=dtype == "bfloat16" and kind.family in ("finetuned", "bart"),
    )  # fmt: skip
    checkpoint = requests.base_checkpoint(kind, chosen.train.model_dump(), base)
    folder = output or _default_folder(chosen, name, kind.family)
    started = initialiser or presets.preset_initialiser(kind, preset)
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
        judges = validation_scorers(chosen, runtime, scorers) if validation_texts else ()
        request = requests.TrainingRequest(
            kind, checkpoint, pairs, config, runtime, folder, started, chosen.decoding,
            validation_texts, judges, gradient_checkpointing, snapshots,
        )  # fmt: skip
        _train_with_progress(request, ranks, track)


def _train_table(
    name: str,
    tasks: Path | None,
    records: list[Path],
    dev_records: list[Path] | None,
    method: str,
    new: str | None,
    existing: str,
    initialiser: str | None,
    suite: str,
    base: str | None,
    settings: dict[str, Any],
    device: str,
    dtype: str,
    track: str | None,
) -> None:
    """``parabench tasks train`` with the options of ``parabench train``."""
    from parabench.commands.task_training import train_table

    if tasks is None:
        mend = "add --tasks FILE with their templates (docs/tasks.md)"
        raise UserError(f"train the task table {name}", "no tasks file", mend=mend)
    train_table(
        Path(name), tasks, records, dev_records or (), method, new, existing, "lstm",
        initialiser or "sampled:1000", suite, base, settings, device, dtype, track,
    )  # fmt: skip


def _train_with_progress(request: TrainingRequest, ranks: Ranks, track: str | None) -> None:
    """Carry a training out before the user's eyes."""
    from parabench.store.files import write_atomically
    from parabench.training import figures, requests, resumable, tracking

    folder = request.folder
    if ranks.first:
        _announce(request, ranks.count)
    stop = resumable.StopRequest()
    watched = _training_progress(request, stop, ranks.first)
    tracked = tracking.open_tracker(track if ranks.first else None, folder)
    try:
        with watched as watch, tracked as tracker:

            def after_update(log: StepLog) -> None:
                watch(log)
                tracker.update(log)

            outcome = requests.run_training(request, after_update, ranks, tracker.validation, stop)
    except resumable.TrainingStopped as stopped:
        # Trackers and the progress bar are closed by now.
        signals.end_after_stop(f"stopped after update {stopped.step}; run again to resume there")
    if ranks.first:
        drawn = figures.draw_training([figures.read_curves(folder)])
        write_atomically(folder / "training" / "loss.svg", drawn)
        _report_outcome(request, outcome)


def _default_folder(suite: Suite, name: str, family: str) -> Path:
    """Where a run of the suite looks for the checkpoint if that is the user's own, or
    ``results/checkpoints/NAME``.
    """
    from parabench.prompts.trained import CHECKPOINTS

    options = suite.options("system", name, family)
    place = (
        Path(str(options["adapters"])) / name
        if "adapters" in options
        else Path(str(options.get("model", "")))
    )
    return place if place.is_relative_to(CHECKPOINTS) else CHECKPOINTS / name


def validation_scorers(
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


def _announce(request: TrainingRequest, processes: int) -> None:
    """What is about to be done, on stderr."""
    config, facts = (
        request.config,
        ", ".join(f"{name} {value}" for name, value in request.data.facts.items()),
    )
    rows = config.batching.rows * config.accumulation * processes
    length = f"{config.minutes:g} minutes" if config.minutes else f"{config.steps}"
    typer.echo(f"training  {request.kind.name} from {request.base.reference}", err=True)
    typer.echo(f"data      {facts}", err=True)
    typer.echo(
        f"updates   {length} of {rows} rows, "
        f"{config.optimizer} {config.learning_rate:g} {config.schedule}, "
        f"{processes} process{'es' * (processes > 1)}, "
        f"{request.runtime.device} {request.runtime.dtype}",
        err=True,
    )


@contextmanager
def _training_progress(
    request: TrainingRequest, stop: StopRequest, shown: bool
) -> Iterator[Callable[[StepLog], object]]:
    """Show each update's loss: a bar on a terminal, a line now and then elsewhere.

    Of a training that is given minutes the bar shows seconds.
    """
    config, started = request.config, time.monotonic()
    total = round(60 * config.minutes) or config.steps
    bar = progress_bar(request.kind.name, total, shown)
    with signals.stop_after_update(stop), bar as update:

        def watch(log: StepLog) -> None:
            done = log.step
            if config.minutes:
                done = min(total, round(time.monotonic() - started))
            rate = f"rate {log.learning_rate:.2g}"
            speed = f"{log.tokens_per_second:.0f} tokens/s"
            step = f"update {log.step}  " if config.minutes else ""
            update(done, f"{step}loss {log.loss:.3f}  {rate}  {speed}")

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
