"""Trackers themselves, offline: what they were told is in the files that they keep."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from parabench.training import tracking
from parabench.training.loop import StepLog

LOGS = [StepLog(step, 3.5 - step, 10.0, 0.1, 0.5, 30) for step in (1, 2, 3)]


def track(name: str, folder: Path) -> None:
    with tracking.open_tracker(name, folder) as note:
        for log in LOGS:
            note.update(log)


def test_tensorboard_reads_back_what_it_was_told(tmp_path: Path) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    track("tensorboard", tmp_path)
    found = reader.EventAccumulator(str(tmp_path / "tracking"))
    found.Reload()
    assert set(found.Tags()["scalars"]) == set(StepLog._fields) - {"step"}
    assert [(event.step, event.value) for event in found.Scalars("loss")] == [
        (1, 2.5),
        (2, 1.5),
        (3, 0.5),
    ]


@pytest.mark.slow
@pytest.mark.loopback
def test_weights_and_biases_keeps_a_run_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    track("wandb", tmp_path)
    assert len(list((tmp_path / "wandb").glob("offline-run-*/run-*.wandb"))) == 1
    assert re.search(
        r"wandb:\s+loss 0\.5\b", capfd.readouterr().err
    )  # its own summary of what it holds
