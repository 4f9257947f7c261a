"""transformers' own ``generate``, with every setting explicit.

For beam search, encoder-decoder models, and architectures whose attention is not the plain one.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    NoRepeatNGramLogitsProcessor,
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
    never: Sequence[int] = (),
    **inputs: Tensor,
) -> list[list[int]]:
    """New ids of each row, with the padding, without those of ``decoder_input_ids``.

    ``eos``: ids that end a row. ``pad``: id that fills ended rows. ``seed``: where rows are
    sampled. ``end``: what ends the decoded text besides. ``never``: ids that are not written.
    ``inputs``: what the model's generate takes, such as ``inputs_embeds``.
    """
    generator: Any = model
    begin = _given_ids(inputs)
    criteria = [] if end is None else [StopAtEnd(end, begin)]
    continues_prompt = begin > 0 and "decoder_input_ids" not in inputs
    processors, decoding = _processors(decoding, end, begin, continues_prompt)
    start = getattr(model.config, "decoder_start_token_id", None)
    sampled = seed is not None
    with torch.random.fork_rng(enabled=sampled), torch.inference_mode(), warnings.catch_warnings():
        # that is what is wanted
        warnings.filterwarnings("ignore", message="Passing `.*` with `inputs_embeds`")
        if seed is not None:
            torch.manual_seed(seed)
        with without_defaults(generator):
            ids = generator.generate(
                **inputs,
                generation_config=_configuration(decoding, eos, pad, start, never),
                logits_processor=processors,
                stopping_criteria=criteria,
            )
    return ids[:, begin:].tolist()


def _processors(
    decoding: Decoding,
    end: EndOfText | None,
    begin: int,
    continues_prompt: bool,
) -> tuple[list[LogitsProcessor], Decoding]:
    """What changes the scores besides generate itself, and the decoding that is left to it.

    ``begin`` ids of each row were not generated; ``continues_prompt``: they are a prompt's.
    """
    processors: list[LogitsProcessor] = []
    if end is not None:
        processors.append(ForbidEarlyStops(end.stopping_ids, decoding.min_new_tokens, begin))
    if decoding.repetition_penalty != 1.0:
        # transformers' own option would count the begin tokens as written
        penalty = RepetitionPenaltyLogitsProcessor(
            decoding.repetition_penalty,
            prompt_ignore_length=begin or None,
        )
        processors.append(penalty)
    if decoding.no_repeat_ngram_size > 0 and continues_prompt:
        # and its n-grams would begin in the prompt
        own = NoRepeatNGramLogitsProcessor(decoding.no_repeat_ngram_size)
        processors.append(_OnNewTokens(own, begin))
        decoding = replace(decoding, no_repeat_ngram_size=0)
    return processors, decoding


def _given_ids(inputs: Mapping[str, Tensor]) -> int:
    """How many ids of each row in generate's result it was given: those that it continues."""
    if "decoder_input_ids" in inputs:
        return inputs["decoder_input_ids"].shape[1]
    if "input_ids" in inputs:
        return inputs["input_ids"].shape[1]
    return 0  # embeddings have no ids


class _OnNewTokens(LogitsProcessor):
    """A processor that sees the new tokens alone; the first ``begin`` of each row are not."""

    def __init__(self, processor: LogitsProcessor, begin: int) -> None:
        self.processor = processor
        self.begin = begin

    def __call__(
        self, input_ids: Int[Tensor, "B T"], scores: Float[Tensor, "B V"]
    ) -> Float[Tensor, "B V"]:
        """The ``scores`` as the processor changes them."""
        new: Any = input_ids[:, self.begin :]
        return self.processor(new, scores)


@contextmanager
def without_defaults(model: Any) -> Iterator[None]:
    """Hide the model's own generation settings, from which generate fills every unset field."""
    own = model.generation_config
    model.generation_config = GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = own


def _configuration(
    decoding: Decoding,
    eos: AbstractSet[int],
    pad: int,
    start: int | None,
    never: Sequence[int],
) -> GenerationConfig:
    settings: dict[str, Any] = {"suppress_tokens": list(never)} if never else {}
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
    rows: Sequence[Shaped[Tensor, "_ ..."]],
    fill: float,
    left: bool,
) -> tuple[Shaped[Tensor, "B T ..."], Int[Tensor, "B T"]]:
    """Pad rows of one dtype to one tensor: it, and its attention mask.

    ``fill`` is the padding's value; it is on the ``left``, or else on the right.
    """
    side = "left" if left else "right"
    padded = pad_sequence(
        list(rows),
        batch_first=True,
        padding_value=fill,
        padding_side=side,
    )
    ones = [torch.ones(len(row), dtype=torch.long, device=row.device) for row in rows]
    return padded, pad_sequence(ones, batch_first=True, padding_side=side)
