"""What is not here yet is announced with its size, and fetched before anything is computed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from parabench.cli import app
from parabench.contracts import UserError
from parabench.models import cache, downloads
from parabench.models.checkpoints import locate
from tests.support import tiny_suite
from tests.support.local_hub import Hub

pytestmark = pytest.mark.loopback

BART = "facebook/bart-large-cnn"


@pytest.fixture
def arguments(hub: Hub, tmp_path: Path) -> list[str]:
    tiny_suite.examples_file(tmp_path)
    (tmp_path / "own.toml").write_text(
        f"""
name = "own"
title = "Own"
data = "./examples.jsonl"
systems = ["bart"]
controls = ["copy"]
scorers = ["ibleu"]
headline = "ibleu"
decoding = {{ max_new_tokens = 4 }}
[system.bart]
model = "{BART}"
"""
    )
    return [
        "run",
        "--suite",
        str(tmp_path / "own.toml"),
        "--device",
        "cpu",
        "--output",
        str(tmp_path / "out"),
    ]


def weights(hub: Hub) -> list[str]:
    return [path for path in hub.downloads() if "safetensors" in path]


def test_a_dry_run_says_sizes_and_fetches_no_weights(hub: Hub, arguments: list[str]) -> None:
    done = CliRunner().invoke(app, [*arguments, "--dry-run"], catch_exceptions=False)
    size = len(hub[BART].commits[hub[BART].main]["model.safetensors"])
    assert f"{cache.format_bytes(size)} to fetch first" in done.stdout
    assert weights(hub) == []


def test_a_run_fetches_before_it_begins_and_says_so_once(hub: Hub, arguments: list[str]) -> None:
    first = CliRunner().invoke(app, arguments, catch_exceptions=False)
    again = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert first.exit_code == again.exit_code == 0, first.output
    assert f"fetching {BART}" in first.stderr
    assert "fetching" not in again.stderr
    assert len(weights(hub)) >= 1


def test_a_disk_that_is_too_small_is_noticed_before(
    hub: Hub, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda path: SimpleNamespace(free=10))
    with pytest.raises(UserError, match=r"10 B free(.|\n)*HF_HOME"):
        CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert weights(hub) == []


def test_what_is_here_is_not_asked_for(hub: Hub) -> None:
    checkpoint = locate(BART)
    assert downloads.missing_files(checkpoint)
    from parabench.models.checkpoints import checkpoint_folder

    checkpoint_folder(checkpoint)
    hub.asked.clear()
    assert downloads.missing_files(checkpoint) == {}
    assert hub.asked == []
