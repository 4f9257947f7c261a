"""What ``parabench train`` does on pairs: one system, or several tasks of one prompt encoder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from parabench.commands.training_data import load_task_data, load_training_data
from parabench.commands.training_options import TrainOptions
from parabench.commands.training_progress import (
    describe_updates,
    print_outcome,
    train_with_progress,
)
from parabench.contracts import Example, Runtime, Scorer, UserError

if TYPE_CHECKING:
    from parabench.prompts.templates import Template
    from parabench.suites.suite import Suite
    from parabench.training.config import TrainingConfig
    from parabench.training.ranks import Ranks
    from parabench.training.recipes import StepCallback
    from parabench.training.requests import TrainingData, TrainingRequest, ValidationCallback
    from parabench.training.resumable import StopRequest, TrainingOutcome
    from parabench.training.setup import TrainingKind

_OF_TABLES = ("dev_records", "method", "new", "existing", "encoder")
"""Options of a training into a task table."""

_HELD_OUT = Example("0", "A held-out sentence.", ("Its only target.",))
"""What a scorer is given at a validation, by which it can say that it has no value there."""


def train_on_pairs(options: TrainOptions) -> None:
    """Train the system that ``options`` name, and say how it ended.

    What cannot be trained is refused before the data are read, which may take minutes. Raises
    UserError where options do not go together, and where the training does.
    """
    from parabench.models.loading import resolve_device
    from parabench.suites.suite import load_suite
    from parabench.training import requests, setup, tracking
    from parabench.training.presets import preset_initialiser
    from parabench.training.ranks import join_processes

    kind = setup.parse_kind(options.name)
    _check_options(options)
    suite = load_suite(options.suite)
    tracking.check_tracker(options.track)
    config = _make_config(options, kind)
    checkpoint = requests.base_checkpoint(kind, suite.train.model_dump(), options.base)
    folder = options.output or _default_folder(suite, options.name, kind.family)
    started = options.initialiser or preset_initialiser(kind, options.preset)
    # Each rank reads the data itself: pairs are drawn by the seed, and so alike.
    with join_processes(resolve_device(options.device)) as ranks:
        device = ranks.device(resolve_device(options.device))
        runtime = Runtime(device, options.dtype, seed=options.seed)
        pairs = _load_pairs(options, kind, suite)
        judges: tuple[Scorer, ...] = ()
        if options.validation_texts:
            judges = validation_scorers(suite, runtime, options.scorers)
        request = requests.TrainingRequest(
            kind,
            checkpoint,
            pairs,
            config,
            runtime,
            folder,
            started,
            suite.decoding,
            options.validation_texts,
            judges,
            options.gradient_checkpointing,
            options.snapshots,
            _template(options, kind, suite),
        )
        _carry_out(request, ranks, options.track)


def _check_options(options: TrainOptions) -> None:
    """Refuse options that do not go together: none is ignored without a word."""
    if options.tasks and options.data:
        found = "each task names its own data"
        raise UserError("train with --tasks and --data", found, mend="leave --data out")
    stray = options.given(_OF_TABLES)
    if stray:
        found = "it is an option of a training into a task table"
        mend = "add --records FILE, or leave it out"
        raise UserError(f"train {options.name!r} with {stray[0]}", found, mend=mend)


def _make_config(options: TrainOptions, kind: TrainingKind) -> TrainingConfig:
    from parabench.training.presets import make_config

    # Weights that learn stay in float32 and compute under autocast; a frozen model is loaded so.
    autocast = options.dtype == "bfloat16" and bool(kind.trains_whole_model or kind.rank)
    return make_config(kind, options.preset, **options.settings, bf16=autocast)


def _template(options: TrainOptions, kind: TrainingKind, suite: Suite) -> Template | None:
    """What the suite writes around a source; None where it says nothing, or tasks do."""
    from parabench.prompts.templates import paraphrase_template

    train = suite.train
    if options.tasks or kind.base == "seq2seq" or not (train.template or train.chat):
        return None
    return paraphrase_template(kind.length, train.template, train.chat, train.system)


def _load_pairs(options: TrainOptions, kind: TrainingKind, suite: Suite) -> TrainingData:
    dev = options.dev
    seed = options.seed
    test = options.test
    if options.tasks:
        return load_task_data(options.tasks, kind.length, suite, dev, seed, test)
    return load_training_data(options.data, suite, dev, seed, test)


def _carry_out(request: TrainingRequest, ranks: Ranks, track: str | None) -> None:
    """Train before the user's eyes, draw the losses, and say how it ended."""
    from parabench.store.files import write_atomically
    from parabench.training import figures, requests

    folder = request.folder

    def train(
        watch: StepCallback, report: ValidationCallback, stop: StopRequest
    ) -> TrainingOutcome:
        return requests.run_training(request, watch, ranks, report, stop)

    if ranks.process.is_first:
        _announce(request, ranks)
    name = request.kind.name
    outcome = train_with_progress(train, name, request.config, folder, ranks, track)
    if ranks.process.is_first:
        drawn = figures.draw_training([figures.read_curves(folder)])
        write_atomically(folder / "training" / "loss.svg", drawn)
        _report_outcome(request, outcome)


