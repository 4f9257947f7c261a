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

from parabench.prompts.initialisers import PromptInit
from parabench.prompts.soft import SoftPrompt, vocabulary_rows
from parabench.prompts.templates import Template, paraphrase_template
from parabench.training import trainees
from parabench.training.batches import batches
from parabench.training.config import TrainingConfig
from parabench.training.encoding import Pair
from parabench.training.loop import Progress, StepLog, begin, train
from parabench.training.trainees import Trainee

Watch = Callable[[StepLog], object]


def pretrain(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    documents: Iterable[str],
    config: TrainingConfig,
    watch: Watch = id,
) -> Progress:
    """Train every weight on whole documents, from wherever the weights stand."""
    return run(trainees.on_documents(model, tokenizer), documents, config, watch)


def finetune_causal(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Iterable[Pair],
    config: TrainingConfig,
    template: Template | None = None,
    watch: Watch = id,
) -> Progress:
    """Train every weight of a decoder-only model to say the target after the template with the
    source in it.
    """
    return run(
        trainees.causal(model, tokenizer, template or paraphrase_template(0)), pairs, config, watch
    )


def finetune_seq2seq(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Iterable[Pair],
    config: TrainingConfig,
    watch: Watch = id,
) -> Progress:
    """Train every weight of a BART to say the target when its encoder reads the source."""
    return run(trainees.seq2seq(model, tokenizer), pairs, config, watch)


def tune_prompt(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Iterable[Pair],
    length: int,
    initialiser: PromptInit,
    config: TrainingConfig,
    template: Template | None = None,
    watch: Watch = id,
) -> SoftPrompt:
    """A soft prompt of ``length`` rows trained in front of the model, which is frozen and without
    dropout.
    """
    prompt = SoftPrompt(initialiser(vocabulary_rows(model), length)).to(model.device)
    run(
        trainees.prompted(model, tokenizer, prompt, template or paraphrase_template(length)),
        pairs,
        config,
        watch,
    )
    return prompt


def run(
    trainee: Trainee, items: Iterable[Any], config: TrainingConfig, watch: Watch = id
) -> Progress:
    """Train from the start to the end, in memory alone."""
    progress, config = begin(trainee.module.parameters(), config), fitted(config, trainee)
    supply = batches(items, trainee.encode, config.batching, skipped=progress.skipped)
    for log in train(trainee.loss, progress, supply, config):
        watch(log)
    return progress


def fitted(config: TrainingConfig, trainee: Trainee) -> TrainingConfig:
    """The settings with rows kept inside the model's positions, which fail beyond as an index
    error.
    """
    longest = min(config.batching.longest, trainee.room)
    return replace(config, batching=replace(config.batching, longest=longest))
