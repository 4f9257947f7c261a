"""Turning prompts into new tokens, the same for every system: batched, with every setting explicit.

Lengths and penalties count new tokens only, so that soft and written prompts are treated alike.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel, RepetitionPenaltyLogitsProcessor

from parabench.contracts import Decoding, Runtime, UserError
from parabench.inference.batching import by_length, in_batches

AUTO_BATCH = 64


@dataclass(frozen=True, eq=False)
class Row:
    """One prompt: token ids, where ``-1 - k`` stands for row k of ``virtual`` (``[P, H]``, H the embeddings' width)."""

    ids: tuple[int, ...]
    virtual: Float[Tensor, "P H"] | None = None


class Completion(NamedTuple):
    """The new tokens of one row, without the end token; ``finished`` is False where the limit cut them."""

    position: int
    ids: tuple[int, ...]
    finished: bool


def decode_causal(
    model: PreTrainedModel,
    rows: Sequence[Row],
    decoding: Decoding,
    runtime: Runtime,
    eos: AbstractSet[int],
    pad: int,
) -> Iterator[list[Completion]]:
    """Complete every row with a decoder-only model; yields batches as they finish, each position exactly once.

    Any id of ``eos`` ends a row. Raises UserError, before any work, where a prompt leaves no room for its new tokens.
    """
    lengths = [len(row.ids) for row in rows]
    check_lengths(model, [length + decoding.max_new_tokens for length in lengths], "prompt and new tokens")
    seeds = row_seeds([row.ids for row in rows], runtime.seed)

    def run(batch: Sequence[int]) -> list[Completion]:
        embeds, mask = _pad_left(model, [rows[position] for position in batch])
        seed = seeds[batch[0]] if decoding.do_sample else None
        new = _generate(model, decoding, eos, pad, seed, inputs_embeds=embeds, attention_mask=mask)
        return _completions(batch, new, eos)

    size = 1 if decoding.do_sample else runtime.batch_size
    yield from in_batches(by_length(lengths), run, size, AUTO_BATCH)


def decode_seq2seq(
    model: PreTrainedModel, sources: Sequence[tuple[int, ...]], decoding: Decoding, runtime: Runtime
) -> Iterator[list[Completion]]:
    """Answer every source with an encoder-decoder model; yields batches as they finish, each position exactly once.

    The decoder is begun with the start token, and for BART also with ``<s>``, which opens every target it was trained
    on (Lewis et al. 2020; fairseq). Neither counts as new, no end is forced, no other checkpoint default applies.
    Raises UserError, before any work, where a source or the new tokens exceed the model's positions.
    """
    config: Any = model.config
    begin = [config.decoder_start_token_id] + [config.bos_token_id] * (config.model_type == "bart")
    lengths = [len(source) for source in sources]
    check_lengths(
        model, [max(length, decoding.max_new_tokens + len(begin)) for length in lengths], "source or new tokens"
    )
    seeds = row_seeds(sources, runtime.seed)
    eos, pad = {config.eos_token_id}, config.pad_token_id

    def run(batch: Sequence[int]) -> list[Completion]:
        ids, mask = pad_right([sources[position] for position in batch], pad, model.device)
        first = torch.tensor([begin] * len(batch), device=model.device)
        seed = seeds[batch[0]] if decoding.do_sample else None
        new = _generate(
            model, decoding, eos, pad, seed, len(begin), input_ids=ids, attention_mask=mask, decoder_input_ids=first
        )
        return _completions(batch, new, eos)

    size = 1 if decoding.do_sample else runtime.batch_size
    yield from in_batches(by_length(lengths), run, size, AUTO_BATCH)


def check_lengths(model: PreTrainedModel, lengths: Sequence[int], what: str) -> None:
    """Raise UserError naming the first position whose length exceeds the model's positions."""
    limit = getattr(model.config, "max_position_embeddings", None)
    for position, length in enumerate(lengths):
        if limit is not None and length > limit:
            raise UserError(
                f"run the model on row {position}",
                f"{what} of {length} tokens; the model has {limit} positions",
                mend="shorten the text, the prompt or max_new_tokens",
            )


def row_seeds(contents: Sequence[tuple[int, ...]], seed: int) -> list[int]:
    """One seed a row, from the run's seed, the row's ids, and how many equal rows came before it."""
    seen: Counter[tuple[int, ...]] = Counter()
    seeds = []
    for ids in contents:
        key = f"{seed}|{seen[ids]}|{','.join(map(str, ids))}"
        seen[ids] += 1
        seeds.append(int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) >> 1)
    return seeds


