"""What can be trained: for each kind its loss, the parameters that learn, and how texts become its
rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from parabench.prompts.templates import Template
from parabench.training import encoding
from parabench.training.batches import Encode
from parabench.training.loop import Loss
from parabench.training.steps import Row, causal_loss, prompt_loss, seq2seq_loss


@dataclass(frozen=True)
class Trainee:
    """One thing to train; ``module`` holds what learns, ``room`` is the longest row the model
    reads, in tokens.
    """

    loss: Loss
    module: nn.Module
    encode: Encode[Any]
    room: int


def on_documents(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Trainee:
    """All weights, on whole documents."""
    return Trainee(
        partial(causal_loss, _trainable(model)),
        model,
        encoding.documents(tokenizer),
        _positions(model),
    )


def causal(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, template: Template
) -> Trainee:
    """All weights of a decoder-only model, on pairs in a template."""
    encode = encoding.causal_pairs(tokenizer, template)
    return Trainee(partial(causal_loss, _trainable(model)), model, encode, _positions(model))


def seq2seq(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Trainee:
    """All weights of an encoder-decoder, on pairs."""
    encode = encoding.seq2seq_pairs(tokenizer)
    return Trainee(partial(seq2seq_loss, _trainable(model)), model, encode, _positions(model))


def prompted(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt: nn.Module,
    template: Template,
) -> Trainee:
    """A soft prompt, or the encoder that writes one, in front of a model that is frozen and without
    dropout.
    """
    lead = encoding.leading(template)
    model.requires_grad_(False).eval()

    def loss(rows: Sequence[Row]) -> Tensor:
        return prompt_loss(model, prompt(), rows, lead)

    return Trainee(
        loss, prompt.train(), encoding.causal_pairs(tokenizer, template), _positions(model) - lead
    )


def on_tasks(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: nn.Module,
    templates: Sequence[Template],
) -> Trainee:
    """The prompts of several tasks, one under the other, in front of one frozen model; batches mix
    the tasks.
    """
    model.requires_grad_(False).eval()

    def loss(rows: Sequence[Row]) -> Tensor:
        return prompt_loss(model, prompts(), rows, lead=0)

    return Trainee(
        loss, prompts.train(), encoding.task_pairs(tokenizer, templates), _positions(model)
    )


def _positions(model: PreTrainedModel) -> int:
    return int(model.config.max_position_embeddings)


def _trainable(model: PreTrainedModel) -> PreTrainedModel:
    return model.requires_grad_(True).train()
