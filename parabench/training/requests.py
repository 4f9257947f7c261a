"""Training requests: one training as asked for, and what carries it out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
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
from parabench.training.config import TrainingConfig
from parabench.training.encoding import TaskPair
from parabench.training.loop import StepLog
from parabench.training.ranks import NO_OTHERS, Ranks
from parabench.training.recipes import StepCallback
from parabench.training.resumable import (
    StopRequest,
    TrainingJob,
    TrainingOutcome,
    train_resumable,
)
from parabench.training.setup import TrainingKind, TrainingSetup, load_setup

ValidationCallback = Callable[[int, Mapping[str, Any]], object]
_LOGGED_TEXTS = 3
_RECORDED_PACKAGES = ("torch", "transformers", "tokenizers", "parabench")


@dataclass(frozen=True)
class TrainingData:
    """Pairs to learn from, and held-out pairs to validate on.

    ``facts`` says which data they are, for the checkpoint. With ``tasks`` each item of ``pairs``
    and ``dev`` is a task's name and a pair. ``excluded`` are the keys of the test sentences that
    were taken out.
    """

    pairs: Iterable[TextPair] | Iterable[TaskPair]
    dev: Sequence[Any]
    facts: Mapping[str, Any]
    tasks: tuple[Template, ...] = ()
    excluded: frozenset[int] = frozenset()


@dataclass(frozen=True)
class TrainingRequest:
    """One training as asked for.

    ``base`` is the model it starts from; ``initialiser`` None is the kind's default. At each
    validation the first ``validation_texts`` held-out sentences are paraphrased with ``decoding``
    and scored by the ``scorers``. Every so many updates as ``snapshots`` says (0: never) a copy of
    the prompt is kept, for its map. ``template`` is written around a source, None for the usual
    one.
    """

    kind: TrainingKind
    base: Checkpoint
    data: TrainingData
    config: TrainingConfig
    runtime: Runtime
    folder: Path
    initialiser: str | None = None
    decoding: Decoding = field(default_factory=Decoding)
    validation_texts: int = 0
    scorers: tuple[Scorer, ...] = ()
    gradient_checkpointing: bool = False
    snapshots: int = 0
    template: Template | None = None


def training_identity(request: TrainingRequest, ranks: Ranks) -> dict[str, Any]:
    """All that two runs must share to be one training, as JSON values."""
    device = request.runtime.device.split(":")[0]
    # Only where there is one, so that folders of earlier versions are those of the same training.
    template = {"template": asdict(request.template)} if request.template else {}
    return {
        **template,
        "name": request.kind.name,
        "base": {"name": Path(request.base.path).name, "digest": request.base.digest},
        "data": dict(request.data.facts),
        "config": _config_identity(request.config),
        "initialiser": request.initialiser,
        "runtime": {"device": device, "dtype": request.runtime.dtype},
        "processes": ranks.process.size,
    }


def _config_identity(config: TrainingConfig) -> dict[str, Any]:
    """The settings, without those of later versions where they are at their defaults.

    So folders of earlier versions are those of the same training.
    """
    settings = asdict(config)
    for name in ("minutes", "plateau_every"):
        if not settings[name]:
            del settings[name]
    return settings


def run_training(
    request: TrainingRequest,
    watch: StepCallback = id,
    ranks: Ranks = NO_OTHERS,
    report: ValidationCallback = lambda step, measured: None,
    stop: StopRequest | None = None,
) -> TrainingOutcome:
    """Train, from the start or from the folder's checkpoint, and store the result in the folder.

    ``watch`` is called after every update of this run; ``report`` with every validation's step and
    what it measured, from step 0 on, and it may end the training by raising. ``ranks`` are the
    processes that share the work. Raises UserError where settings do not go together, the folder is
    of another training, or the training diverges; TrainingStopped where ``stop`` asked for it.
    """
    if request.snapshots and not request.kind.length:
        raise UserError(
            f"keep snapshots of {request.kind.name!r}",
            "it has no prompt",
            mend="leave --snapshots out",
        )
    setup = load_request(request)

    # Weights are equal on all ranks, so that the first alone writes.
    def watch_and_snapshot(log: StepLog) -> None:
        if request.snapshots and ranks.process.is_first and log.step % request.snapshots == 0:
            prompt = encoders.evaluate_prompt(setup.objective.module)
            snapshots.save_snapshot(request.folder, log.step, prompt)
        watch(log)

    def validate(step: int) -> dict[str, Any]:
        measured = measure_setup(request, setup, ranks)
        report(step, measured)
        return measured

    job = TrainingJob(
        setup.objective,
        request.data.pairs,
        request.config,
        training_identity(request, ranks),
        validate if request.data.dev else None,
        stop or StopRequest(),
    )
    export_it = partial(export.export_result, setup, request.folder, adapter_facts(request))
    outcome = train_resumable(job, request.folder, export_it, watch_and_snapshot, ranks)
    if ranks.process.is_first:
        _record_training_data(request, outcome.steps, ranks)
    return outcome


def adapter_facts(request: TrainingRequest) -> dict[str, Any]:
    """Seed, data and package versions, as an adapter's facts have them."""
    facts = [f"{name}: {value}" for name, value in request.data.facts.items()]
    return {
        "seed": request.config.seed,
        "data": "; ".join(facts),
        "versions": {name: version(name) for name in _RECORDED_PACKAGES},
    }


