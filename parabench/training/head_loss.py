"""The output head and its cross-entropy in one, in chunks, with gradients computed beside.

No ``M x V`` array of logits ever exists.

Axes: ``H`` width of a hidden state, ``V`` vocabulary, ``M`` target tokens of the batch, ``m`` of
one chunk.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

_CHUNK_ELEMENTS = {"cpu": 1 << 23, "cuda": 1 << 28}
"""How many logits exist at once."""


def head_nll(
    model: PreTrainedModel, hidden: Float[Tensor, "M H"], targets: Int[Tensor, " M"]
) -> Float[Tensor, ""]:
    """The negative log-likelihood of the targets, summed."""
    head = model.get_output_embeddings()
    # BART keeps the bias of its head, of shape [1, V], beside the head.
    bias = getattr(model, "final_logits_bias", head.bias)
    flat_bias = None if bias is None else bias.view(-1)
    return _HeadNLL.apply(hidden, head.weight, flat_bias, targets)


class _HeadNLL(torch.autograd.Function):
    """Output head and cross-entropy in one, summed over tokens.

    Gradients are computed beside each chunk of logits, in the forward pass, while the chunk exists.
    The construction of Liger-Kernel's fused linear cross-entropy (Hsu et al. 2024), in plain torch.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Float[Tensor, "M H"],
        weight: Float[Tensor, "V H"],
        bias: Float[Tensor, " V"] | None,
        targets: Int[Tensor, " M"],
    ) -> Float[Tensor, ""]:
        gradients: list[Tensor | None] = []
        inputs = (hidden, weight, bias)
        # The fourth input, the targets, never has a gradient.
        for tensor, needed in zip(inputs, ctx.needs_input_grad, strict=False):
            if tensor is None or not needed:
                gradients.append(None)
            else:
                gradients.append(torch.zeros_like(tensor))
        device = hidden.device
        total = torch.zeros((), device=device)
        vocabulary = len(weight)
        size = max(1, _CHUNK_ELEMENTS[device.type] // vocabulary)
        for start in range(0, len(targets), size):
            chunk = slice(start, start + size)
            total += _chunk_nll(hidden[chunk], weight, bias, targets[chunk], gradients, chunk)
        ctx.save_for_backward(*gradients)
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, outer: Float[Tensor, ""]) -> tuple[Tensor | None, ...]:
        scaled: list[Tensor | None] = []
        for gradient in ctx.saved_tensors:
            if gradient is None:
                scaled.append(None)
                continue
            # The loss is in float32, gradients are in the model's precision.
            factor = outer.to(gradient.dtype)
            scaled.append(gradient * factor)
        return (*scaled, None)  # target ids have no gradient


def _chunk_nll(
    hidden: Float[Tensor, "m H"],
    weight: Float[Tensor, "V H"],
    bias: Float[Tensor, " V"] | None,
    targets: Int[Tensor, " m"],
    gradients: list[Tensor | None],
    chunk: slice,
) -> Float[Tensor, ""]:
    """The summed loss of one chunk of tokens; its ``gradients`` (hidden, weight, bias) are added.

    -log p(target) = log(sum over v of exp(logit_v)) - logit_target; its derivative in the logits is
    softmax(logits) - onehot(target).
    """
    logits = torch.nn.functional.linear(hidden, weight, bias)
    dtype = logits.dtype
    at_target = targets[:, None]
    # From here on in place: there is one array of this size, and a second one for bfloat16.
    values = logits.float()
    # The largest logit becomes 0, so that no exponential overflows; the loss does not change.
    values -= values.amax(dim=1, keepdim=True)
    nll = -values.gather(1, at_target).sum()
    total = values.exp_().sum(dim=1, keepdim=True)
    nll += total.log().sum()
    if all(gradient is None for gradient in gradients):
        return nll
    values /= total  # the softmax
    minus_one = values.new_full(at_target.shape, -1.0)
    values.scatter_add_(1, at_target, minus_one)
    errors = values.to(dtype)
    for_hidden, for_weight, for_bias = gradients
    if for_hidden is not None:
        for_hidden[chunk] = errors @ weight
    if for_weight is not None:
        for_weight += errors.T @ hidden
    if for_bias is not None:
        for_bias += errors.sum(0)
    return nll
