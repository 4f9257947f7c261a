"""Where a soft prompt starts: closures of one signature, from the vocabulary matrix and a length to
the first prompt.

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
    """Rows drawn without replacement from the first ``most_frequent`` ids, the order of BPE
    vocabularies.
    """

    def initialise(vocabulary: Float[Tensor, "V H"], length: int) -> Float[Tensor, "P H"]:
        population = min(most_frequent, len(vocabulary))
        _enough(f"the {population} most frequent tokens", population, length)
        return vocabulary[torch.randperm(population, generator=_generator(seed))[:length]].clone()

    return initialise


def from_text(ids: Sequence[int]) -> PromptInit:
    """The rows of these ids (no special tokens), repeated as a whole and cut to length; UserError
    if there are none.
    """
    if not ids:
        raise UserError(
            "initialise a soft prompt from text",
            "a text without tokens",
            mend="use text:SOME WORDS",
        )

    def initialise(vocabulary: Float[Tensor, "V H"], length: int) -> Float[Tensor, "P H"]:
        tiled = torch.tensor(ids).repeat(-(-length // len(ids)))[:length]
        return vocabulary[tiled].clone()

    return initialise


def class_labels(labels: Sequence[Sequence[int]], seed: int) -> PromptInit:
    """One row per label, the mean over its ids; further rows are drawn as in
    ``sampled_vocabulary``.
    """
    if not labels or not all(labels):
        raise UserError(
            "initialise a soft prompt from class labels",
            "a label without tokens",
            mend="labels:yes,no",
        )

    def initialise(vocabulary: Float[Tensor, "V H"], length: int) -> Float[Tensor, "P H"]:
        rows = torch.stack([vocabulary[list(ids)].mean(dim=0) for ids in labels])[:length]
        return torch.cat([rows, sampled_vocabulary(seed)(vocabulary, length - len(rows))])

    return initialise


def uniform(seed: int, low: float = -0.5, high: float = 0.5) -> PromptInit:
    """Uniform numbers in ``[low, high)``."""

    def initialise(vocabulary: Float[Tensor, "V H"], length: int) -> Float[Tensor, "P H"]:
        return torch.empty(length, vocabulary.shape[1]).uniform_(
            low, high, generator=_generator(seed)
        )

    return initialise


def xavier_normal(seed: int) -> PromptInit:
    """Normal numbers of standard deviation ``sqrt(2 / (P + H))`` (Glorot and Bengio 2010), NeMo's
    ``random``.
    """

    def initialise(vocabulary: Float[Tensor, "V H"], length: int) -> Float[Tensor, "P H"]:
        return nn.init.xavier_normal_(
            torch.empty(length, vocabulary.shape[1]), generator=_generator(seed)
        )

    return initialise


def from_adapter(folder: Path) -> PromptInit:
    """Another adapter's prompt; UserError unless length and width are the same."""

    def initialise(vocabulary: Float[Tensor, "V H"], length: int) -> Float[Tensor, "P H"]:
        prompt = adapters.load_adapter(folder).prompt
        if prompt.shape != (length, vocabulary.shape[1]):
            found = f"its prompt is {tuple(prompt.shape)}, wanted {(length, vocabulary.shape[1])}"
            raise UserError(
                f"initialise from the adapter {folder}", found, mend=f"ask for length {len(prompt)}"
            )
        return prompt.clone()

    return initialise


def parse_initialiser(name: str, tokenizer: PreTrainedTokenizerBase, seed: int) -> PromptInit:
    """The initialiser that a person typed, such as ``text:Rewrite the sentence``; UserError lists
    the names.
    """
    kind, _, rest = name.partition(":")
    try:
        return {
            "vocabulary": first_vocabulary,
            "sampled": lambda: sampled_vocabulary(seed, int(rest or 5000)),
            "text": lambda: from_text(_ids(tokenizer, rest)),
            "labels": lambda: class_labels(
                [_ids(tokenizer, label) for label in rest.split(",")], seed
            ),
            "uniform": lambda: uniform(seed, *_range(rest or "-0.5,0.5")),
            "xavier": lambda: xavier_normal(seed),
            "adapter": lambda: from_adapter(Path(rest)),
        }[kind]()
    except (KeyError, ValueError):
        raise UserError(
            f"initialise a soft prompt by {name!r}",
            "no such initialiser",
            sorted(INITIALISER_NAMES),
        ) from None


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids


def _range(text: str) -> tuple[float, float]:
    low, high = (float(part) for part in text.split(","))
    return low, high


def _enough(what: str, found: int, wanted: int) -> None:
    if wanted > found:
        raise UserError(
            f"initialise {wanted} rows from {what}",
            f"{found} rows",
            mend="ask for a shorter prompt",
        )


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
