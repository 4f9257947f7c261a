"""Tasks trained from records into a table that grows: prompt tuning, or p-tuning with one encoder.

After NeMo v1.10 ``megatron_gpt_prompt_learning_model.py``: new tasks are tuned together in mixed
batches, those of the table stay as they are, and what is stored of p-tuning is its output. A
training is stored in ``TABLE/training/TASKS`` and resumes where it was stopped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from parabench.contracts import Runtime, UserError
from parabench.models.checkpoints import load_config
from parabench.models.loading import load_causal
from parabench.models.local import Checkpoint
from parabench.prompts import encoders, initialisers
from parabench.prompts.facts import BaseIdentity
from parabench.prompts.records import TaskRecord, check_every_task_has_records
from parabench.prompts.soft import SoftPrompt, vocabulary_rows
from parabench.prompts.table import (
    TaskTable,
    add_task,
    plan_new_tasks,
    split_prompts,
)
from parabench.prompts.table_files import has_table, load_table, save_table, table_lock
from parabench.prompts.templates import Template
from parabench.store.records import slug
from parabench.training.config import TrainingConfig
from parabench.training.objectives import Objective
from parabench.training.ranks import NO_OTHERS, Ranks
from parabench.training.recipes import StepCallback
from parabench.training.requests import ValidationCallback
from parabench.training.resumable import (
    StopRequest,
    TrainingJob,
    TrainingOutcome,
    finished_outcome,
    train_resumable,
)
from parabench.training.task_rows import TaskRow, check_some_fit, render_rows, rows_objective
from parabench.training.validation import mean_loss

TuningMethod = Literal["prompt", "ptuning"]
RECORDED_PACKAGES = ("torch", "transformers", "tokenizers", "parabench")


@dataclass(frozen=True)
class TaskTraining:
    """One training of new tasks as asked for.

    ``table`` is the folder of the table that grows; ``templates`` are those of the new tasks, and
    ``existing`` names tasks that the table must have and keeps. ``encoder`` is p-tuning's and
    ``initialiser`` prompt tuning's, such as ``sampled:1000``.
    """

    table: Path
    base: Checkpoint
    templates: tuple[Template, ...]
    records: Sequence[TaskRecord]
    dev: Sequence[TaskRecord]
    method: TuningMethod
    config: TrainingConfig
    runtime: Runtime
    existing: tuple[str, ...] = ()
    encoder: str = "lstm"
    initialiser: str = "sampled:1000"

    @property
    def folder(self) -> Path:
        """Where the training's own files lie."""
        names = "+".join(one.taskname for one in self.templates)
        return self.table / "training" / slug(names)


class TaskTrainingResult(NamedTuple):
    """How a training of tasks ended; ``too_long`` are the ids of records that were left out."""

    outcome: TrainingOutcome
    too_long: tuple[str, ...]


def check_task_training(training: TaskTraining) -> None:
    """Refuse, with UserError, what cannot be trained, before any model is loaded.

    Beside the rules of ``plan_new_tasks``: a method or an initialiser that does not go with the
    other settings, p-tuned tasks of unequal numbers of virtual tokens (they share an encoder:
    NeMo's rule), tasks without virtual tokens, and tasks without a record to learn from.
    """
    if training.method not in ("prompt", "ptuning"):
        raise UserError(f"train by the method {training.method!r}", "", ("prompt", "ptuning"))
    lengths = {one.taskname: one.total_virtual_tokens for one in training.templates}
    for name, length in lengths.items():
        if not length:
            found = "it has no virtual tokens, so nothing could learn"
            raise UserError(f"train the task {name!r}", found, mend="set total_virtual_tokens")
    different = set(lengths.values())
    if training.method == "ptuning" and len(different) > 1:
        counts = [f"{name} has {length} virtual tokens" for name, length in lengths.items()]
        found = ", ".join(counts)
        mend = "give them equally many, train them one after the other, or use --method prompt"
        raise UserError("p-tune tasks together, with one encoder", found, mend=mend)
    check_every_task_has_records(training.records, training.templates, "training records")
    if training.dev:
        check_every_task_has_records(training.dev, training.templates, "held-out records")


def train_tasks(
    training: TaskTraining,
    watch: StepCallback = id,
    ranks: Ranks = NO_OTHERS,
    report: ValidationCallback = lambda step, measured: None,
    stop: StopRequest | None = None,
) -> TaskTrainingResult:
    """Train new tasks and add their prompts to the table; every other prompt keeps its bits.

    A training that is done is not touched; one that was stopped goes on. ``watch`` is called after
    every update and ``report`` after every validation; ``ranks`` are the processes that share the
    work; ``stop`` ends it after an update. Raises UserError where ``check_task_training`` does, for
    a table of another base model, and where no record of a task fits the model; TrainingStopped
    where it was asked to stop.
    """
    check_task_training(training)
    _check_table(training)
    longest = _longest_row(training)
    model, tokenizer = load_causal(training.base, training.runtime)
    prompts = build_prompts(training, model, tokenizer)
    prompts.to(model.device)
    rows = render_rows(training.templates, training.records, tokenizer, longest)
    dev = render_rows(training.templates, training.dev, tokenizer, longest)
    for template in training.templates:
        check_some_fit(template, rows, "training records", longest)
        if training.dev:
            check_some_fit(template, dev, "held-out records", longest)
    objective = rows_objective(model, prompts)
    validate = None
    if dev.fitting:
        validate = partial(_validate, training, objective, dev.fitting, ranks, report)
    job = TrainingJob(
        objective,
        rows.fitting,
        training.config,
        training_identity_of_tasks(training, ranks),
        validate,
        stop or StopRequest(),
    )
    store = partial(store_prompts, training, prompts)
    outcome = train_resumable(job, training.folder, store, watch, ranks)
    return TaskTrainingResult(outcome, (*rows.too_long, *dev.too_long))


