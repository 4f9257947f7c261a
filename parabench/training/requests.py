"""From what a person asks to a job: every setting resolved, every file found, before a model is
loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

from parabench.contracts import Decoding, Runtime, Scorer, UserError
from parabench.data import sketches
from parabench.data.filters import TextPair
from parabench.models.checkpoints import locate
from parabench.models.local import Checkpoint
from parabench.prompts import encoders, snapshots
from parabench.prompts.templates import Template
from parabench.training import export, validation
from parabench.training.batches import Batching
from parabench.training.config import TrainingConfig
from parabench.training.encoding import TaskPair
from parabench.training.loop import StepLog
from parabench.training.ranks import SINGLE_PROCESS, Ranks
from parabench.training.recipes import StepCallback
from parabench.training.resumable import TrainingJob, TrainingOutcome, train_resumable
from parabench.training.setup import TrainingKind, TrainingSetup, load_setup

ValidationCallback = Callable[[int, Mapping[str, Any]], object]
_LOGGED_SAMPLES = 3
_RECORDED_PACKAGES = ("torch", "transformers", "tokenizers", "parabench")


@dataclass(frozen=True)
class TrainingData:
    """Pairs to learn from and pairs to be judged by; ``facts`` says which they are, for the
    checkpoint.

    With ``tasks`` each pair stands behind the name of one of them. ``cleared`` are the keys of the
    test sentences that were taken out.
    """

    pairs: Iterable[TextPair] | Iterable[TaskPair]
    dev: Sequence[Any]
    facts: Mapping[str, Any]
    tasks: tuple[Template, ...] = ()
    cleared: frozenset[int] = frozenset()


@dataclass(frozen=True)
class TrainingRequest:
    """One training as asked for; ``base`` is the model it starts from, ``initialiser`` None the
    kind's own.

    At each validation the first ``samples`` held-out sentences are paraphrased, and scored by the
    ``judges``. Every so many ``snapshots`` updates a copy of the prompt is kept, to be looked at
    (0: none).
    """

    kind: TrainingKind
    base: Checkpoint
    data: TrainingData
    config: TrainingConfig
    runtime: Runtime
    folder: Path
    initialiser: str | None = None
    decoding: Decoding = field(default_factory=Decoding)
    samples: int = 0
    judges: tuple[Scorer, ...] = ()
    recompute: bool = False
    snapshots: int = 0


def training_identity(request: TrainingRequest, ranks: Ranks) -> dict[str, Any]:
    """All that two runs must share to be one training."""
    return {
        "name": request.kind.name,
        "base": {"name": Path(request.base.path).name, "digest": request.base.digest},
        "data": dict(request.data.facts),
        "config": asdict(request.config),
        "initialiser": request.initialiser,
        "runtime": {"device": request.runtime.device.split(":")[0], "dtype": request.runtime.dtype},
        "processes": ranks.count,
    }


def run_training(
    request: TrainingRequest,
    watch: StepCallback = id,
    ranks: Ranks = SINGLE_PROCESS,
    report: ValidationCallback = lambda step, measured: None,
) -> TrainingOutcome:
    """Train, from the beginning or from where the folder stands, and store the result in the
    folder.

    ``report`` is told every validation's step and what it measured, and may end the training by
    raising.
    """
    if request.snapshots and not request.kind.length:
        raise UserError(
            f"keep snapshots of {request.kind.name!r}",
            "it has no prompt",
            mend="leave --snapshots out",
        )
    setup = load_request(request)

    def watched(log: StepLog) -> None:
        if request.snapshots and ranks.first and log.step % request.snapshots == 0:
            snapshots.save_snapshot(
                request.folder, log.step, encoders.evaluate_prompt(setup.objective.module)
            )
        watch(log)

    def validate(step: int) -> dict[str, Any]:
        measured = measure_setup(request, setup, ranks)
        report(step, measured)
        return measured

    judged = validate if request.data.dev else None
    job = TrainingJob(
        setup.objective,
        request.data.pairs,
        request.config,
        training_identity(request, ranks),
        judged,
    )
    facts = {
        "seed": request.config.seed,
        "data": "; ".join(f"{name}: {value}" for name, value in request.data.facts.items()),
        "versions": {name: version(name) for name in _RECORDED_PACKAGES},
    }
    outcome = train_resumable(
        job,
        request.folder,
        partial(export.export_result, setup, request.folder, facts),
        watched,
        ranks,
    )
    places = export.result_folders(request.folder, request.data.tasks) if ranks.first else ()
    for place in (one for one in places if not (one / sketches.SKETCH_FILE).exists()):
        sketches.write_sketch(
            place, _met(request, ranks), request.data.cleared, request.config.seed
        )
    return outcome


def _met(request: TrainingRequest, ranks: Ranks) -> Iterator[TextPair]:
    """The pairs that were trained on, to the end of the last window of them."""
    config, batching = request.config, request.config.batching
    rows = config.steps * config.accumulation * batching.rows * ranks.count
    for item in islice(request.data.pairs, -(-rows // batching.window) * batching.window):
        yield item[1] if request.data.tasks else item  # type: ignore[misc]


def load_request(request: TrainingRequest) -> TrainingSetup:
    """The setup at its start."""
    asked = request
    return load_setup(
        asked.kind, asked.base, asked.runtime, asked.initialiser, asked.recompute, asked.data.tasks
    )


def measure_setup(
    request: TrainingRequest, setup: TrainingSetup, ranks: Ranks = SINGLE_PROCESS
) -> dict[str, Any]:
    """The held-out loss; and, where asked for, scores of generated texts and a few of the texts
    themselves.

    Of several tasks the loss is the mean of theirs, and what each measures follows behind its name.
    """
    if not setup.several:
        dev = request.data.dev
        return _measure(request, setup, setup.templates[0], dev, dev, ranks)
    measured: dict[str, Any] = {"loss": 0.0}
    for template in setup.templates:
        task = template.taskname
        mine = [item for item in request.data.dev if item[0] == task]
        found = _measure(request, setup, template, mine, [pair for _, pair in mine], ranks)
        measured |= {f"{task} {name}": value for name, value in found.items()}
        measured["loss"] += found["loss"] / len(setup.templates)
    return measured


def _measure(
    request: TrainingRequest,
    setup: TrainingSetup,
    template: Template,
    items: Sequence[Any],
    pairs: Sequence[TextPair],
    ranks: Ranks,
) -> dict[str, Any]:
    """One task's; ``items`` are the pairs as the objective encodes them."""
    measured: dict[str, Any] = {"loss": validation.mean_loss(setup.objective, items, ranks=ranks)}
    if request.samples:
        examples = validation.validation_examples(pairs, request.samples)
        sources = [example.source for example in examples]
        texts = validation.generate_texts(
            setup, template, sources, request.decoding, request.runtime
        )
        for judge in request.judges:
            measured |= validation.score_texts(judge, examples, texts)
        measured["samples"] = list(
            zip(sources[:_LOGGED_SAMPLES], texts[:_LOGGED_SAMPLES], strict=True)
        )
    return measured


