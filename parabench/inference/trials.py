"""Trials of an architecture on a few tokens: what its code does with padding and with embeddings.

What a foreign architecture computes cannot be seen from outside, and a wrong guess would be
silently wrong. So it is tried once a model, against the model's own forward pass.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel

from parabench.contracts import UserError
from parabench.inference.generation import without_defaults
from parabench.inference.prompt_ids import PromptIds, embed

TRIAL_TOKENS = 13
"""Length of the longest text of a trial."""

_NEW_TOKENS = 3
"""Tokens that a trial generates: a prompt's pass, and two steps from what its cache keeps."""

_log = logging.getLogger(__name__)


def trial_ids(model: PreTrainedModel) -> tuple[int, ...]:
    """Different token ids of the model's vocabulary, behind those that are often special."""
    config: Any = model.config.get_text_config()
    words = min(int(config.vocab_size), 64)
    return tuple(3 + (7 * at) % max(1, words - 3) for at in range(TRIAL_TOKENS))


def same_logits(own: Float[Tensor, "*K V"], other: Float[Tensor, "*K V"]) -> bool:
    """Tell whether ``other`` are the same sums as ``own`` in another order."""
    # a few units in the last place of the largest logit
    digits = 1e-4 if own.dtype == torch.float32 else 3e-2
    tolerance = digits * max(1.0, float(own.abs().max()))
    return bool((own - other).abs().max() <= tolerance)


def tried_once(model: PreTrainedModel, question: str, trial: Callable[[], bool]) -> bool:
    """The answer of ``trial`` to a ``question``, kept with the model.

    False where the trial fails.
    """
    name = f"parabench_{question}"
    known: bool | None = getattr(model, name, None)
    if known is None:
        try:
            known = trial()
        except Exception as error:  # a foreign architecture's code, which may fail in any way
            _log.info("%s: no, for %s: %s", question, type(error).__name__, error)
            known = False
        setattr(model, name, known)
    return known


def ignores_padding(model: PreTrainedModel, pad: int) -> bool:
    """Tell whether the padding before a short prompt changes nothing of what generate computes.

    XLM drops the attention mask, and a convolution may read across it. ``pad`` is the id of the
    padding.
    """
    return tried_once(model, "ignores_padding", lambda: _same_when_padded(model, pad))


def require_embeddings(model: PreTrainedModel) -> None:
    """Refuse virtual tokens where the model looks at ids besides their embeddings.

    As in an architecture that routes tokens to experts by their id (DeepSeek-V4), or adds to every
    layer what it looks up for the id (Gemma 3n). Raises UserError.
    """
    if not tried_once(model, "takes_embeddings", lambda: _same_from_embeddings(model)):
        raise UserError(
            f"run the architecture {model.config.model_type} behind a soft prompt",
            "it does not compute the same from embeddings as from token ids",
            mend="use a model of another architecture, such as opt or llama",
        )


def has_plain_head(model: PreTrainedModel) -> bool:
    """Tell whether the logits are the output embeddings' linear map of the last hidden states.

    They are not where the head has layers of its own (RoBERTa), or caps or scales the logits
    (Gemma 2, Granite).
    """
    return tried_once(model, "has_plain_head", lambda: _same_by_linear_head(model))


@torch.inference_mode()
def _same_by_linear_head(model: PreTrainedModel) -> bool:
    whole: Any = model
    ids = torch.tensor([trial_ids(model)], device=model.device)
    was_training = model.training
    whole.eval()  # dropout would make any two passes differ
    try:
        own = whole(input_ids=ids).logits[0]
        body: Any = whole.base_model(input_ids=ids)
        return same_logits(own, whole.get_output_embeddings()(body.last_hidden_state[0]))
    finally:
        whole.train(was_training)


@torch.inference_mode()
def _same_when_padded(model: PreTrainedModel, pad: int) -> bool:
    ids = trial_ids(model)
    short = ids[: TRIAL_TOKENS // 2]
    padding = len(ids) - len(short)
    together = torch.tensor([ids, (pad,) * padding + short], device=model.device)
    mask = torch.ones_like(together)
    mask[1, :padding] = 0
    alone = together[1:, padding:]
    in_batch = _generated(model, together, mask)
    by_itself = _generated(model, alone, mask[1:, padding:])
    for (logits, token), (own, own_token) in zip(in_batch, by_itself, strict=True):
        if not same_logits(own[0], logits[1]):
            return False
        # a tie, broken either way: the steps behind it continue different texts
        if token[1] != own_token[0]:
            break
    return True


def _generated(
    model: PreTrainedModel,
    ids: Int[Tensor, "B T"],
    mask: Int[Tensor, "B T"],
) -> list[tuple[Float[Tensor, "B V"], Int[Tensor, " B"]]]:
    """The logits of every new token, and the token that generate writes."""
    generator: Any = model
    configuration = GenerationConfig(
        max_new_tokens=_NEW_TOKENS,
        do_sample=False,
        pad_token_id=0,
        use_cache=True,
        return_dict_in_generate=True,
        output_logits=True,
    )
    with without_defaults(generator):
        made = generator.generate(
            input_ids=ids, attention_mask=mask, generation_config=configuration
        )
    new = made.sequences[:, -_NEW_TOKENS:]
    return list(zip(made.logits, new.T, strict=True))


@torch.inference_mode()
def _same_from_embeddings(model: PreTrainedModel) -> bool:
    whole: Any = model
    ids = trial_ids(model)
    embeds = embed(model, [PromptIds(ids)])[None]
    own = whole(input_ids=torch.tensor([ids], device=model.device)).logits[0]
    return same_logits(own, whole(inputs_embeds=embeds).logits[0])
