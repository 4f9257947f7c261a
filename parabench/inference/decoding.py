"""Decoding: from prompts to new tokens, the same for every system.

Lengths and penalties count new tokens only, so that soft and written prompts are treated alike.
Greedy and sampled rows run under continuous batching and share their common prefixes. Beams,
encoder-decoder models and architectures with other than plain attention go through transformers'
generate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import torch
from transformers import PreTrainedModel

from parabench.contracts import Decoding, Runtime, UserError
from parabench.inference.attention import has_plain_attention
from parabench.inference.batching import by_length, check_lengths, in_batches
from parabench.inference.continuous_batching import Completion, decode_continuously
from parabench.inference.end_of_text import EndOfText, declared_end_ids
from parabench.inference.generation import pad_rows, transformers_generate
from parabench.inference.prompt_ids import PromptIds, embed, row_seeds

__all__ = ["Completion", "PromptIds", "decode_causal", "decode_seq2seq"]

AUTO_BATCH = 32
"""Rows that go through generate together, to begin with, where no batch size is asked for."""


def decode_causal(
    model: PreTrainedModel,
    rows: Sequence[PromptIds],
    decoding: Decoding,
    runtime: Runtime,
    eos: AbstractSet[int],
    pad: int,
    end: EndOfText | None = None,
) -> Iterator[list[Completion]]:
    """Complete every row with a decoder-only model, batch by batch, each position exactly once.

    ``eos``: ids that end a row. ``pad``: id that fills the rows of a batch. ``end``: what ends
    the decoded text besides, such as a line break; its ids are among ``eos``.

    A sampled row draws from a seed of its own, so that neither its batch nor its position changes
    it. Raises UserError, before any work, where a prompt is empty or leaves no room for its new
    tokens.
    """
    if not all(row.ids for row in rows):
        raise UserError(
            "complete an empty prompt",
            "a row without ids",
            mend="begin every prompt with the BOS token",
        )
    needed = [len(row.ids) + decoding.max_new_tokens for row in rows]
    check_lengths(model, needed, "prompt and new tokens")
    if decoding.num_beams > 1 or not has_plain_attention(model):
        yield from _with_generate(model, rows, decoding, runtime, eos, pad, end)
    else:
        yield from decode_continuously(model, rows, decoding, runtime, eos, end)


def decode_seq2seq(
    model: PreTrainedModel, sources: Sequence[tuple[int, ...]], decoding: Decoding, runtime: Runtime
) -> Iterator[list[Completion]]:
    """Answer every source with an encoder-decoder model, batch by batch, each position once.

    ``sources`` are token ids. The decoder begins with the start token, and for BART also with
    ``<s>``, which opens every target it was trained on (Lewis et al. 2020; fairseq). Neither
    counts as new, no end is forced, no other default of the checkpoint applies.

    Raises UserError, before any work, where a source or the new tokens exceed the model's
    positions.
    """
    config: Any = model.config
    begin = [config.decoder_start_token_id]
    if config.model_type == "bart":
        begin.append(config.bos_token_id)
    longest_target = decoding.max_new_tokens + len(begin)
    needed = [max(len(source), longest_target) for source in sources]
    check_lengths(model, needed, "source or new tokens")
    seeds = row_seeds(sources, runtime.seed)
    eos, pad = declared_end_ids(model), config.pad_token_id

    def run(batch: Sequence[int]) -> list[Completion]:
        rows = [torch.tensor(sources[position], device=model.device) for position in batch]
        ids, mask = pad_rows(rows, pad, left=False)
        new = transformers_generate(
            model,
            decoding,
            eos,
            pad,
            seeds[batch[0]] if decoding.do_sample else None,
            input_ids=ids,
            attention_mask=mask,
            decoder_input_ids=torch.tensor([begin] * len(batch), device=model.device),
        )
        return [_until_end(position, row, eos) for position, row in zip(batch, new, strict=True)]

    # generate draws for a whole batch at once: a sampled row must go alone to be its own
    size = 1 if decoding.do_sample else runtime.batch_size
    order = by_length([len(source) for source in sources])
    yield from in_batches(order, run, size, AUTO_BATCH, model=model)


def _with_generate(
    model: PreTrainedModel,
    rows: Sequence[PromptIds],
    decoding: Decoding,
    runtime: Runtime,
    eos: AbstractSet[int],
    pad: int,
    end: EndOfText | None,
) -> Iterator[list[Completion]]:
    """``decode_causal`` by transformers' generate."""
    seeds = row_seeds([row.ids for row in rows], runtime.seed)

    def run(batch: Sequence[int]) -> list[Completion]:
        embeds = [embed(model, [rows[position]]) for position in batch]
        padded, mask = pad_rows(embeds, 0.0, left=True)
        seed = seeds[batch[0]] if decoding.do_sample else None
        new = transformers_generate(
            model, decoding, eos, pad, seed, end, inputs_embeds=padded, attention_mask=mask
        )
        return [
            _until_end(position, ids, eos, end) for position, ids in zip(batch, new, strict=True)
        ]

    # as in decode_seq2seq: a sampled row goes alone
    size = 1 if decoding.do_sample else runtime.batch_size
    order = by_length([len(row.ids) for row in rows])
    yield from in_batches(order, run, size, AUTO_BATCH, model=model)


def _until_end(
    position: int, ids: Sequence[int], eos: AbstractSet[int], end: EndOfText | None = None
) -> Completion:
    """The completion of the row at ``position``: its ids up to the end, the rest being padding."""
    for count, token in enumerate(ids):
        if token in eos:
            return Completion(position, tuple(ids[:count]), True)
        if end is not None and end.reached(ids[: count + 1]):
            return Completion(position, tuple(ids[: count + 1]), True)
    return Completion(position, tuple(ids), False)