def pad_right(
    rows: Sequence[tuple[int, ...]], pad: int, device: torch.device
) -> tuple[Int[Tensor, "B T"], Int[Tensor, "B T"]]:
    """Rows of ids as one tensor padded on the right, and its attention mask."""
    width = max(map(len, rows))
    ids = torch.tensor([[*row, *[pad] * (width - len(row))] for row in rows], device=device)
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=device)
    return ids, mask


def embed(model: PreTrainedModel, row: Row) -> Float[Tensor, "T H"]:
    """The row's input embeddings, its virtual tokens among them, in the model's dtype."""
    ids = torch.tensor(row.ids, device=model.device)
    table: Any = model.get_input_embeddings()
    embeds = table(ids.clamp(min=0))
    if row.virtual is not None:
        embeds[ids < 0] = row.virtual.to(embeds)[-1 - ids[ids < 0]]
    return embeds


def _pad_left(model: PreTrainedModel, rows: Sequence[Row]) -> tuple[Float[Tensor, "B T H"], Int[Tensor, "B T"]]:
    parts = [embed(model, row) for row in rows]
    embeds = parts[0].new_zeros(len(parts), max(map(len, parts)), parts[0].shape[1])
    mask = torch.zeros(embeds.shape[:2], dtype=torch.long, device=embeds.device)
    for index, part in enumerate(parts):
        embeds[index, -len(part) :] = part
        mask[index, -len(part) :] = 1
    return embeds, mask


def _generate(
    model: PreTrainedModel,
    decoding: Decoding,
    eos: AbstractSet[int],
    pad: int,
    seed: int | None,
    begin: int = 0,
    **inputs: Tensor,
) -> list[list[int]]:
    """New ids of transformers' own generate, cut of the first ``begin`` ones."""
    generator: Any = model
    start = getattr(model.config, "decoder_start_token_id", None)
    generator.generation_config = GenerationConfig()  # generate() fills every unset field from this one
    penalty = RepetitionPenaltyLogitsProcessor(decoding.repetition_penalty, prompt_ignore_length=begin or None)
    with torch.random.fork_rng(enabled=seed is not None), torch.inference_mode():
        if seed is not None:
            torch.manual_seed(seed)
        ids = generator.generate(
            **inputs,
            generation_config=_generation_config(decoding, eos, pad, start),
            logits_processor=[penalty] * (decoding.repetition_penalty != 1.0),
        )
    return ids[:, begin:].tolist()


def _generation_config(decoding: Decoding, eos: AbstractSet[int], pad: int, start: int | None) -> GenerationConfig:
    sampling = {"temperature": decoding.temperature, "top_k": decoding.top_k, "top_p": decoding.top_p}
    beams = {"length_penalty": decoding.length_penalty, "early_stopping": decoding.early_stopping}
    return GenerationConfig(
        max_new_tokens=decoding.max_new_tokens,
        min_new_tokens=decoding.min_new_tokens,
        num_beams=decoding.num_beams,
        do_sample=decoding.do_sample,
        no_repeat_ngram_size=decoding.no_repeat_ngram_size,
        eos_token_id=sorted(eos),
        pad_token_id=pad,
        decoder_start_token_id=start,
        use_cache=True,
        **(sampling if decoding.do_sample else {}),
        **(beams if decoding.num_beams > 1 else {}),
    )


def _completions(batch: Sequence[int], new: Sequence[Sequence[int]], eos: AbstractSet[int]) -> list[Completion]:
    return [_cut(position, ids, eos) for position, ids in zip(batch, new, strict=True)]


def _cut(position: int, ids: Sequence[int], eos: AbstractSet[int]) -> Completion:
    end = next((index for index, token in enumerate(ids) if token in eos), None)
    return Completion(position, tuple(ids[:end]), end is not None)