def _record_training_data(request: TrainingRequest, steps: int, ranks: Ranks) -> None:
    """Leave beside each result a sketch of what it was trained on, for the contamination gate."""
    data = request.data
    for place in export.result_folders(request.folder, data.tasks):
        # Written once: for it the pairs are read again, which takes as long as in the training.
        if not (place / sketches.SKETCH_FILE).exists():
            pairs = _pairs_seen(request, steps, ranks)
            sketches.write_sketch(place, pairs, data.excluded, request.config.seed)


def _pairs_seen(request: TrainingRequest, steps: int, ranks: Ranks) -> Iterator[TextPair]:
    """The pairs that ``steps`` updates read, to the end of the last window of them."""
    config = request.config
    window = config.batching.window
    rows = steps * config.accumulation * config.batching.rows * ranks.process.size
    windows = -(-rows // window)  # rounded up: a window is shuffled as a whole
    for item in islice(request.data.pairs, windows * window):
        yield item[1] if request.data.tasks else item  # type: ignore[misc]


def load_request(request: TrainingRequest) -> TrainingSetup:
    """The loaded setup of a request, untrained; raises UserError as ``load_setup`` does."""
    return load_setup(
        request.kind,
        request.base,
        request.runtime,
        request.initialiser,
        request.gradient_checkpointing,
        request.data.tasks,
        request.template,
    )


def measure_setup(
    request: TrainingRequest, setup: TrainingSetup, ranks: Ranks = NO_OTHERS
) -> dict[str, Any]:
    """Validate ``setup`` as it is, on the held-out pairs of ``request``.

    Gives the held-out ``"loss"``; where texts are asked for, the scores of the generated texts by
    column, and a few of the texts as ``"samples"``. Of several tasks the loss is the mean of
    theirs, and what each measures follows under its name. ``ranks`` share the pairs.
    """
    if not setup.named_tasks:
        dev = request.data.dev
        return _measure_task(request, setup, setup.templates[0], dev, dev, ranks)
    measured: dict[str, Any] = {"loss": 0.0}
    for template in setup.templates:
        task = template.taskname
        items = [(name, pair) for name, pair in request.data.dev if name == task]
        pairs = [pair for _, pair in items]
        found = _measure_task(request, setup, template, items, pairs, ranks)
        for name, value in found.items():
            measured[f"{task} {name}"] = value
        # Each task counts the same, however many pairs of it are held out.
        measured["loss"] += found["loss"] / len(setup.templates)
    return measured


def _measure_task(
    request: TrainingRequest,
    setup: TrainingSetup,
    template: Template,
    items: Sequence[Any],
    pairs: Sequence[TextPair],
    ranks: Ranks,
) -> dict[str, Any]:
    """Validate one task; ``items`` are its ``pairs`` as the objective encodes them."""
    loss = validation.mean_loss(setup.objective, items, ranks=ranks)
    measured: dict[str, Any] = {"loss": loss}
    if not request.validation_texts:
        return measured
    # The same sentences at each validation, so that the scores can be compared.
    examples = validation.validation_examples(pairs, request.validation_texts)
    sources = [example.source for example in examples]
    texts = validation.generate_texts(setup, template, sources, request.decoding, request.runtime)
    for scorer in request.scorers:
        measured |= validation.score_texts(scorer, examples, texts)
    shown = zip(sources[:_LOGGED_TEXTS], texts[:_LOGGED_TEXTS], strict=True)
    measured["samples"] = list(shown)
    return measured


def base_checkpoint(kind: TrainingKind, models: Mapping[str, str], asked: str | None) -> Checkpoint:
    """The model that a ``kind`` starts from: the one ``asked`` for, or the suite's of its type.

    ``models`` are the suite's, by "causal" and "seq2seq". Raises UserError where there is none.
    """
    reference = asked or models.get(kind.base, "")
    if not reference:
        raise UserError(
            f"train {kind.name!r}", f"the suite names no {kind.base} model", mend="--base MODEL"
        )
    return locate(reference)
