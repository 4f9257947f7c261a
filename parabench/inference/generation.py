"""transformers' own ``generate``, with every setting explicit.

For beam search, encoder-decoder models, and architectures whose attention is not the plain one.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Int, Shaped
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    PreTrainedModel,
    RepetitionPenaltyLogitsProcessor,
)

from parabench.contracts import Decoding
from parabench.inference.end_of_text import EndOfText, ForbidEarlyStops, StopAtEnd


def transformers_generate(
    model: PreTrainedModel,
    decoding: Decoding,
    eos: AbstractSet[int],
    pad: int,
    seed: int | None = None,
    end: EndOfText | None = None,
    **inputs: Tensor,
) -> list[list[int]]:
    """New ids of each row, with the padding, without those of ``decoder_input_ids``.

    ``eos``: ids that end a row. ``pad``: id that fills ended rows. ``seed``: where rows are
    sampled. ``end``: what ends the decoded text besides. ``inputs``: what the model's generate takes, such as ``inputs_embeds``.
    """
    generator: Any = model
    begin = inputs["decoder_input_ids"].shape[1] if "decoder_input_ids" in inputs else 0
    processors: list[LogitsProcessor] = []
    criteria = []
    if end is not None:
        criteria.append(StopAtEnd(end, begin))
        processors.append(ForbidEarlyStops(end.stopping_ids, decoding.min_new_tokens, begin))
    if decoding.repetition_penalty != 1.0:
        # transformers' own option would count the begin tokens as written
        processors.append(
            RepetitionPenaltyLogitsProcessor(
                decoding.repetition_penalty, prompt_ignore_length=begin or None
            )
        )
    start = getattr(model.config, "decoder_start_token_id", None)
    sampled = seed is not None
    with (
        torch.random.fork_rng(enabled=sampled),
        torch.inference_mode(),
        warnings.catch_warnings(),
    ):
        # that is what is wanted
        warnings.filterwarnings("ignore", message="Passing `.*` with `inputs_embeds`")
        if seed is not None:
            torch.manual_seed(seed)
        with _without_defaults(generator):
            ids = generator.generate(
                **inputs,
                generation_config=_configuration(decoding, eos, pad, start),
                logits_processor=processors,
                stopping_criteria=criteria,
            )
    return ids[:, begin:].tolist()


@contextmanager
def _without_defaults(model: Any) -> Iterator[None]:
    """Hide the model's own generation settings, from which generate fills every unset field."""
    own = model.generation_config
    model.generation_config = GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = own


def _configuration(
    decoding: Decoding, eos: AbstractSet[int], pad: int, start: int | None
) -> GenerationConfig:
    settings: dict[str, Any] = {}
    # transformers warns of settings that the kind of search does not read
    if decoding.do_sample:
        settings["temperature"] = decoding.temperature
        settings["top_k"] = decoding.top_k
        settings["top_p"] = decoding.top_p
    if decoding.num_beams > 1:
        settings["length_penalty"] = decoding.length_penalty
        settings["early_stopping"] = decoding.early_stopping
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
        **settings,
    )


def pad_rows(
    rows: Sequence[Shaped[Tensor, "_ ..."]], fill: float, left: bool
) -> tuple[Shaped[Tensor, "B T ..."], Int[Tensor, "B T"]]:
    """Pad rows of one dtype to one tensor: it, and its attention mask.

    ``fill`` is the padding's value; it stands on the ``left``, or else on the right.
    """
    side = "left" if left else "right"
    padded = pad_sequence(list(rows), batch_first=True, padding_value=fill, padding_side=side)
    ones = [torch.ones(len(row), dtype=torch.long, device=row.device) for row in rows]
    return padded, pad_sequence(ones, batch_first=True, padding_side=side)
