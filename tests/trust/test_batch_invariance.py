"""The self-test agrees with itself in float32, sees a dropped mask, and says so where it could not
have seen one.
"""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from parabench.cli import app
from parabench.pipeline import batch_invariance
from tests.support import tiny_suite


@pytest.fixture(scope="module")
def suite(tmp_path_factory) -> Path:
    return tiny_suite.suite_file(tmp_path_factory.mktemp("suite"))


def run(suite):
    return CliRunner().invoke(
        app,
        ["doctor", "--batch-invariance", "--suite", str(suite), "--device", "cpu"],
        catch_exceptions=False,
    )


def test_no_batch_size_changes_a_text_and_a_control_would(suite):
    done = run(suite)
    assert done.exit_code == 0, done.output
    head, *lines = done.stdout.splitlines()
    assert head == "greedy texts at batch sizes 2, 7, 16 against 1; cpu, float32"
    assert [line.split()[0] for line in lines] == ["zeroshot", "bart"]
    assert all(
        "0/36 differ (0.0 %); with a wrong mask " in line and "nothing" not in line
        for line in lines
    )


def test_a_text_that_depends_on_its_batch_fails(suite, monkeypatch):
    monkeypatch.setattr(batch_invariance, "_count_differing", lambda one, other: len(one))
    assert run(suite).exit_code == 1


def test_a_control_that_does_not_differ_fails(suite, monkeypatch):
    monkeypatch.setattr(batch_invariance, "_count_differing", lambda one, other: 0)
    done = run(suite)
    assert done.exit_code == 1
    assert "shows nothing" in done.stdout
