"""Turning prompts into new tokens, the same for every system: batched, with every setting explicit.

Lengths and penalties count new tokens only, so that soft and written prompts are treated alike.
Greedy and sampled rows share what their prompts have in common, leave when they are done, and let
waiting rows take their slot; beams, encoder-decoder models and architectures with other than plain
attention go through transformers' generate.
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
from parabench.inference.generation import pad_rows, transformers_generate
from parabench.inference.prompt_ids import PromptIds, embed, row_seeds

__all__ = ["Completion", "PromptIds", "decode_causal", "decode_seq2seq"]

AUTO_BATCH = 32


def decode_causal(
    model: PreTrainedModel,
    rows: Sequence[PromptIds],
    decoding: Decoding,
    runtime: Runtime,
    eos: AbstractSet[int],
    pad: int,
) -> Iterator[list[Completion]]:
    """Complete every row with a decoder-only model; yields batches as they finish, each position
    exactly once.

    Any id of ``eos`` ends a row. A sampled row draws from a seed of its own, so neither its batch
    nor its place changes it. Raises UserError, before any work, where a prompt is empty or leaves
    no room for its new tokens.
    """
    if not all(row.ids for row in rows):
        raise UserError(
            "complete an empty prompt",
            "a row without ids",
            mend="begin every prompt with the BOS token",
        )
    check_lengths(
        model, [len(row.ids) + decoding.max_new_tokens for row in rows], "prompt and new tokens"
    )
    if decoding.num_beams > 1 or not has_plain_attention(model):
        yield from _with_generate(model, rows, decoding, runtime, eos, pad)
    else:
        yield from decode_continuously(model, rows, decoding, runtime, eos)


def decode_seq2seq(
    model: PreTrainedModel, sources: Sequence[tuple[int, ...]], decoding: Decoding, runtime: Runtime
) -> Iterator[list[Completion]]:
    """Answer every source with an encoder-decoder model; yields batches as they finish, each
    position exactly once.

    The decoder is begun with the start token, and for BART also with ``<s>``, which opens every
    target it was trained on (Lewis et al. 2020; fairseq). Neither counts as new, no end is forced,
    no other checkpoint default applies. Raises UserError, before any work, where a source or the
    new tokens exceed the model's positions.
    """
    config: Any = model.config
    begin = [config.decoder_start_token_id] + [config.bos_token_id] * (config.model_type == "bart")
    needed = [max(len(source), decoding.max_new_tokens + len(begin)) for source in sources]
    check_lengths(model, needed, "source or new tokens")
    seeds = row_seeds(sources, runtime.seed)

    def run(batch: Sequence[int]) -> list[Completion]:
        rows = [torch.tensor(sources[position], device=model.device) for position in batch]
        ids, mask = pad_rows(rows, config.pad_token_id, left=False)
        first = torch.tensor([begin] * len(batch), device=model.device)
        new = transformers_generate(
            model,
            decoding,
            {config.eos_token_id},
            config.pad_token_id,
            seeds[batch[0]] if decoding.do_sample else None,
            input_ids=ids,
            attention_mask=mask,
            decoder_input_ids=first,
        )
        return [
            _cut(position, row, {config.eos_token_id})
            for position, row in zip(batch, new, strict=True)
        ]

    size = 1 if decoding.do_sample else runtime.batch_size
    yield from in_batches(
        by_length([len(source) for source in sources]), run, size, AUTO_BATCH, model=model
    )


def _with_generate(
    model: PreTrainedModel,
    rows: Sequence[PromptIds],
    decoding: Decoding,
    runtime: Runtime,
    eos: AbstractSet[int],
    pad: int,
) -> Iterator[list[Completion]]:
    seeds = row_seeds([row.ids for row in rows], runtime.seed)

    def run(batch: Sequence[int]) -> list[Completion]:
        embeds, mask = pad_rows(
            [embed(model, [rows[position]]) for position in batch], 0.0, left=True
        )
        seed = seeds[batch[0]] if decoding.do_sample else None
        new = transformers_generate(
            model, decoding, eos, pad, seed, inputs_embeds=embeds, attention_mask=mask
        )
        return [_cut(position, ids, eos) for position, ids in zip(batch, new, strict=True)]

    size = 1 if decoding.do_sample else runtime.batch_size
    yield from in_batches(
        by_length([len(row.ids) for row in rows]), run, size, AUTO_BATCH, model=model
    )


def _cut(position: int, ids: Sequence[int], eos: AbstractSet[int]) -> Completion:
    end = next((index for index, token in enumerate(ids) if token in eos), None)
    return Completion(position, tuple(ids[:end]), end is not None)