def _check_table(training: TaskTraining) -> None:
    """Refuse, with UserError, a table that the new tasks cannot be added to."""
    table = None
    if has_table(training.table):
        table = load_table(training.table, training.base)
    names = [one.taskname for one in training.templates]
    if not finished_outcome(training.folder):
        plan_new_tasks(training.templates, names, training.existing, table)
        return
    present = table.prompts if table is not None else {}
    for name in names:
        if name not in present:
            asked = f"train {', '.join(names)} in {training.table}"
            found = f"this training is done, and the table has lost the task {name!r}"
            mend = f"move {training.folder} away to train it again"
            raise UserError(asked, found, mend=mend)


def _longest_row(training: TaskTraining) -> int:
    """How many tokens a row may have, its virtual ones included.

    Raises UserError for a task whose virtual tokens leave no room for text.
    """
    config: Any = load_config(training.base)
    longest = min(int(config.max_position_embeddings), training.config.batching.longest)
    for template in training.templates:
        if template.total_virtual_tokens >= longest:
            asked = f"train the task {template.taskname!r}"
            found = f"{template.total_virtual_tokens} virtual tokens; a row has at most {longest}"
            raise UserError(asked, found, mend="set a smaller total_virtual_tokens")
    return longest


def build_prompts(
    training: TaskTraining, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> nn.Module:
    """What learns: a matrix with the prompts under each other, or the encoder that writes it.

    The encoder is conditioned on the words of each task's name, as NeMo's is. Raises UserError for
    an unknown initialiser or encoder.
    """
    vocabulary = vocabulary_rows(model).float().cpu()
    lengths = [one.total_virtual_tokens for one in training.templates]
    seed = training.config.seed
    if training.method == "prompt":
        start = initialisers.parse_initialiser(training.initialiser, tokenizer, seed)
        return SoftPrompt(torch.cat([start(vocabulary, length) for length in lengths]))
    names = [one.taskname for one in training.templates]
    conditions = encoders.name_conditions(names, tokenizer, vocabulary)
    width = vocabulary.shape[1]
    # The encoder draws its weights from torch's global generator, which is put back afterwards.
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = encoders.encoder_config(training.encoder, width)
        return encoders.PromptEncoder(config, width, lengths, conditions)


def store_prompts(training: TaskTraining, prompts: nn.Module, outcome: TrainingOutcome) -> None:
    """Add what was learned to the table, in one step for its readers."""
    stacked = encoders.evaluate_prompt(prompts).cpu()
    learned = split_prompts(stacked, training.templates)
    base = BaseIdentity.of(training.base)
    place = Path(base.name)
    if place.is_dir():
        # A folder's path says nothing to another machine; its name and digest do.
        base = replace(base, name=place.name)
    with table_lock(training.table):
        table = TaskTable(base, (), {})
        if has_table(training.table):
            table = load_table(training.table, training.base)
        for template in training.templates:
            prompt = learned[template.taskname]
            known = table.prompts.get(template.taskname)
            # Killed between the table and the note that all is done, it comes here again.
            if known is None or not torch.equal(known, prompt):
                table = add_task(table, template, prompt)
        versions = {package: version(package) for package in RECORDED_PACKAGES}
        save_table(training.table, table, versions=versions)


def _template_identity(template: Template) -> dict[str, Any]:
    """The settings of a template, without those of chats where it is none.

    So folders of versions before chats are those of the same training.
    """
    settings = asdict(template)
    for name in ("chat", "system"):
        if not settings[name]:
            del settings[name]
    return settings


def training_identity_of_tasks(training: TaskTraining, ranks: Ranks) -> dict[str, Any]:
    """All that two runs must share to be one training of tasks."""
    return {
        "method": training.method,
        "starts from": training.encoder if training.method == "ptuning" else training.initialiser,
        "base": {"name": Path(training.base.path).name, "digest": training.base.digest},
        "tasks": [_template_identity(one) for one in training.templates],
        "records": records_digest(training.records),
        "dev": records_digest(training.dev),
        "config": asdict(training.config),
        "runtime": {
            "device": training.runtime.device.split(":")[0],
            "dtype": training.runtime.dtype,
        },
        "processes": ranks.process.size,
    }


def records_digest(records: Sequence[TaskRecord]) -> str:
    """The SHA-256 of what the records say, in their order; their file names do not count."""
    content = [[record.taskname, dict(record.fields)] for record in records]
    canonical = json.dumps(content, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _validate(
    training: TaskTraining,
    objective: Objective,
    dev: Sequence[TaskRow],
    ranks: Ranks,
    report: ValidationCallback,
    step: int,
) -> Mapping[str, Any]:
    """The loss of each task's held-out records, and as ``loss`` the mean over the tasks."""
    measured: dict[str, Any] = {"loss": 0.0}
    for template in training.templates:
        mine = [item for item in dev if item.taskname == template.taskname]
        loss = mean_loss(objective, mine, ranks=ranks)
        measured[f"{template.taskname} loss"] = loss
        measured["loss"] += loss / len(training.templates)
    report(step, measured)
    return measured
