"""Trainings that are stopped on purpose, by a signal or by the clock, and what is left of them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch.optim.lr_scheduler import ReduceLROnPlateau
from transformers import AutoModelForCausalLM

from parabench.contracts import Column, Example, Signature, UserError
from parabench.prompts import adapters, encoders
from parabench.training import loop, presets, setup, tracking
from parabench.training.batches import Batch, StreamPosition
from parabench.training.loop import StepLog, run_updates, start_progress
from parabench.training.losses import TrainingRow
from parabench.training.requests import run_training
from parabench.training.resumable import StopRequest, TrainingStopped, finished_outcome
from parabench.training.stopped import export_stopped, is_stopped_training
from tests.support import jobs


def names(path: Path) -> set[str]:
    with safe_open(path, "pt") as file:
        return {name.split(".")[0] for name in file.keys()}  # noqa: SIM118


@pytest.mark.parametrize("name", ["softprompt-4", "finetuned"])
def test_a_stop_is_stored_and_resumed_to_the_same_end(name: str, tmp_path: Path) -> None:
    run_training(jobs.request(name, tmp_path, "whole"))
    stop = StopRequest()

    def watch(log: StepLog) -> None:
        stop.requested = log.step == 4  # no multiple of save_every

    with pytest.raises(TrainingStopped) as stopped:
        run_training(jobs.request(name, tmp_path, "cut"), watch, stop=stop)
    assert (stopped.value.step, stop.stored) == (4, 4)
    assert names(tmp_path / "cut/training/last.safetensors") == {"module", "optimizer"}
    seen: list[int] = []
    run_training(jobs.request(name, tmp_path, "cut"), lambda log: seen.append(log.step))
    assert seen == [5, 6, 7]
    jobs.assert_identical(tmp_path / "whole", tmp_path / "cut")


@pytest.mark.parametrize("name", ["softprompt-4", "bart"])
def test_a_finished_training_keeps_no_optimiser(name: str, tmp_path: Path) -> None:
    run_training(jobs.request(name, tmp_path, "one"))
    for kept in ("last", "best"):
        assert names(tmp_path / f"one/training/{kept}.safetensors") == {"module"}
    outcome = finished_outcome(tmp_path / "one")
    # Whoever is killed before the outcome is written ends the same, from what is stored.
    (tmp_path / "one/training/finished.json").unlink()
    assert run_training(jobs.request(name, tmp_path, "one"), pytest.fail) == outcome


@pytest.mark.parametrize("name", ["softprompt-4", "ptuning-3", "finetuned"])
def test_a_stopped_training_is_taken_as_it_is(name: str, tmp_path: Path) -> None:
    stop = StopRequest()

    def watch(log: StepLog) -> None:
        stop.requested = log.step == 5

    request = jobs.request(name, tmp_path, "cut")
    with pytest.raises(TrainingStopped):
        run_training(request, watch, stop=stop)
    assert is_stopped_training(tmp_path / "cut")
    step = export_stopped(tmp_path / "cut", tmp_path / "taken", request.base)
    assert step in (2, 4)  # the validation that was best
    stored = load_file(tmp_path / "cut/training/best.safetensors")
    if name == "softprompt-4":
        adapter = adapters.load_adapter(tmp_path / "taken", request.base)
        assert torch.equal(adapter.prompt, stored["module.embedding"])
        assert [at for at, _ in adapter.facts.loss] == list(range(1, step + 1))
    elif name == "ptuning-3":
        adapter = adapters.load_adapter(tmp_path / "taken", request.base)
        encoder = encoders.restore_encoder(adapter.facts.encoder, adapter.state)
        assert torch.equal(encoders.evaluate_prompt(encoder), adapter.prompt)
    else:
        model = AutoModelForCausalLM.from_pretrained(tmp_path / "taken")
        weight = stored["module.model.decoder.embed_tokens.weight"]
        assert torch.equal(model.get_input_embeddings().weight, weight)
    run_training(request)
    run_training(replace(request, folder=tmp_path / "whole"))
    jobs.assert_identical(tmp_path / "whole", tmp_path / "cut")


def test_a_training_of_another_base_is_not_taken(tmp_path: Path) -> None:
    stop = StopRequest(requested=True)
    request = jobs.request("softprompt-4", tmp_path, "cut")
    with pytest.raises(TrainingStopped):
        run_training(request, stop=stop)
    other = replace(request.base, digest="0" * 64)
    with pytest.raises(UserError, match="another digest"):
        export_stopped(tmp_path / "cut", tmp_path / "taken", other)
    (tmp_path / "cut/training/last.safetensors").unlink()
    with pytest.raises(UserError, match="no checkpoint yet"):
        export_stopped(tmp_path / "cut", tmp_path / "taken", request.base)


def command(folder: Path, *more: str) -> list[str]:
    (folder / "pairs.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in jobs.PAIRS[:20]))
    base = jobs.base("softprompt-4", folder)
    given = ["softprompt-4", "--data", "tsv:pairs.tsv", "--base", str(base), "--output", "out"]
    return [sys.executable, "-m", "parabench", "train", *given, "--dev", "4", *more]


def wait_for(path: Path, text: str) -> None:
    end = time.monotonic() + 300
    while time.monotonic() < end:
        if path.exists() and text in path.read_text():
            return
        time.sleep(0.05)
    raise AssertionError(f"no {text} in {path}")


def test_one_signal_saves_the_update_and_names_it(tmp_path: Path) -> None:
    asked = command(tmp_path, "--steps", "100000", "--save-every", "100000", "--batch-size", "2")
    process = subprocess.Popen(asked, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    log = tmp_path / "out/training/log.jsonl"
    wait_for(log, '"step": 3,')
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=300)
    assert process.returncode == -signal.SIGINT
    last = [json.loads(line)["step"] for line in log.read_text().splitlines()][-1]
    assert f"stopped after update {last}; run again to resume there" in said
    with safe_open(tmp_path / "out/training/last.safetensors", "pt") as file:
        assert json.loads(file.metadata()["parabench"])["step"] == last


SECOND = """
import os, signal
from parabench.commands import signals
from parabench.training.resumable import StopRequest
with signals.stop_after_update(StopRequest(stored=40)):
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)
"""


def test_signals_before_the_folder_is_read_name_no_update() -> None:
    """A training that goes on may have much stored: "0" would say that all of it is lost."""
    script = SECOND.replace("stored=40", "")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "stopping after this update; once more" in done.stderr
    assert "run again to resume where it stood before" in done.stderr


def test_a_second_signal_names_the_stored_update() -> None:
    done = subprocess.run([sys.executable, "-c", SECOND], capture_output=True, text=True)
    assert done.returncode == -signal.SIGINT
    assert "stopping after this update (stored: 40)" in done.stderr
    assert "stopped at once; run again to resume after update 40" in done.stderr


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock on which ten seconds pass between two looks at it."""
    now = [0.0]

    def look() -> float:
        now[0] += 10.0
        return now[0]

    monkeypatch.setattr(loop.time, "perf_counter", look)


