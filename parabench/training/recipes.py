"""Trainings in memory: each an objective that is minimised by the training loop.

Each trains in place and calls ``watch`` after every update. ``documents`` and ``pairs`` may be read
several times (a list, or an object with an ``__iter__`` of its own); a plain iterator gives one
epoch. Rows that do not fit into ``config.batching.longest`` or the model's positions are left out
and counted in the TrainingProgress that is returned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from parabench.data.filters import TextPair
from parabench.prompts.templates import Template, paraphrase_template
from parabench.training import objectives
from parabench.training.batches import iterate_batches
from parabench.training.config import TrainingConfig
from parabench.training.loop import StepLog, TrainingProgress, run_updates, start_progress
from parabench.training.objectives import Objective

StepCallback = Callable[[StepLog], object]


def pretrain(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    documents: Iterable[str],
    config: TrainingConfig,
    watch: StepCallback = id,
) -> TrainingProgress:
    """Train all weights of ``model`` on ``documents``, from the weights that it has."""
    objective = objectives.document_objective(model, tokenizer)
    return train_in_memory(objective, documents, config, watch)


def finetune_causal(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Iterable[TextPair],
    config: TrainingConfig,
    template: Template | None = None,
    watch: StepCallback = id,
) -> TrainingProgress:
    """Train all weights of a decoder-only ``model`` on ``pairs`` of (source, target).

    The target follows ``template`` with the source in it; None is the source and a newline.
    """
    objective = objectives.causal_objective(model, tokenizer, template or paraphrase_template(0))
    return train_in_memory(objective, pairs, config, watch)


def finetune_seq2seq(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Iterable[TextPair],
    config: TrainingConfig,
    watch: StepCallback = id,
) -> TrainingProgress:
    """Train all weights of an encoder-decoder ``model`` on ``pairs`` of (source, target)."""
    objective = objectives.seq2seq_objective(model, tokenizer)
    return train_in_memory(objective, pairs, config, watch)


def train_in_memory(
    objective: Objective, items: Iterable[Any], config: TrainingConfig, watch: StepCallback = id
) -> TrainingProgress:
    """Train from the start to the end, without a folder."""
    progress = start_progress(objective.module.parameters(), config)
    config = limit_row_length(config, objective)
    supply = iterate_batches(items, objective.encode, config.batching, skipped=progress.skipped)
    for log in run_updates(objective.loss, progress, supply, config):
        watch(log)
    return progress


def limit_row_length(config: TrainingConfig, objective: Objective) -> TrainingConfig:
    """The settings with rows kept inside the model's positions.

    A longer row would end in an index error of the embedding of positions.
    """
    # A soft prompt in front takes positions too, which ``max_length`` leaves out.
    longest = min(config.batching.longest, objective.max_length)
    return replace(config, batching=replace(config.batching, longest=longest))
