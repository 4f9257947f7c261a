"""transformers' own generate with every setting explicit: beams, and encoder-decoder models."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel, RepetitionPenaltyLogitsProcessor

from parabench.contracts import Decoding


def transformers_generate(
    model: PreTrainedModel,
    decoding: Decoding,
    eos: AbstractSet[int],
    pad: int,
    seed: int | None = None,
    **inputs: Tensor,
) -> list[list[int]]:
    """New ids of each row, padding and all, behind those of ``decoder_input_ids``; ``seed`` where
    sampled.
    """
    generator: Any = model
    generator.generation_config = (
        GenerationConfig()
    )  # generate() fills every unset field from this one
    begin = inputs["decoder_input_ids"].shape[1] if "decoder_input_ids" in inputs else 0
    penalty = RepetitionPenaltyLogitsProcessor(
        decoding.repetition_penalty, prompt_ignore_length=begin or None
    )
    start = getattr(model.config, "decoder_start_token_id", None)
    with (
        torch.random.fork_rng(enabled=seed is not None),
        torch.inference_mode(),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings(
            "ignore", message="Passing `.*` with `inputs_embeds`"
        )  # that is what is wanted
        if seed is not None:
            torch.manual_seed(seed)
        ids = generator.generate(
            **inputs,
            generation_config=_configuration(decoding, eos, pad, start),
            logits_processor=[penalty] * (decoding.repetition_penalty != 1.0),
        )
    return ids[:, begin:].tolist()


def _configuration(
    decoding: Decoding, eos: AbstractSet[int], pad: int, start: int | None
) -> GenerationConfig:
    sampling = {
        "temperature": decoding.temperature,
        "top_k": decoding.top_k,
        "top_p": decoding.top_p,
    }
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


def pad_rows(rows: Sequence[Tensor], fill: float, left: bool) -> tuple[Tensor, Tensor]:
    """Rows ``[T, ...]`` of one dtype as one padded tensor ``[B, T, ...]``, and its attention mask
    ``[B, T]``.
    """
    side = "left" if left else "right"
    padded = torch.nn.utils.rnn.pad_sequence(
        list(rows), batch_first=True, padding_value=fill, padding_side=side
    )
    ones = [torch.ones(len(row), dtype=torch.long, device=row.device) for row in rows]
    return padded, torch.nn.utils.rnn.pad_sequence(ones, batch_first=True, padding_side=side)
