"""A soft prompt: P trainable rows that stand among the input embeddings of a frozen language
model.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn


class SoftPrompt(nn.Module):
    """The trainable matrix ``[P, H]`` in float32 and nothing else (Lester et al. 2021, section 2).

    It knows nothing of where its rows are placed: templates do that. P may be 0. Dropout acts in
    training mode only.
    """

    def __init__(self, initial: Float[Tensor, "P H"], dropout: float = 0.0) -> None:
        super().__init__()
        self.embedding = nn.Parameter(initial.detach().clone().float())
        self.dropout = nn.Dropout(dropout)

    def forward(self) -> Float[Tensor, "P H"]:
        return self.dropout(self.embedding)


def vocabulary_rows(model: nn.Module) -> Float[Tensor, "V H"]:
    """The input embedding matrix of a transformers model, detached."""
    return model.get_input_embeddings().weight.detach()  # type: ignore[operator]
