"""The trainers, each a loss, its parameters and its rows handed to the one engine.

Each trains in place and calls ``watch`` after every update. ``documents`` and ``pairs`` may be read
several times (a list, or an object whose ``__iter__`` starts anew); a plain iterator gives one
pass. Rows that do not fit into ``config.batching.longest`` or the model's positions are left out
and counted in the Progress given back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from parabench.data.filters import TextPair
from parabench.prompts.initialisers import PromptInit
from parabench.prompts.soft import SoftPrompt, vocabulary_rows
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
    """Train every weight on whole documents, from wherever the weights stand."""
    return train_in_memory(
        objectives.document_objective(model, tokenizer), documents, config, watch
    )


def finetune_causal(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Iterable[TextPair],
    config: TrainingConfig,
    template: Template | None = None,
    watch: StepCallback = id,
) -> TrainingProgress:
    """Train every weight of a decoder-only model to say the target after the template with the
    source in it.
    """
    return train_in_memory(
        objectives.causal_objective(model, tokenizer, template or paraphrase_template(0)),
        pairs,
        config,
        watch,
    )


def finetune_seq2seq(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Iterable[TextPair],
    config: TrainingConfig,
    watch: StepCallback = id,
) -> TrainingProgress:
    """Train every weight of a BART to say the target when its encoder reads the source."""
    return train_in_memory(objectives.seq2seq_objective(model, tokenizer), pairs, config, watch)


def tune_prompt(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Iterable[TextPair],
    length: int,
    initialiser: PromptInit,
    config: TrainingConfig,
    template: Template | None = None,
    watch: StepCallback = id,
) -> SoftPrompt:
    """A soft prompt of ``length`` rows trained in front of the model, which is frozen and without
    dropout.
    """
    prompt = SoftPrompt(initialiser(vocabulary_rows(model), length)).to(model.device)
    train_in_memory(
        objectives.prompt_objective(
            model, tokenizer, prompt, template or paraphrase_template(length)
        ),
        pairs,
        config,
        watch,
    )
    return prompt


def train_in_memory(
    objective: Objective, items: Iterable[Any], config: TrainingConfig, watch: StepCallback = id
) -> TrainingProgress:
    """Train from the start to the end, in memory alone."""
    progress, config = (
        start_progress(objective.module.parameters(), config),
        limit_row_length(config, objective),
    )
    supply = iterate_batches(items, objective.encode, config.batching, skipped=progress.skipped)
    for log in run_updates(objective.loss, progress, supply, config):
        watch(log)
    return progress


def limit_row_length(config: TrainingConfig, objective: Objective) -> TrainingConfig:
    """The settings with rows kept inside the model's positions, which fail beyond as an index
    error.
    """
    longest = min(config.batching.longest, objective.room)
    return replace(config, batching=replace(config.batching, longest=longest))
