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
from parabench.training.batches import RowEncoder
from parabench.training.loop import LossFunction
from parabench.training.losses import TrainingRow, causal_loss, prompt_loss, seq2seq_loss


@dataclass(frozen=True)
class Objective:
    """One thing to train; ``module`` holds what learns, ``room`` is the longest row the model
    reads, in tokens.
    """

    loss: LossFunction
    module: nn.Module
    encode: RowEncoder[Any]
    room: int


def document_objective(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Objective:
    """All weights, on whole documents."""
    return Objective(
        partial(causal_loss, _trainable(model)),
        model,
        encoding.document_encoder(tokenizer),
        _positions(model),
    )


def causal_objective(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, template: Template
) -> Objective:
    """All weights of a decoder-only model, on pairs in a template."""
    encode = encoding.causal_encoder(tokenizer, template)
    return Objective(partial(causal_loss, _trainable(model)), model, encode, _positions(model))


def seq2seq_objective(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Objective:
    """All weights of an encoder-decoder, on pairs."""
    encode = encoding.seq2seq_encoder(tokenizer)
    return Objective(partial(seq2seq_loss, _trainable(model)), model, encode, _positions(model))


def prompt_objective(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt: nn.Module,
    template: Template,
) -> Objective:
    """A soft prompt, or the encoder that writes one, in front of a model that is frozen and without
    dropout.
    """
    lead = encoding.leading_virtual_tokens(template)
    model.requires_grad_(False).eval()

    def loss(rows: Sequence[TrainingRow]) -> Tensor:
        return prompt_loss(model, prompt(), rows, lead)

    return Objective(
        loss, prompt.train(), encoding.causal_encoder(tokenizer, template), _positions(model) - lead
    )


def task_objective(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: nn.Module,
    templates: Sequence[Template],
) -> Objective:
    """The prompts of several tasks, one under the other, in front of one frozen model; batches mix
    the tasks.
    """
    model.requires_grad_(False).eval()

    def loss(rows: Sequence[TrainingRow]) -> Tensor:
        return prompt_loss(model, prompts(), rows, lead=0)

    return Objective(
        loss, prompts.train(), encoding.task_encoder(tokenizer, templates), _positions(model)
    )


def _positions(model: PreTrainedModel) -> int:
    return int(model.config.max_position_embeddings)


def _trainable(model: PreTrainedModel) -> PreTrainedModel:
    return model.requires_grad_(True).train()
