"""Any architecture that transformers builds is decoded as its own generate does, packed or not."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
import torch
from transformers import GenerationConfig

from parabench.contracts import Decoding, Runtime, UserError
from parabench.inference.decoding import decode_causal, decode_seq2seq
from parabench.inference.likelihood import causal_log_likelihood
from parabench.inference.packed_forward import runs_packed
from parabench.inference.prompt_ids import PromptIds
from parabench.inference.trials import ignores_padding
from tests.support import architectures

DECODING = Decoding(max_new_tokens=8)
ROWS = [tuple(range(3, 3 + count)) for count in (5, 11, 20, 20)]
PACKED = ("gpt_neox", "lfm2", "phi", "qwen3", "starcoder2")
NOT_PACKED = ("stablelm", "mbart", "bart", "bloom", "codegen", "gemma2", "mamba", "openai-gpt")
NOT_PACKED += ("deepseek_v4", "inkling_text", "roberta", "xlm")
SEQ2SEQ = ("mbart", "m2m_100", "pegasus", "t5")


def settings(**more: Any) -> GenerationConfig:
    return GenerationConfig(
        max_new_tokens=8,
        # as Decoding, where no text is empty: these models end some rows at once
        min_new_tokens=1,
        eos_token_id=[2],
        pad_token_id=1,
        do_sample=False,
        **more,
    )


def until_end(ids: list[int]) -> tuple[int, ...]:
    return tuple(ids[: ids.index(2)] if 2 in ids else ids)


def by_transformers(model: Any, ids: tuple[int, ...]) -> tuple[int, ...]:
    model.generation_config = GenerationConfig()
    made = model.generate(input_ids=torch.tensor([ids]), generation_config=settings())
    return until_end(made[0, len(ids) :].tolist())


def by_us(model: Any) -> list[tuple[int, ...]]:
    prompts = [PromptIds(ids) for ids in ROWS]
    batches = decode_causal(model, prompts, DECODING, Runtime(), {2}, 1)
    return [done.ids for done in sorted(done for batch in batches for done in batch)]


def check(model: Any) -> None:
    assert by_us(model) == [by_transformers(model, ids) for ids in ROWS]


@pytest.mark.parametrize("name", [*PACKED, *NOT_PACKED])
def test_a_decoder_writes_what_generate_writes(name: str, caplog: pytest.LogCaptureFixture) -> None:
    model = architectures.build(name)
    with caplog.at_level(logging.WARNING):
        assert runs_packed(model) == (name in PACKED)
        check(model)
    said = [record for record in caplog.records if "transformers' own generate" in record.message]
    assert len(said) == (name in NOT_PACKED)


ROPE = {"rope_theta": 10000.0, "original_max_position_embeddings": 12}
BEYOND_A_TRIAL: dict[str, dict[str, Any]] = {
    # what 13 tokens do not reach has an end that these rows do reach
    "doge": {"keep_window_size": 16},
    "llama4_text": {"attention_chunk_size": 16},
    "phi3": {
        "rope_parameters": ROPE
        | {"rope_type": "longrope", "short_factor": [1.0] * 4, "long_factor": [9.0] * 4}
    },
    "qwen2": {"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 1},
    "starcoder2": {"sliding_window": 16},
}


@pytest.mark.parametrize("name", BEYOND_A_TRIAL)
def test_what_a_trial_cannot_reach_is_read_from_files(name: str) -> None:
    model = architectures.build(name, **BEYOND_A_TRIAL[name])
    assert not runs_packed(model)
    check(model)


def test_convolutions_between_attention_do_not_run_packed() -> None:
    model = architectures.build("lfm2", layer_types=["conv", "full_attention"])
    assert not runs_packed(model)
    check(model)


@pytest.mark.parametrize(("name", "ignores"), [("roberta", True), ("xlm", False)])
def test_rows_are_padded_where_that_changes_nothing(name: str, ignores: bool) -> None:
    assert ignores_padding(architectures.build(name), pad=1) == ignores


@pytest.mark.parametrize("name", ["deepseek_v4", "xlm"])
def test_a_soft_prompt_is_refused_where_ids_are_needed(name: str) -> None:
    model = architectures.build(name)
    rows = [PromptIds((3, -1, 4), torch.zeros(1, 32))]
    with pytest.raises(UserError, match="behind a soft prompt"):
        list(decode_causal(model, rows, DECODING, Runtime(), {2}, 1))


@pytest.mark.parametrize("name", ["gpt_neox", "stablelm", "bloom"])
def test_likelihoods_are_those_of_the_model(name: str) -> None:
    model = architectures.build(name)
    targets = [(7, 9, 2), (5,), (), (40, 41)]
    ours = causal_log_likelihood(model, [PromptIds(ids) for ids in ROWS], targets, Runtime())
    for row, ids, target in zip(ours, ROWS, targets, strict=True):
        logits = model(input_ids=torch.tensor([ids + target])).logits[0].log_softmax(dim=1)
        own = sum(float(logits[len(ids) - 1 + at, token]) for at, token in enumerate(target))
        np.testing.assert_allclose(row, [own, len(target)], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", SEQ2SEQ)
def test_an_encoder_decoder_writes_what_generate_writes(name: str) -> None:
    model = architectures.build(name, seq2seq=True)
    batches = decode_seq2seq(model, ROWS, DECODING, Runtime())
    ours = [done.ids for done in sorted(done for batch in batches for done in batch)]
    model.generation_config = GenerationConfig()
    for ids, written in zip(ROWS, ours, strict=True):
        made = model.generate(
            input_ids=torch.tensor([ids]), generation_config=settings(decoder_start_token_id=2)
        )
        assert written == until_end(made[0, 1:].tolist())


def test_a_forced_language_begins_every_target() -> None:
    model = architectures.build("mbart", seq2seq=True)
    model.generation_config = GenerationConfig(forced_bos_token_id=7)
    (batch,) = decode_seq2seq(model, ROWS[:1], DECODING, Runtime())
    model.generation_config = GenerationConfig()
    begin = torch.tensor([[2, 7]])
    made = model.generate(
        input_ids=torch.tensor(ROWS[:1]),
        decoder_input_ids=begin,
        generation_config=settings(decoder_start_token_id=2),
    )
    assert batch[0].ids == until_end(made[0, 2:].tolist())


def test_no_start_of_a_target_is_a_user_error() -> None:
    model = architectures.build("mbart", seq2seq=True)
    model.config.decoder_start_token_id = model.config.bos_token_id = None
    model.generation_config = GenerationConfig()
    with pytest.raises(UserError, match="decoder_start_token_id"):
        list(decode_seq2seq(model, ROWS, DECODING, Runtime()))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*architectures.CAUSAL} - {*PACKED, *NOT_PACKED}))
def test_every_architecture_that_can_be_built_small(name: str) -> None:
    try:
        model = architectures.build(name)
        expected = by_transformers(model, ROWS[0])
    except Exception as error:
        pytest.skip(f"not built from numbers: {type(error).__name__}: {str(error)[:60]}")
    assert by_us(model)[0] == expected
    check(model)
