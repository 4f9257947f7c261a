"""Token vectors of texts: an encoder cut at one of its layers, and what it last encoded.

A run measures block by block of examples, and several scorers may read one encoder. What a block's
texts were encoded to is kept until other texts are asked for, so that each text is encoded once,
however many systems, turns and columns ask for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from parabench.contracts import Runtime, UserError
from parabench.data.filters import TextPair
from parabench.inference.batching import by_length, in_batches
from parabench.models.checkpoints import locate
from parabench.models.loading import load_encoder

from . import pretrained

TEXTS_PER_PASS = 64
"""Texts encoded in one forward pass, at most."""

ENCODED_BYTES = 1 << 28
"""Bytes of token vectors that exist at once. A block of 64 examples, 5 references and 16 systems
takes some 150 MB at the width of roberta-large."""


_TokenIds = tuple[Sequence[int], Sequence[int]]


@dataclass(frozen=True)
class TokenVectors:
    """The vectors of all tokens of some texts, end to end, S in all.

    ``places`` is each text's number among the T texts. ``ids`` and ``is_special`` (1 for what the
    tokenizer added) are of every token. A text's tokens begin at ``starts`` and are ``lengths``.
    """

    places: Mapping[str, int]
    vectors: Float[Tensor, "S H"]
    ids: Int64[np.ndarray, " S"]
    is_special: Int64[np.ndarray, " S"]
    starts: Int64[np.ndarray, " T"]
    lengths: Int64[np.ndarray, " T"]


@dataclass
class LayerEncoder:
    """An encoder that ends at a chosen layer, and its tokenizer.

    Blank texts are not encoded. ``kept`` are the last set of texts and what it was encoded to.
    Batches depend on that set alone: a scorer gets the very bits that it would get by itself.
    """

    model: Any
    tokenizer: Any
    kept: tuple[frozenset[str], TokenVectors] | None = field(default=None, repr=False)

    def tokenise(self, texts: Sequence[str]) -> list[_TokenIds]:
        """Return the ids of each text, cut at the model's limit, and 1 for those that are special.

        Special ids are those that the tokenizer adds.
        """
        if not texts:
            return []
        # byte-level BPE learned words with the space before them
        is_byte_level = "ByteLevel" in repr(self.tokenizer.backend_tokenizer.pre_tokenizer)
        space = " " if is_byte_level else ""
        found = self.tokenizer(
            [space + text.strip() for text in texts],
            return_special_tokens_mask=True,
            truncation=True,
            max_length=pretrained.max_tokens(self.model, self.tokenizer),
        )
        return list(zip(found.input_ids, found.special_tokens_mask, strict=True))

    def encode(self, texts: Collection[str], runtime: Runtime) -> TokenVectors:
        """Return the token vectors of ``texts``; those of the same set as last time are at hand.

        ``runtime`` gives the batch size.
        """
        full = frozenset(text for text in texts if text.strip())
        if self.kept is None or self.kept[0] != full:
            # freed before the next are made, or both would be in memory
            self.kept = None
            self.kept = full, self._encoded(sorted(full), runtime)
        return self.kept[1]

    def parts(self, pairs: Sequence[TextPair], texts: Collection[str]) -> Iterator[range]:
        """Yield runs of ``pairs`` whose texts' vectors fit into ``ENCODED_BYTES``.

        All pairs in one where those of ``texts``, which hold the texts of every pair, fit.
        """
        distinct = sorted(texts)
        width = int(self.model.config.hidden_size)
        sizes = {}
        for text, (ids, _) in zip(distinct, self.tokenise(distinct), strict=True):
            sizes[text] = 4 * width * len(ids)  # float32
        if sum(sizes.values()) <= ENCODED_BYTES:
            yield range(len(pairs))
            return
        start = 0
        used = 0
        held = set[str]()
        for at, pair in enumerate(pairs):
            added = sum(sizes[text] for text in {*pair} - held)
            if held and used + added > ENCODED_BYTES:
                yield range(start, at)
                start = at
                used = 0
                held = set()
                added = sum(sizes[text] for text in {*pair})
            used += added
            held.update(pair)
        yield range(start, len(pairs))

    def _encoded(self, texts: Sequence[str], runtime: Runtime) -> TokenVectors:
        """Token vectors of each text, batched by length."""
        rows = self.tokenise(texts)
        lengths = np.array([len(ids) for ids, _ in rows], dtype=np.int64)
        starts = lengths.cumsum() - lengths
        width = int(self.model.config.hidden_size)
        vectors = torch.empty(int(lengths.sum()), width, device=self.model.device)

        def run(batch: Sequence[int]) -> tuple[Sequence[int], Float[Tensor, "B T H"]]:
            return batch, self._hidden([rows[at][0] for at in batch])

        order = by_length(lengths.tolist())
        batches = in_batches(order, run, runtime.batch_size, TEXTS_PER_PASS, model=self.model)
        for batch, hidden in batches:
            for at, states in zip(batch, hidden, strict=True):
                # behind its own tokens a row holds padding
                vectors[starts[at] : starts[at] + lengths[at]] = states[: lengths[at]]
        return TokenVectors(
            places={text: place for place, text in enumerate(texts)},
            vectors=vectors,
            ids=np.array([token for ids, _ in rows for token in ids], dtype=np.int64),
            is_special=np.array([flag for _, flags in rows for flag in flags], dtype=np.int64),
            starts=starts,
            lengths=lengths,
        )

    @torch.inference_mode()
    def _hidden(self, token_ids: Sequence[Sequence[int]]) -> Float[Tensor, "B T H"]:
        """The last hidden states of the encoder, which ends at the chosen layer."""
        padded, mask = _pad(token_ids, self.tokenizer.pad_token_id or 0, self.model.device)
        return self.model(padded, attention_mask=mask)[0].float()


def load_layer_encoder(name: str, layers: int, runtime: Runtime) -> LayerEncoder:
    """Load the encoder ``name`` cut after its first ``layers`` layers.

    ``runtime``: device and arithmetic. Raises UserError where it has fewer layers, and where the
    model cannot be found or read.
    """
    encoder, tokenizer = load_encoder(locate(name), runtime)
    body: Any = encoder
    # BART's encoder holds its layers itself, BERT and its kin one module further down
    stack = body.layers if hasattr(body, "layers") else body.encoder.layer
    if not 1 <= layers <= len(stack):
        raise UserError(
            f"take layer {layers} of {name}", f"it has {len(stack)}", [f"1 to {len(stack)}"]
        )
    # what the layers above would make of it is not read
    del stack[layers:]
    return LayerEncoder(encoder, tokenizer)


def _pad(
    token_ids: Sequence[Sequence[int]], pad_id: int, device: Any
) -> tuple[Int[Tensor, "B T"], Int[Tensor, "B T"]]:
    """Token ids of a batch padded on the right, and 1 where a token is none of the padding."""
    rows = [torch.tensor(ids, device=device) for ids in token_ids]
    padded = pad_sequence(rows, batch_first=True, padding_value=pad_id)
    mask = pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
    return padded, mask
