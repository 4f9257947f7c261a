"""What the rows of a soft prompt are near to, how far they moved, and which are near-duplicates.

Nearness to a token is no meaning (Khashabi et al. 2022, "Prompt Waywardness"): it is shown to find
prompts that never moved, rows that became alike, and rows far outside the vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from parabench.contracts import BuildContext, System, UserError, adapter_folder, model_names
from parabench.models.checkpoints import locate
from parabench.models.loading import load_causal
from parabench.prompts.adapters import Adapter, load_adapter
from parabench.prompts.soft import vocabulary_rows

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_NEAR_DUPLICATE_COSINE = 0.95
"""Two rows with at least this cosine count as near-duplicates."""


class Neighbour(NamedTuple):
    """A vocabulary token and its cosine or distance."""

    token: str
    value: float


class PromptPosition(NamedTuple):
    """One row of a soft prompt.

    Attributes:
        position: of the row in the prompt, from 0.
        norm: Euclidean.
        relative_norm: ``norm`` over the mean norm of the vocabulary.
        distance_from_init: from the initial row; None where that was not kept.
        near_duplicate: the most similar other row, where its cosine is at least 0.95.
        cosine: nearest tokens by cosine, highest first.
        euclidean: nearest tokens by distance, lowest first.
    """

    position: int
    norm: float
    relative_norm: float
    distance_from_init: float | None
    near_duplicate: int | None
    cosine: tuple[Neighbour, ...]
    euclidean: tuple[Neighbour, ...]


def nearest_of_system(
    system: System,
    nearest: int = 5,
    setting: BuildContext | None = None,
) -> list[PromptPosition]:
    """The vocabulary tokens nearest to every row of a system's soft prompt.

    Args:
        system: with a soft prompt.
        nearest: how many tokens of each kind.
        setting: that the system was built in, whose cache may hold its base model; the model is
            loaded where it is None.

    Raises:
        UserError: where the system has no soft prompt, or one that was made for another base.
    """
    folder = adapter_folder(system)
    if folder is None:
        raise UserError(
            f"explain {system.signature.name!r}",
            "it has no soft prompt",
            mend="name one as softprompt-111",
        )
    base = locate(model_names(system)[0])
    adapter = load_adapter(folder, base)
    setting = setting or BuildContext()
    model, tokenizer = setting.models.get(load_causal, base, setting.runtime)
    # Cosines are computed in single precision, whatever the model computes in.
    vocabulary = vocabulary_rows(model)
    return nearest_tokens(adapter, vocabulary, tokenizer, nearest)


def nearest_tokens(
    adapter: Adapter,
    vocabulary: Float[Tensor, "V H"],
    tokenizer: PreTrainedTokenizerBase,
    nearest: int = 5,
) -> list[PromptPosition]:
    """Every row of a prompt with its nearest vocabulary tokens, by cosine and by distance.

    Args:
        adapter: with the prompt.
        vocabulary: input embedding of the base model, V tokens by H.
        tokenizer: that names the tokens.
        nearest: how many of each.
    """
    prompt = adapter.prompt
    vocabulary = vocabulary.float().cpu()
    norms = prompt.norm(dim=1).tolist()
    mean_norm = vocabulary.norm(dim=1).mean().item()
    # Of unit vectors the dot product is the cosine: [P, H] times [H, V] is [P, V].
    all_cosines = normalize(prompt) @ normalize(vocabulary).T
    cosines, similar = all_cosines.topk(nearest)
    distances, close = _closest(prompt, vocabulary, nearest)
    distances_from_init = _distances_from_init(adapter)
    duplicates = _near_duplicates(prompt)
    positions = []
    for index in range(len(prompt)):
        position = PromptPosition(
            position=index,
            norm=norms[index],
            relative_norm=norms[index] / mean_norm,
            distance_from_init=distances_from_init[index],
            near_duplicate=duplicates[index],
            cosine=_named(tokenizer, similar[index], cosines[index]),
            euclidean=_named(tokenizer, close[index], distances[index]),
        )
        positions.append(position)
    return positions


def describe_adapter(adapter: Adapter) -> list[tuple[str, str]]:
    """What ``parabench prompt show`` prints: one (name, value) a line."""
    facts = adapter.facts
    base = facts.base
    template = facts.template
    splits = ", ".join(map(str, template.virtual_token_splits))
    encoder = ", ".join(f"{name} {value}" for name, value in facts.encoder.items())
    versions = ", ".join(f"{name} {number}" for name, number in facts.versions.items())
    loss = "-"
    if facts.loss:
        _, first = facts.loss[0]
        steps, last = facts.loss[-1]
        loss = f"{first:.4f} to {last:.4f} in {steps} steps"
    return [
        ("prompt", f"{len(adapter.prompt)} x {base.width} float32, sha256 {adapter.digest}"),
        ("base", f"{base.name}, revision {base.revision or '-'}, digest {base.digest or '-'}"),
        ("task", f"{template.taskname}: {template.prompt_template!r}"),
        ("splits", splits or "-"),
        ("encoder", encoder or "none"),
        ("initialiser", facts.initialiser or "-"),
        ("seed", "-" if facts.seed is None else str(facts.seed)),
        ("data", facts.data or "-"),
        ("loss", loss),
        ("origin", facts.origin or "trained here"),
        ("versions", versions or "-"),
    ]


def _closest(
    prompt: Float[Tensor, "P H"],
    vocabulary: Float[Tensor, "V H"],
    nearest: int,
) -> tuple[Float[Tensor, "P N"], Int[Tensor, "P N"]]:
    """The nearest tokens by Euclidean distance, and their distances.

    ``cdist`` takes a matrix product, whose small distances are differences of large numbers: what
    it finds is measured again exactly, and put in order by that.
    """
    rough = torch.cdist(prompt, vocabulary).topk(nearest, largest=False).indices
    exact = (prompt[:, None] - vocabulary[rough]).norm(dim=2)
    distances, order = exact.sort(dim=1)
    return distances, rough.gather(1, order)


def _distances_from_init(adapter: Adapter) -> list[float | None]:
    # Imported prompts have no initial rows, and those of another length are of another training.
    initial = adapter.state.get("initial")
    if initial is None or initial.shape != adapter.prompt.shape:
        return [None] * len(adapter.prompt)
    return [*(adapter.prompt - initial).norm(dim=1).tolist()]


def _near_duplicates(prompt: Float[Tensor, "P H"]) -> list[int | None]:
    if len(prompt) < 2:
        return [None] * len(prompt)
    # A row is the most similar to itself: -1 on the diagonal takes it out of the search.
    cosines = normalize(prompt) @ normalize(prompt).T  # [P, P]
    cosines.fill_diagonal_(-1)
    # Of each row the most similar other one, and how similar it is.
    values, indices = cosines.max(dim=1)
    duplicates: list[int | None] = []
    for value, index in zip(values.tolist(), indices.tolist(), strict=True):
        is_near = value >= _NEAR_DUPLICATE_COSINE
        duplicates.append(int(index) if is_near else None)
    return duplicates


def _named(
    tokenizer: PreTrainedTokenizerBase,
    ids: Tensor,
    values: Tensor,
) -> tuple[Neighbour, ...]:
    tokens = tokenizer.convert_ids_to_tokens(ids.tolist())
    return tuple(
        Neighbour(token, value) for token, value in zip(tokens, values.tolist(), strict=True)
    )