def test_minutes_end_a_training_and_its_schedule(tmp_path: Path, clock: None) -> None:
    asked = jobs.request("softprompt-4", tmp_path, "one")
    kind = setup.parse_kind("softprompt-4")
    config = presets.make_config(kind, minutes=5.0, batch_size=4)
    outcome = run_training(replace(asked, config=config))
    rates = [line["learning_rate"] for line in outcome.history if "loss" in line]
    assert 5 < outcome.steps < 31
    assert rates[0] == pytest.approx(0.01 * config.learning_rate)
    assert max(rates) > 0.9 * config.learning_rate
    assert 0 < rates[-1] < 0.1 * config.learning_rate


def test_minutes_that_were_spent_are_not_given_again(tmp_path: Path, clock: None) -> None:
    kind = setup.parse_kind("softprompt-4")
    config = presets.make_config(kind, minutes=5.0, batch_size=4, schedule="constant")
    asked = replace(jobs.request("softprompt-4", tmp_path, "one"), config=config)
    stop = StopRequest()

    def watch(log: StepLog) -> None:
        stop.requested = log.step == 6

    with pytest.raises(TrainingStopped):
        run_training(asked, watch, stop=stop)
    outcome = run_training(asked)
    whole = run_training(replace(asked, folder=tmp_path / "whole"))
    assert abs(outcome.steps - whole.steps) <= 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": -1},
        {"minutes": -1.0},
        {"minutes": float("inf")},
        {"warmup": -3},
        {"save_every": 0},
        {"validate_every": -1},
        {"patience": -1},
        {"clip": float("nan")},
    ],
)
def test_settings_without_a_meaning_are_refused(wrong: dict) -> None:
    with pytest.raises(UserError, match=r"train (with|for)"):
        presets.make_config(setup.parse_kind("softprompt-4"), **wrong)


