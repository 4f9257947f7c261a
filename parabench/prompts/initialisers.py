"""Initialisers of soft prompts: functions from the vocabulary matrix and a length to a prompt.

Sources: Lester et al. 2021, section 3.2 (sampled vocabulary, class labels, uniform); Paraphrase-OPT
(first vocabulary); NeMo v1.10 ``prompt_table.py`` (text, tiled or truncated; xavier normal).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from parabench.contracts import UserError
from parabench.prompts import adapters

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PromptInit = Callable[[Float[Tensor, "V H"], int], Float[Tensor, "P H"]]

INITIALISER_NAMES = {
    "vocabulary": "the first rows of the vocabulary",
    "sampled:5000": "rows drawn from the 5000 most frequent tokens",
    "text:TEXT": "the tokens of TEXT, repeated or cut to length",
    "labels:ONE,TWO": "one row a label (mean of its tokens), then rows drawn from the vocabulary",
    "uniform:-0.5,0.5": "uniform numbers in a range",
    "xavier": "normal numbers scaled by length and width",
    "adapter:FOLDER": "another adapter's prompt",
}


def first_vocabulary() -> PromptInit:
    """Rows 0..P-1 of the vocabulary, as Paraphrase-OPT did."""

    def initialise(vocabulary: Float[Tensor, "V H"], length: int) -> Float[Tensor, "P H"]:
        _enough("the vocabulary", len(vocabulary), length)
        return vocabulary[:length].clone()

    return initialise


def sampled_vocabulary(seed: int, most_frequent: int = 5000) -> PromptInit:
    """Rows drawn without replacement from the first ``most_frequent`` ids.

    BPE numbers its tokens in the order in which it merged them, which is about their frequency.
    ``seed`` decides what is drawn.
    """

    def initialise(vocabulary: Float[Tensor, "V H"], length: int) -> Float[Tensor, "P H"]:
        population = min(most_frequent, len(vocabulary))
        _enough(f"the {population} most frequent tokens", population, length)
        # The first rows of a permutation are a draw without replacement.
        order = torch.randperm(population, generator=_generator(seed))
        drawn = order[:length]
        return vocabulary[drawn].clone()

    return initialise


def from_text(ids: Sequence[int]) -> PromptInit:
    """The rows of these ids (no special tokens), repeated as a whole and cut to length.

    Raises UserError where there are none.
    """
    if not ids:
        asked = "initialise a soft prompt from text"
        raise UserError(asked, "a text without tokens", mend="use text:SOME WORDS")

    def initialise(vocabulary: Float[Tensor, "V H"], length: int) -> Float[Tensor, "P H"]:
        times = -(-length // len(ids))  # rounded up, so that the cut has enough
        tiled = torch.tensor(ids).repeat(times)
        chosen = tiled[:length]
        return vocabulary[chosen].clone()

    return initialise


def class_labels(labels: Sequence[Sequence[int]], seed: int) -> PromptInit:
    """One row per label, the mean over its ids; further rows as ``sampled_vocabulary(seed)`` draws.

    Raises UserError for a label without ids.
    """
    if not labels or not all(labels):
        asked = "initialise a soft prompt from class labels"
        raise UserError(asked, "a label without tokens", mend="labels:yes,no")

    def initialise(vocabulary: Float[Tensor, "V H"], length: int) -> Float[Tensor, "P H"]:
        means = []
        for ids in labels:
            of_label = vocabulary[list(ids)]
            means.append(of_label.mean(dim=0))
        rows = torch.stack(means)[:length]
        draw = sampled_vocabulary(seed)
        others = draw(vocabulary, length - len(rows))
        return torch.cat([rows, others])

    return initialise


def uniform(seed: int, low: float = -0.5, high: float = 0.5) -> PromptInit:
    """Uniform numbers in ``[low, high)``."""

    def initialise(vocabulary: Float[Tensor, "V H"], length: int) -> Float[Tensor, "P H"]:
        _, width = vocabulary.shape
        rows = torch.empty(length, width)
        return rows.uniform_(low, high, generator=_generator(seed))

    return initialise


def xavier_normal(seed: int) -> PromptInit:
    """Normal numbers of standard deviation ``sqrt(2 / (P + H))`` (Glorot and Bengio 2010), NeMo's
    ``random``.
    """

    def initialise(vocabulary: Float[Tensor, "V H"], length: int) -> Float[Tensor, "P H"]:
        _, width = vocabulary.shape
        rows = torch.empty(length, width)
        return nn.init.xavier_normal_(rows, generator=_generator(seed))

    return initialise


def from_adapter(folder: Path) -> PromptInit:
    """Another adapter's prompt; UserError unless length and width are the same."""

    def initialise(vocabulary: Float[Tensor, "V H"], length: int) -> Float[Tensor, "P H"]:
        prompt = adapters.load_adapter(folder).prompt
        _, width = vocabulary.shape
        wanted = (length, width)
        shape = tuple(prompt.shape)
        if shape != wanted:
            asked = f"initialise from the adapter {folder}"
            found = f"its prompt is {shape}, wanted {wanted}"
            raise UserError(asked, found, mend=f"ask for length {len(prompt)}")
        return prompt.clone()

    return initialise


def parse_initialiser(name: str, tokenizer: PreTrainedTokenizerBase, seed: int) -> PromptInit:
    """The initialiser of a typed ``name``, such as ``text:Rewrite the sentence``.

    ``tokenizer`` reads texts and labels, ``seed`` decides what is drawn. Raises UserError, with the
    names there are, for any other.
    """
    # At the first colon alone: a text may have more of them.
    kind, _, rest = name.partition(":")
    try:
        return _parse(kind, rest, tokenizer, seed)
    except (KeyError, ValueError):
        asked = f"initialise a soft prompt by {name!r}"
        raise UserError(asked, "no such initialiser", sorted(INITIALISER_NAMES)) from None


def _parse(kind: str, rest: str, tokenizer: PreTrainedTokenizerBase, seed: int) -> PromptInit:
    """``KIND:REST``; KeyError for another kind, ValueError for numbers that are none."""
    if kind == "vocabulary":
        return first_vocabulary()
    if kind == "sampled":
        return sampled_vocabulary(seed, int(rest or 5000))
    if kind == "text":
        return from_text(_ids(tokenizer, rest))
    if kind == "labels":
        labels = [_ids(tokenizer, label) for label in rest.split(",")]
        return class_labels(labels, seed)
    if kind == "uniform":
        limits = rest or "-0.5,0.5"
        low, high = (float(part) for part in limits.split(","))
        return uniform(seed, low, high)
    if kind in ("xavier", "random"):  # NeMo's word for it
        return xavier_normal(seed)
    if kind == "adapter":
        return from_adapter(Path(rest))
    raise KeyError(kind)


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids


def _enough(what: str, found: int, wanted: int) -> None:
    if wanted > found:
        asked = f"initialise {wanted} rows from {what}"
        raise UserError(asked, f"{found} rows", mend="ask for a shorter prompt")


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
