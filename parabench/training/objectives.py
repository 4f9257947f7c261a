"""Training objectives: for each kind its loss, the parameters that learn, and its row encoder."""

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
    """What one training minimises.

    ``loss`` gives a batch's mean loss per target token, ``module`` holds the parameters that learn,
    ``encode`` turns texts into rows, and ``max_length`` is the longest row that the model reads, in
    tokens.
    """

    loss: LossFunction
    module: nn.Module
    encode: RowEncoder[Any]
    max_length: int


def document_objective(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Objective:
    """All weights of a decoder-only model, on whole documents."""
    loss = partial(causal_loss, _make_trainable(model))
    return Objective(loss, model, encoding.document_encoder(tokenizer), _max_positions(model))


def causal_objective(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    template: Template,
    every_weight: bool = True,
) -> Objective:
    """The weights of a decoder-only model, on pairs in a template.

    Without ``every_weight`` only those learn that need gradients already, as low-rank updates do.
    """
    loss = partial(causal_loss, _make_trainable(model) if every_weight else model.train())
    encode = encoding.causal_encoder(tokenizer, template)
    return Objective(loss, model, encode, _max_positions(model))


def seq2seq_objective(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Objective:
    """All weights of an encoder-decoder, on pairs."""
    loss = partial(seq2seq_loss, _make_trainable(model))
    encode = encoding.seq2seq_encoder(tokenizer)
    return Objective(loss, model, encode, _max_positions(model))


def prompt_objective(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt: nn.Module,
    template: Template,
) -> Objective:
    """A soft prompt, or the encoder that writes one, before a model that is frozen, dropout off.

    ``prompt()`` gives the prompt's rows, of shape ``[P, E]``; ``template`` says where they stand.
    """
    lead = encoding.leading_virtual_tokens(template)
    model.requires_grad_(False).eval()

    def loss(rows: Sequence[TrainingRow]) -> Tensor:
        return prompt_loss(model, prompt(), rows, lead)

    encode = encoding.causal_encoder(tokenizer, template)
    # The leading virtual tokens take positions, but are no part of an encoded row.
    return Objective(loss, prompt.train(), encode, _max_positions(model) - lead)


def task_objective(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: nn.Module,
    templates: Sequence[Template],
) -> Objective:
    """The prompts of several tasks before one frozen model; batches mix the tasks.

    ``prompts()`` gives the rows of all tasks, one task's under the other's in the order of
    ``templates``.
    """
    model.requires_grad_(False).eval()

    def loss(rows: Sequence[TrainingRow]) -> Tensor:
        # Rows of one batch have different prompts, so none of them is shared by all.
        return prompt_loss(model, prompts(), rows, lead=0)

    encode = encoding.task_encoder(tokenizer, templates)
    return Objective(loss, prompts.train(), encode, _max_positions(model))


def _max_positions(model: PreTrainedModel) -> int:
    return int(model.config.max_position_embeddings)


def _make_trainable(model: PreTrainedModel) -> PreTrainedModel:
    return model.requires_grad_(True).train()
