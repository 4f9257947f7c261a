"""Where a generated text ends: at a declared end id, or at a stop string of the decoded text.

Never at an id that only happens to be part of a stop string. A tokenizer may write a line break as
two ids of which one stands before every digit, or merge it into ``.\\n`` and never write it alone;
the decoded text is the same in all of them. transformers' ``stop_strings`` decides alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import LogitsProcessor, PreTrainedTokenizerBase, StoppingCriteria

LINE_BREAK = ("\n",)
"""Stop strings of a text that is one line."""

_VOCABULARY_ATTRIBUTE = "parabench_decoded_ids"
"""Attribute of a tokenizer: the text of each id by itself, decoded once."""


def declared_end_ids(model: Any, tokenizer: PreTrainedTokenizerBase | None = None) -> set[int]:
    """Every id that a model's files declare as the end of a text.

    From generation_config.json, config.json and the ``tokenizer``: each names one id, several, or
    none. A chat model's end of turn is often in the first alone.
    """
    sources = (getattr(model, "generation_config", None), model.config, tokenizer)
    found: set[int] = set()
    for source in sources:
        declared = getattr(source, "eos_token_id", None)
        # one id in most files, a list where a turn may end in several ways
        if isinstance(declared, int):
            found.add(declared)
        elif declared is not None:
            found.update(int(token) for token in declared)
    return found


def padding_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """The id that fills the rows of a batch: the tokenizer's, else its end id, else 0.

    What it is changes no text, for padding is masked.
    """
    for declared in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if isinstance(declared, int):
            return declared
    return 0


class EndedText(NamedTuple):
    """A decoded text up to its end; ``finished`` is False where it has none."""

    text: str
    finished: bool


class EndOfText:
    """The end of texts that one tokenizer decodes.

    ``ids``: the declared end ids, none of which belongs to the text. ``stop_strings``: what ends
    the decoded text, and does not belong to it either.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        ids: Iterable[int],
        stop_strings: Sequence[str] = LINE_BREAK,
    ) -> None:
        self.tokenizer = tokenizer
        self.ids = frozenset(ids)
        self.stop_strings = tuple(stop_strings)
        decoded = _decoded_ids(tokenizer) if self.stop_strings else []
        self._candidates = {
            token for token, text in enumerate(decoded) if self._may_complete_a_stop(text)
        }
        self.stopping_ids = sorted(
            token for token, text in enumerate(decoded) if self._first_stop(text) is not None
        )
        """Ids whose own text holds a stop string: a text that must go on must not write them."""

    @classmethod
    def of(
        cls,
        model: Any,
        tokenizer: PreTrainedTokenizerBase,
        stop_strings: Sequence[str] = LINE_BREAK,
    ) -> EndOfText:
        """The end of a model's texts: its declared end ids, and ``stop_strings``."""
        return cls(tokenizer, declared_end_ids(model, tokenizer), stop_strings)

    def reached(self, ids: Sequence[int]) -> bool:
        """Whether the last of the new ``ids`` of a row has ended its text."""
        if not ids:
            return False
        last = ids[-1]
        if last in self.ids:
            return True
        # decoding costs more than a step of a small model: only where the id can be the end
        return last in self._candidates and self._first_stop(self._decode(ids)) is not None

    def cut(self, ids: Sequence[int]) -> EndedText:
        """The text of a row's new ``ids``, before the first end id and the first stop string."""
        ends = (place for place, token in enumerate(ids) if token in self.ids)
        end = next(ends, None)
        text = self._decode(ids[:end])  # all of them where there is no end
        stop = self._first_stop(text)
        return EndedText(text[:stop], end is not None or stop is not None)

    def _decode(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))

    def _first_stop(self, text: str) -> int | None:
        """Where the first stop string begins."""
        places = [text.find(stop) for stop in self.stop_strings]
        found = [place for place in places if place >= 0]
        return min(found, default=None)

    def _may_complete_a_stop(self, text: str) -> bool:
        """Whether an id with this text can add the last character of a stop string.

        An id that decodes to nothing or to the replacement character may be a part of one, and a
        space at its beginning may have been cut off.
        """
        if not text or "\ufffd" in text:
            return True
        return any(stop[-1] == " " or stop[-1] in text for stop in self.stop_strings)


def _decoded_ids(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The text of each id by itself."""
    known: list[str] | None = getattr(tokenizer, _VOCABULARY_ATTRIBUTE, None)
    if known is None or len(known) != len(tokenizer):
        alone = [[token] for token in range(len(tokenizer))]
        known = tokenizer.batch_decode(alone, skip_special_tokens=True)
        setattr(tokenizer, _VOCABULARY_ATTRIBUTE, known)
    return known


class StopAtEnd(StoppingCriteria):
    """``EndOfText`` for transformers' generate; ``begin`` ids of each row were not generated."""

    def __init__(self, end: EndOfText, begin: int) -> None:
        self.end = end
        self.begin = begin

    def __call__(
        self, input_ids: Int[Tensor, "B T"], scores: Any, **settings: Any
    ) -> Bool[Tensor, " B"]:
        """Whether each row has ended; ``scores`` and ``settings`` are not read."""
        rows = input_ids[:, self.begin :].tolist()
        return torch.tensor([self.end.reached(row) for row in rows], device=input_ids.device)


class ForbidEarlyStops(LogitsProcessor):
    """Keep rows of transformers' generate from stop strings before ``least`` new tokens.

    ``ids`` are those that hold a stop string; ``begin`` ids of each row were not generated.
    """

    def __init__(
        self,
        ids: Sequence[int],
        least: int,
        begin: int,
    ) -> None:
        self.ids = list(ids)
        self.least = least
        self.begin = begin

    def __call__(
        self, input_ids: Int[Tensor, "B T"], scores: Float[Tensor, "B V"]
    ) -> Float[Tensor, "B V"]:
        """The ``scores``, without those ids while the rows are short."""
        if input_ids.shape[1] - self.begin < self.least and self.ids:
            # generate may keep the scores it gave
            scores = scores.clone()
            scores[:, self.ids] = float("-inf")
        return scores
