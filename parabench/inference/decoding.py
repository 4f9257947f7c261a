"""Decoding: from prompts to new tokens, the same for every system.

Lengths and penalties count new tokens only, so that soft and written prompts are treated alike.
Greedy and sampled rows run under continuous batching and share their common prefixes. Beams,
encoder-decoder models and architectures with other than plain attention go through transformers'
generate.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import torch
from transformers import PreTrainedModel

from parabench.contracts import Decoding, Runtime, UserError
from parabench.inference.attention import may_be_padded
from parabench.inference.batching import by_length, check_lengths, in_batches
from parabench.inference.continuous_batching import Completion, decode_continuously
from parabench.inference.end_of_text import EndOfText, declared_end_ids
from parabench.inference.generation import pad_rows, transformers_generate
from parabench.inference.packed_forward import TESTED_ARCHITECTURES, runs_packed
from parabench.inference.prompt_ids import PromptIds, embed, row_seeds
from parabench.inference.trials import ignores_padding, require_embeddings

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
    if decoding.num_beams > 1 or not runs_packed(model):
        yield from _with_generate(model, rows, decoding, runtime, eos, pad, end)
    else:
        yield from decode_continuously(model, rows, decoding, runtime, eos, end)


def decode_seq2seq(
    model: PreTrainedModel,
    sources: Sequence[tuple[int, ...]],
    decoding: Decoding,
    runtime: Runtime,
) -> Iterator[list[Completion]]:
    """Answer every source with an encoder-decoder model, batch by batch, each position once.

    ``sources`` are token ids. The decoder begins with the start token, and for BART also with
    ``<s>``, which opens every target it was trained on (Lewis et al. 2020; fairseq), for others
    with the id that their files force there. None counts as new, no end is forced. Ids that the
    files forbid are not written, as Marian's padding, which its vocabulary would write; no other
    default of the checkpoint applies.

    Raises UserError, before any work, where a source or the new tokens exceed the model's
    positions.
    """
    config: Any = model.config
    begin = _decoder_begin(model)
    longest_target = decoding.max_new_tokens + len(begin)
    needed = [max(len(source), longest_target) for source in sources]
    check_lengths(model, needed, "source or new tokens")
    seeds = row_seeds(sources, runtime.seed)
    eos = declared_end_ids(model)
    pad = config.pad_token_id if config.pad_token_id is not None else min(eos, default=0)

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
            never=_forbidden_ids(model),
            # generate continues these, and adds no start token of its own
            decoder_input_ids=torch.tensor([begin] * len(batch), device=model.device),
        )
        return [_until_end(position, row, eos) for position, row in zip(batch, new, strict=True)]

    # generate draws for a whole batch at once: a sampled row must go alone to be its own
    size = 1 if decoding.do_sample else runtime.batch_size
    order = by_length([len(source) for source in sources])
    yield from in_batches(order, run, size, AUTO_BATCH, model=model)


def _decoder_begin(model: PreTrainedModel) -> list[int]:
    """The ids that an encoder-decoder's targets begin with.

    Its start token; for BART ``<s>``, and for others the language or task id that their files
    force (mBART, M2M-100). Raises UserError where no start token is declared.
    """
    config: Any = model.config
    generation = getattr(model, "generation_config", None)
    start = getattr(config, "decoder_start_token_id", None)
    if start is None:
        start = getattr(generation, "decoder_start_token_id", None)
    if start is None:
        start = getattr(config, "bos_token_id", None)
    if start is None:
        raise UserError(
            f"answer with the architecture {config.model_type}",
            "its configuration declares no decoder_start_token_id",
            mend="set decoder_start_token_id in config.json, for mBART the id of the language",
        )
    if config.model_type == "bart":
        return [start, config.bos_token_id]
    forced = getattr(config, "forced_bos_token_id", None)
    if forced is None:
        forced = getattr(generation, "forced_bos_token_id", None)
    return [start] if forced is None else [start, int(forced)]


def _forbidden_ids(model: PreTrainedModel) -> list[int]:
    """The ids that an encoder-decoder's files forbid by themselves (``bad_words_ids``)."""
    found: set[int] = set()
    for source in (model.config, getattr(model, "generation_config", None)):
        for words in getattr(source, "bad_words_ids", None) or ():
            if len(words) == 1:
                found.add(int(words[0]))
    return sorted(found)


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
        inputs = _padded_inputs(model, [rows[position] for position in batch], pad)
        seed = seeds[batch[0]] if decoding.do_sample else None
        new = transformers_generate(model, decoding, eos, pad, seed, end, never=(), **inputs)
        return [
            _until_end(position, ids, eos, end) for position, ids in zip(batch, new, strict=True)
        ]

    # As in decode_seq2seq, a sampled row goes alone. So does every row where another changes it.
    alone = decoding.do_sample or not _rows_share_batches(model, pad)
    size = 1 if alone else runtime.batch_size
    order = by_length([len(row.ids) for row in rows])
    yield from in_batches(order, run, size, AUTO_BATCH, model=model)


def _rows_share_batches(model: PreTrainedModel, pad: int) -> bool:
    """Tell whether generate writes the same for a row whatever rows are padded with it.

    Not where the architecture counts positions by itself, for it would count the padding before a
    short prompt; nor where its configuration or a trial says that padding matters.
    """
    takes_positions = "position_ids" in inspect.signature(model.forward).parameters
    if not takes_positions or not may_be_padded(model):
        return False
    return model.config.model_type in TESTED_ARCHITECTURES or ignores_padding(model, pad)


def _padded_inputs(
    model: PreTrainedModel,
    rows: Sequence[PromptIds],
    pad: int,
) -> dict[str, torch.Tensor]:
    """Prompts padded on the left: as ids, and with virtual tokens as embeddings.

    Some architectures look at the ids themselves, and some read them again later (Phi-3, where a
    text outgrows its first positions). Raises UserError where a prompt has virtual tokens and
    transformers' generate takes no embeddings for the architecture, or other texts come of them.
    """
    if all(token >= 0 for row in rows for token in row.ids):
        ids = [torch.tensor(row.ids, device=model.device) for row in rows]
        padded, mask = pad_rows(ids, pad, left=True)
        return {"input_ids": padded, "attention_mask": mask}
    prepare: Any = model.prepare_inputs_for_generation
    if "inputs_embeds" not in inspect.signature(prepare).parameters:
        raise UserError(
            f"run the architecture {model.config.model_type} behind a soft prompt",
            "transformers' generate takes no embeddings for it",
            mend="use a model of another architecture, such as opt or llama",
        )
    require_embeddings(model)
    padded, mask = pad_rows([embed(model, [row]) for row in rows], 0.0, left=True)
    return {"inputs_embeds": padded, "attention_mask": mask}


def _until_end(
    position: int,
    ids: Sequence[int],
    eos: AbstractSet[int],
    end: EndOfText | None = None,
) -> Completion:
    """The completion of the row at ``position``: its ids up to the end, the rest being padding."""
    for count, token in enumerate(ids):
        if token in eos:
            return Completion(position, tuple(ids[:count]), True)
        if end is not None and end.reached(ids[: count + 1]):
            return Completion(position, tuple(ids[: count + 1]), True)
    return Completion(position, tuple(ids), False)
