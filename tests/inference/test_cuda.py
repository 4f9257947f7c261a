"""On a CUDA device in float32 everything is what it is on the CPU; in bfloat16 it runs, and stays
near.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from parabench.contracts import Decoding, Runtime
from parabench.inference.decoding import decode_causal, decode_seq2seq
from parabench.inference.likelihood import causal_log_likelihood, seq2seq_log_likelihood
from parabench.inference.prompt_ids import PromptIds
from parabench.models.checkpoints import locate
from parabench.models.loading import load_causal, load_seq2seq
from parabench.training import losses
from tests.support import tiny

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

CPU, CUDA = Runtime(), Runtime(device="cuda:0")
DECODING = Decoding(max_new_tokens=12)
PROMPT = torch.randn(7, 32, generator=torch.Generator().manual_seed(5))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("models")
    return {
        "bart": tiny.bart(base / "bart"),
        **{name: make(base / name) for name, make in tiny.CAUSAL.items()},
    }


def rows(tokenizer: Any) -> list[PromptIds]:
    """Written prompts, and some behind a soft prompt."""
    ids = [tuple(tokenizer(sentence).input_ids) for sentence in tiny.SENTENCES]
    return [PromptIds(one) for one in ids] + [
        PromptIds((*range(-1, -8, -1), *one), PROMPT) for one in ids
    ]


def completed(folder: Path, runtime: Runtime, decoding: Decoding) -> list[Any]:
    model, tokenizer = load_causal(locate(str(folder)), runtime)
    wanted = (
        rows(tokenizer)
        if tokenizer.name_or_path.endswith("opt")
        else rows(tokenizer)[: len(tiny.SENTENCES)]
    )
    return sorted(
        done for batch in decode_causal(model, wanted, decoding, runtime, {2}, 1) for done in batch
    )


@pytest.mark.parametrize("name", sorted(tiny.CAUSAL))
@pytest.mark.parametrize("beams", [1, 3])
def test_greedy_and_beam_texts_are_those_of_the_cpu(
    folders: dict[str, Path], name: str, beams: int
) -> None:
    decoding = replace(DECODING, num_beams=beams)
    assert completed(folders[name], CUDA, decoding) == completed(folders[name], CPU, decoding)


def test_small_batches_and_sampled_rows_are_those_of_the_cpu(folders: dict[str, Path]) -> None:
    decoding = replace(DECODING, do_sample=True, top_p=0.9, min_new_tokens=3)
    assert completed(folders["opt"], replace(CUDA, batch_size=3), decoding) == completed(
        folders["opt"], CPU, decoding
    )


def test_an_encoder_decoder_answers_as_on_the_cpu(folders: dict[str, Path]) -> None:
    def answers(runtime: Runtime) -> list[Any]:
        model, tokenizer = load_seq2seq(locate(str(folders["bart"])), runtime)
        sources = [tuple(tokenizer(sentence).input_ids) for sentence in tiny.SENTENCES]
        return sorted(
            done for batch in decode_seq2seq(model, sources, DECODING, runtime) for done in batch
        )

    assert answers(CUDA) == answers(CPU)


@pytest.mark.parametrize(("dtype", "error"), [("float32", 1e-3), ("bfloat16", 5.0)])
def test_likelihoods_are_those_of_the_cpu(
    folders: dict[str, Path], dtype: str, error: float
) -> None:
    def pairs(runtime: Runtime) -> np.ndarray:
        model, tokenizer = load_seq2seq(locate(str(folders["bart"])), runtime)
        ids = [tuple(tokenizer(sentence).input_ids) for sentence in tiny.SENTENCES]
        return seq2seq_log_likelihood(model, list(pairwise(ids)), runtime)

    def continued(runtime: Runtime) -> np.ndarray:
        model, tokenizer = load_causal(locate(str(folders["opt"])), runtime)
        wanted = rows(tokenizer)
        return causal_log_likelihood(model, wanted, [row.ids[-4:] for row in wanted], runtime)

    for measure in (pairs, continued):
        np.testing.assert_allclose(measure(replace(CUDA, dtype=dtype)), measure(CPU), atol=error)


@pytest.mark.parametrize(("dtype", "error"), [("float32", 1e-4), ("bfloat16", 0.2)])
def test_a_prompt_tuning_step_is_that_of_the_cpu(
    folders: dict[str, Path], dtype: str, error: float
) -> None:
    examples = [
        losses.TrainingRow([2, 40, 41, 42, 7], [50, 51, 52, 2]),
        losses.TrainingRow([2, 9], [60, 2]),
        losses.TrainingRow([2, 30], [2]),
    ]

    def step(runtime: Runtime) -> tuple[float, torch.Tensor]:
        model, _ = load_causal(locate(str(folders["opt"])), runtime)
        prompt = PROMPT.to(model.device).requires_grad_()
        loss = losses.prompt_loss(model, prompt, examples)
        (gradient,) = torch.autograd.grad(loss, prompt)
        return loss.item(), gradient.cpu()

    (ours, gradient), (theirs, expected) = step(replace(CUDA, dtype=dtype)), step(CPU)
    assert ours == pytest.approx(theirs, abs=error)
    torch.testing.assert_close(gradient, expected, rtol=0, atol=error)


def test_more_rows_than_fit_are_halved_until_they_do(folders: dict[str, Path]) -> None:
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, 30e6 / total))
    try:
        assert len(completed(folders["opt"], CUDA, DECODING)) == 2 * len(tiny.SENTENCES)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()


def test_a_dry_run_counts_what_the_device_has(folders: dict[str, Path]) -> None:
    from parabench.pipeline import device_memory

    whole = torch.cuda.get_device_properties(0).total_memory
    assert 0 < device_memory.available_memory(CUDA) <= whole
    assert device_memory.peak_memory(CUDA) > 0