@pytest.mark.parametrize("name", ["softprompt-0", "ptuning-0", "ptuning-mlp-00"])
def test_a_prompt_of_no_rows_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="0 virtual tokens"):
        setup.parse_kind(name)


def test_an_absent_tracker_is_told_before_the_data_are_read(tmp_path: Path) -> None:
    asked = command(tmp_path, "--track", "paper")
    (tmp_path / "pairs.tsv").unlink()
    done = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "no such tracker" in done.stderr


def test_trackers_hear_of_validations_from_step_0_on(tmp_path: Path) -> None:
    told: list[tuple[dict, int]] = []
    tracker = tracking.Tracker(lambda numbers, step: told.append((dict(numbers), step)))
    asked = jobs.request("softprompt-4", tmp_path, "one")
    outcome = run_training(asked, tracker.update, report=tracker.validation)
    steps = [step for numbers, step in told if "validation/loss" in numbers]
    assert steps == [0, 2, 4, 6, 7]
    logged = [line for line in outcome.history if "validation" in line]
    assert [line["step"] for line in logged] == steps
    assert told[0][0] == {"validation/loss": logged[0]["validation"]["loss"]}
    assert outcome.kept > 0


class Words:
    """A scorer: words a text."""

    columns = (Column("words", "up", "source"),)
    signature = Signature("words")

    def measure(self, examples: Sequence[Example], texts: Sequence[str]) -> np.ndarray:
        return np.array([[float(len(text.split()))] for text in texts])

    def combine(self, statistics: np.ndarray) -> np.ndarray:
        return statistics.mean(0)


def test_trackers_hear_of_the_texts_scores_from_step_0_on(tmp_path: Path) -> None:
    told: dict[int, dict[str, float]] = {}
    tracker = tracking.Tracker(lambda numbers, step: told.setdefault(step, dict(numbers)))
    asked = jobs.request("softprompt-4", tmp_path, "one")
    outcome = run_training(
        replace(asked, validation_texts=2, scorers=(Words(),)), report=tracker.validation
    )
    assert sorted(told) == [0, 2, 4, 6, 7]
    for line in outcome.history:
        if "validation" in line:
            found = told[line["step"]]
            assert found["validation/words"] == line["validation"]["words"]
            assert len(line["validation"]["samples"]) == 2
            # Trackers draw numbers; the sample texts are in the log.
            assert "validation/samples" not in found


def test_a_plateau_of_the_training_loss_equals_torchs() -> None:
    """As the origin's preset has it, on shorter epochs: patience 10, factor 0.1."""
    preset = presets.make_config(setup.parse_kind("softprompt-4"), preset="origin")
    assert (preset.plateau_every, preset.plateau_patience, preset.plateau_factor) == (8000, 10, 0.1)
    weight = torch.nn.Parameter(torch.ones(1))
    config = replace(preset, steps=60, plateau_every=2, clip=0.0)
    losses = [5.0, 4.0, *[4.5] * 50, *[1.0] * 8]
    supply = [Batch([TrainingRow([1], [2])], StreamPosition(batch=n)) for n in range(60)]
    values = iter(losses)

    def loss(rows: object) -> torch.Tensor:
        return weight.sum() * 0 + next(values)

    progress = start_progress([weight], config)
    rates = [log.learning_rate for log in run_updates(loss, progress, supply, config)]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=config.learning_rate)
    theirs = ReduceLROnPlateau(optimizer, factor=0.1, patience=10, threshold=0.0)
    expected: list[float] = []
    for epoch in range(30):
        expected += [optimizer.param_groups[0]["lr"]] * 2
        optimizer.step()
        theirs.step((losses[2 * epoch] + losses[2 * epoch + 1]) / 2)
    assert rates == pytest.approx(expected)
    assert len(set(expected)) == 3


def test_the_origins_prompt_begins_in_the_vocabulary() -> None:
    """Its soft_embedding.py takes rows of the vocabulary, where the configuration says so."""
    assert presets.preset_initialiser(setup.parse_kind("softprompt-4"), "origin") == "vocabulary"
    assert presets.preset_initialiser(setup.parse_kind("finetuned"), "origin") is None
    assert presets.preset_initialiser(setup.parse_kind("softprompt-4"), None) is None