def _default_folder(suite: Suite, name: str, family: str) -> Path:
    """Where a run of the suite looks for the checkpoint if that is the user's own, or
    ``results/checkpoints/NAME``.
    """
    from parabench.prompts.trained import CHECKPOINTS

    options = suite.options("system", name, family)
    if "adapters" in options:
        place = Path(str(options["adapters"])) / name
    else:
        place = Path(str(options.get("model", "")))
    if place.is_relative_to(CHECKPOINTS):
        return place
    return CHECKPOINTS / name


def validation_scorers(
    suite: Suite, runtime: Runtime, names: str | None = None
) -> tuple[Scorer, ...]:
    """The scorers for the texts generated at validations.

    They are those called ``names``, or that of the ``suite``'s headline column; their models run
    where ``runtime`` says. No held-out target is left out as a human's answer there, so a headline
    that is a share of people's gives way to iBLEU. Raises UserError for an unknown scorer, and for
    one of ``names`` that is undefined there.
    """
    from parabench.contracts import BuildContext, undefined_reason
    from parabench.pipeline import plan

    context = BuildContext(runtime, suite.decoding)
    wanted = names or suite.headline.partition(".")[0]
    found = []
    for name in wanted.split(","):
        scorer = plan.build_plugin("scorer", name, suite, context)
        reason = undefined_reason(scorer, _HELD_OUT, _HELD_OUT.source)
        if reason and names:
            asked = f"score paraphrases of held-out sentences with {name}"
            raise UserError(asked, reason, mend="--scorers ibleu")
        found.append(plan.build_plugin("scorer", "ibleu", suite, context) if reason else scorer)
    return tuple(found)


def _announce(request: TrainingRequest, ranks: Ranks) -> None:
    """Say on stderr what is about to be done."""
    facts = ", ".join(f"{name} {value}" for name, value in request.data.facts.items())
    processes = f"{ranks.process.size} process{'es' * (ranks.process.size > 1)}"
    machine = f"{request.runtime.device} {request.runtime.dtype}"
    typer.echo(f"training  {request.kind.name} from {request.base.reference}", err=True)
    typer.echo(f"data      {facts}", err=True)
    updates = describe_updates(request.config, ranks, "rows")
    typer.echo(f"{updates}, {processes}, {machine}", err=True)


def _report_outcome(request: TrainingRequest, outcome: TrainingOutcome) -> None:
    """Say how it ended, which rows were left out, and where the result is."""
    from parabench.training.export import result_folders

    print_outcome(request.kind.name, outcome)
    for reason, count in outcome.skipped.items():
        if count:
            typer.echo(f"left out  {count} rows {reason}")
    for place in result_folders(request.folder, request.data.tasks):
        typer.echo(f"{place}")
