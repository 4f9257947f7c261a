"""A training that was killed ends as one that was not: every tensor, the log and the facts, bit for
bit.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from parabench.contracts import UserError
from parabench.models.checkpoints import locate
from parabench.prompts import adapters
from parabench.training.requests import run_training
from parabench.training.resumable import finished_outcome
from tests.support import jobs


def work(name: str, folder: Path, output: str, event: Callable[[], object]) -> None:
    run_training(jobs.request(name, folder, output), lambda _: event())


def killed_at(name: str, folder: Path, events: int) -> bool:
    """Kill once at the event, then run the command again to the end."""
    died = jobs.dies(work, name, folder, f"killed-{events}", events=events)
    run_training(jobs.request(name, folder, f"killed-{events}"))
    return died


@pytest.mark.parametrize("name", jobs.KINDS)
def test_a_killed_training_ends_as_an_uninterrupted_one(name: str, tmp_path: Path) -> None:
    run_training(jobs.request(name, tmp_path, "whole"))
    for events in (9, 40):
        assert killed_at(name, tmp_path, events)
        jobs.assert_identical(tmp_path / "whole", tmp_path / f"killed-{events}")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["softprompt-4", "finetuned", "bart"])
def test_thirty_kills(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_training(jobs.request(name, tmp_path, "whole"))
    died = 0
    for events in range(0, 60, 2):
        died += killed_at(name, tmp_path, events)
        jobs.assert_identical(tmp_path / "whole", tmp_path / f"killed-{events}")
    with capsys.disabled():
        print(f"\n{name}: killed at {died} of 30 points, 30 ends bit-identical")
    assert died == 30


def test_a_finished_training_stays_and_another_is_refused(tmp_path: Path) -> None:
    first = run_training(jobs.request("softprompt-4", tmp_path, "one"))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*.safetensors")}
    assert run_training(jobs.request("softprompt-4", tmp_path, "one"), pytest.fail) == first
    assert before == {
        path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*.safetensors")
    }
    with pytest.raises(UserError, match="learning_rate"):
        run_training(jobs.request("softprompt-4", tmp_path, "one", learning_rate=0.5))


def test_the_adapter_says_where_it_comes_from(tmp_path: Path) -> None:
    outcome = run_training(jobs.request("ptuning-3", tmp_path, "one"))
    adapter = adapters.load_adapter(tmp_path / "one", locate(str(tmp_path / "base")))
    assert adapter.prompt.shape == (3, 32)
    assert adapter.facts.encoder["kind"] == "lstm"
    assert adapter.facts.data == "data: tiny"
    assert [step for step, _ in adapter.facts.loss] == list(range(1, 8))
    assert {"torch", "parabench"} <= adapter.facts.versions.keys()
    assert finished_outcome(tmp_path / "one") == outcome


def test_the_best_state_is_kept_not_the_last(tmp_path: Path) -> None:
    """A rate that ruins the prompt after a good start: the lowest validation loss decides."""
    outcome = run_training(
        jobs.request("softprompt-4", tmp_path, "one", steps=12, patience=2, schedule="constant")
    )
    losses = {
        line["step"]: line["validation"]["loss"] for line in outcome.history if "validation" in line
    }
    assert outcome.kept == min(losses, key=lambda step: losses[step])
    assert outcome.loss == min(losses.values())


def test_a_diverging_training_keeps_its_last_good_state(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the loss (is|rose)"):
        run_training(
            jobs.request(
                "finetuned", tmp_path, "one", steps=200, learning_rate=1e4, schedule="constant"
            )
        )
    assert (tmp_path / "one" / "training" / "last.safetensors").exists()
    assert not (tmp_path / "one" / "config.json").exists()


def test_a_fine_tuned_model_is_a_plain_checkpoint(tmp_path: Path) -> None:
    run_training(jobs.request("finetuned", tmp_path, "one"))
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "one")
    start = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    assert not torch.equal(model.lm_head.weight, start.lm_head.weight)
    log = [
        json.loads(line)
        for line in (tmp_path / "one" / "training" / "log.jsonl").read_text().splitlines()
    ]
    assert [line["step"] for line in log if "loss" in line] == list(range(1, 8))


def test_a_full_disk_is_said_and_costs_nothing_that_was_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_training(jobs.request("softprompt-4", tmp_path, "whole"))
    real, left = os.write, [12]

    def write(file: int, data: bytes) -> int:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        with pytest.raises(UserError, match="No space left on device"):
            run_training(jobs.request("softprompt-4", tmp_path, "full"))
    assert left[0] < 0
    run_training(jobs.request("softprompt-4", tmp_path, "full"))
    jobs.assert_identical(tmp_path / "whole", tmp_path / "full")
