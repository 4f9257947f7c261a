"""The trainers, each a loss, its parameters and its rows handed to the one engine.

Each trains in place and calls ``watch`` after every update. ``documents`` and ``pairs`` may be read several times (a
list, or an object whose ``__iter__`` starts anew); a plain iterator gives one pass. Rows that do not fit into
``config.batching.longest`` or the model's positions are left out and counted in the Progress given back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from parabench.prompts.initialisers import PromptInit
from parabench.prompts.soft import SoftPrompt, vocabulary_rows
from parabench.prompts.templates import Template, paraphrase
from parabench.training import encoding
from parabench.training.batches import Encode, Text, batches
from parabench.training.config import TrainingConfig
from parabench.training.encoding import Pair
from parabench.training.loop import Loss, Progress, StepLog, begin, train
from parabench.training.steps import Row, causal_loss, prompt_loss, seq2seq_loss

Watch = Callable[[StepLog], object]


def pretrain(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    documents: Iterable[str],
    config: TrainingConfig,
    watch: Watch = id,
) -> Progress:
    """Train every weight on whole documents, from wherever the weights stand."""
    encode = encoding.documents(tokenizer)
    return _run(partial(causal_loss, _trainable(model)), model, documents, encode, _fitted(config, model, 0), watch)


def finetune_causal(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Iterable[Pair],
    config: TrainingConfig,
    template: Template | None = None,
    watch: Watch = id,
) -> Progress:
    """Train every weight of a decoder-only model to say the target after the template with the source in it."""
    encode = encoding.causal_pairs(tokenizer, template or paraphrase(0))
    return _run(partial(causal_loss, _trainable(model)), model, pairs, encode, _fitted(config, model, 0), watch)


def finetune_seq2seq(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Iterable[Pair],
    config: TrainingConfig,
    watch: Watch = id,
) -> Progress:
    """Train every weight of a BART to say the target when its encoder reads the source."""
    encode = encoding.seq2seq_pairs(tokenizer)
    return _run(partial(seq2seq_loss, _trainable(model)), model, pairs, encode, _fitted(config, model, 0), watch)


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
    """A soft prompt of ``length`` rows trained in front of the model, which is frozen and without dropout."""
    template = template or paraphrase(length)
    prompt = SoftPrompt(initialiser(vocabulary_rows(model), length)).to(model.device)
    encode, lead = encoding.causal_pairs(tokenizer, template), encoding.leading(template)
    model.requires_grad_(False).eval()

    def loss(rows: Sequence[Row]) -> Tensor:
        return prompt_loss(model, prompt(), rows, lead)

    _run(loss, prompt, pairs, encode, _fitted(config, model, lead), watch)
    return prompt


def _trainable(model: PreTrainedModel) -> PreTrainedModel:
    return model.requires_grad_(True).train()


def _fitted(config: TrainingConfig, model: PreTrainedModel, virtual: int) -> TrainingConfig:
    """The settings with rows kept inside the model's positions, which fail beyond as an index error."""
    room = model.config.max_position_embeddings - virtual
    return replace(config, batching=replace(config.batching, longest=min(config.batching.longest, room)))


def _run(
    loss: Loss, trained: nn.Module, items: Iterable[Text], encode: Encode[Text], config: TrainingConfig, watch: Watch
) -> Progress:
    progress = begin(trained.parameters(), config)
    for log in train(loss, progress, batches(items, encode, config.batching, skipped=progress.skipped), config):
        watch(log)
    return progress