TRAINING_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "origin": {
        "steps": 30 * 8000,
        "batch_size": 32,
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "schedule": "plateau",
        "warmup": 0,
        "clip": 0.0,
        "validate_every": 8000,
    }
}
"""Settings of published runs; ``origin`` is Paraphrase-OPT's ``config-defaults.yaml``, its epochs
8000 steps long.
"""


def make_config(kind: TrainingKind, preset: str | None = None, **given: Any) -> TrainingConfig:
    """The kind's defaults, a preset's settings over them, and what was given over those (None: not
    given).
    """
    if preset is not None and preset not in TRAINING_PRESETS:
        raise UserError(f"use the preset {preset!r}", "no such preset", list(TRAINING_PRESETS))
    chosen = {
        **TRAINING_PRESETS.get(preset or "", {}),
        **{name: value for name, value in given.items() if value is not None},
    }
    rows = chosen.pop("batch_size", None)
    config = replace(kind.defaults, **chosen)
    if "warmup" not in chosen:
        config = replace(config, warmup=min(config.warmup, config.steps // 20))
    batching = Batching(
        rows=config.batching.rows if rows is None else rows,
        seed=config.seed,
        longest=config.batching.longest,
    )
    for name, value in (
        ("steps", config.steps),
        ("batch size", batching.rows),
        ("accumulation", config.accumulation),
    ):
        if value < 1:
            raise UserError(f"train with {name} {value}", mend="a number of 1 or more")
    if not 0 < config.learning_rate < float("inf"):
        raise UserError(
            f"train with a learning rate of {config.learning_rate}", mend="--learning-rate 0.001"
        )
    return replace(config, batching=batching)


def base_checkpoint(kind: TrainingKind, models: Mapping[str, str], asked: str | None) -> Checkpoint:
    """The model a kind starts from: the one asked for, or the suite's of its architecture."""
    reference = asked or models.get(kind.base, "")
    if not reference:
        raise UserError(
            f"train {kind.name!r}", f"the suite names no {kind.base} model", mend="--base MODEL"
        )
    return locate(reference)
