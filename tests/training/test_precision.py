"""Half precision where it saves memory, and never where a small step would be rounded away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from parabench.contracts import Runtime
from parabench.training.batches import Batch, StreamPosition
from parabench.training.config import TrainingConfig
from parabench.training.loop import run_updates, start_progress
from parabench.training.losses import TrainingRow
from parabench.training.requests import run_training
from parabench.training.setup import load_setup
from tests.support import jobs


@pytest.mark.parametrize("name", ["softprompt-4", "ptuning-3"])
def test_a_prompt_learns_in_float32_before_a_base_in_bfloat16(name: str, tmp_path: Path) -> None:
    asked = replace(
        jobs.request(name, tmp_path, "out", learning_rate=1e-5), runtime=Runtime(dtype="bfloat16")
    )
    setup = load_setup(asked.kind, asked.base, asked.runtime)
    assert {value.dtype for value in setup.model.parameters()} == {torch.bfloat16}
    assert {value.dtype for value in setup.objective.module.parameters()} == {torch.float32}
    run_training(asked)
    prompt = load_file(tmp_path / "out" / "adapter_model.safetensors")["prompt_embeddings"]
    start = load_file(tmp_path / "out" / "parabench_state.safetensors")["initial"]
    moved = (prompt - start).abs()
    assert prompt.dtype == torch.float32
    assert 0 < moved.median() < start.abs().median() * torch.finfo(torch.bfloat16).eps


@pytest.mark.parametrize("name", ["finetuned", "bart"])
def test_whole_models_compute_in_bfloat16_and_learn_in_float32(name: str, tmp_path: Path) -> None:
    whole = run_training(jobs.request(name, tmp_path, "whole", steps=3, learning_rate=1e-4))
    half = run_training(
        jobs.request(name, tmp_path, "half", steps=3, learning_rate=1e-4, bf16=True)
    )
    losses = [
        [line["loss"] for line in outcome.history if "loss" in line] for outcome in (whole, half)
    ]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    kept = load_file(tmp_path / "half" / "training" / "last.safetensors")
    assert {value.dtype for key, value in kept.items() if key.startswith("module.")} == {
        torch.float32
    }


def test_the_loss_is_computed_under_autocast_only_if_asked() -> None:
    weight, seen = torch.nn.Parameter(torch.ones(2, 2)), list[torch.dtype]()

    def loss(_: Sequence[TrainingRow]) -> torch.Tensor:
        product = weight @ weight
        seen.append(product.dtype)
        return product.float().sum()

    for bf16 in (False, True):
        config = TrainingConfig(steps=1, bf16=bf16)
        list(
            run_updates(
                loss,
                start_progress([weight], config),
                [Batch([TrainingRow([1], [2])], StreamPosition())],
                config,
            )
        )
    assert seen == [torch.float32, torch.bfloat16]
