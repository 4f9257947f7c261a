"""The command line as a person meets it: answers, refusals, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from parabench import registry
from parabench.cli import app
from parabench.contracts import UserError
from tests.support import tiny_suite


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_suite.suite_file(tmp_path_factory.mktemp("suite"))


def parabench(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The real program in a process of its own."""
    command = [sys.executable, "-m", "parabench", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=cwd)


def call(*arguments: object) -> str:
    """The program in this process; its standard output."""
    done = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_mistake_ends_in_one_message_and_exit_code_2(tmp_path: Path) -> None:
    done = parabench("run", "--systems", "softpromt-111", cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "did you mean softprompt?" in done.stderr
    assert "parabench list systems" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "--suite", "minni"), "did you mean mini?"),
        (("run", "--scorers", "blue"), "did you mean bleu?"),
        (("run", "--scorers", "bleu,bleu"), "duplicate name: bleu"),
        (("run", "--limit", "0", "--systems", "copy"), "no examples are left"),
        (("run", "--batch-size", "many"), "not a positive number"),
        (("run", "--device", "cuda:7"), "CUDA devices"),
        (("run", "--seed", "-1", "--systems", "copy"), "draw with the seed -1"),
        (("run", "--dtype", "float8", "--dry-run"), "compute in 'float8'"),
        (("train", "softprompt-4", "--seed", "-1"), "draw with the seed -1"),
        (("run", "--data", "nowhere.jsonl"), "No such file"),
        (("score", "nowhere.tsv"), "No such file"),
        (("list", "flavours"), "no such kind"),
        (("report", "nowhere"), "no such folder"),
        (("report", __file__), "it is a file, and a run is a folder"),
        (("report", str(Path(__file__).parent)), "there is no spec.json in it"),
        (("compare", "nowhere", "nowhere"), "no such folder"),
    ],
)
def test_what_cannot_be_done_is_a_user_error(arguments: tuple[str, ...], says: str) -> None:
    done = CliRunner().invoke(app, list(arguments))
    assert isinstance(done.exception, UserError), done.output
    assert says in str(done.exception)


def test_lists_describe_everything() -> None:
    for kind in ("systems", "scorers", "suites"):
        lines = call("list", kind).splitlines()
        assert lines
        assert all(len(line.split(None, 1)) == 2 for line in lines), lines


def test_a_run_a_report_and_a_dry_run_agree(suite: Path, tmp_path: Path) -> None:
    chosen = (
        "--suite",
        suite,
        "--device",
        "cpu",
        "--output",
        tmp_path / "run",
        "--systems",
        "copy,human,zeroshot",
    )
    before = call("run", *chosen, "--dry-run")
    assert "0/12 generated" in before
    assert not (tmp_path / "run").exists()
    printed = call("run", *chosen)
    assert "zeroshot" in printed
    table = (tmp_path / "run" / "leaderboard.md").read_text()
    assert "12/12 generated" in call("run", *chosen, "--dry-run")
    call("report", tmp_path / "run")
    assert (tmp_path / "run" / "leaderboard.md").read_text() == table


def test_a_dry_run_says_what_is_missing(suite: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, ["run", "--suite", str(suite), "--systems", "softprompt-9,copy", "--dry-run"]
    )
    assert done.exit_code == 2
    assert "MISSING" in done.output
    assert "parabench train softprompt-9" in done.output


MISSING_BASE = """
name = "miss"
title = "miss"
systems = ["softprompt-20", "softprompt-111", "zeroshot", "finetuned"]
controls = ["copy"]
scorers = ["divergence"]
headline = "ned"
[system.zeroshot]
model = "./nowhere/opt"
[system.softprompt]
model = "./nowhere/opt"
adapters = "results/checkpoints"
[system.finetuned]
model = "results/checkpoints/finetuned"
"""


def test_each_missing_thing_is_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "miss.toml").write_text(MISSING_BASE)
    (tmp_path / "test.tsv").write_text("the old man\tan old man\nthe red car\ta red car\n")
    asked = ["run", "--suite", "miss.toml", "--data", "test.tsv", "--device", "cpu", "--dry-run"]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 2
    assert done.output.count("/nowhere/opt'") == 1
    assert "for:     softprompt-20, softprompt-111, zeroshot" in done.output
    assert done.output.count("find the model 'results/checkpoints/finetuned'") == 1
    assert "parabench train finetuned --output results/checkpoints/finetuned" in done.output
    assert "make mini" not in done.output


def test_a_dry_run_loads_no_model(suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("transformers.PreTrainedModel.from_pretrained", refuse)
    monkeypatch.setattr("safetensors.torch.load_file", refuse)
    printed = call("run", "--suite", suite, "--device", "cpu", "--dry-run")
    assert "of weights" in printed
    assert "--probe" in printed


def test_anyones_predictions_are_scored_beside_copy_and_human(tmp_path: Path) -> None:
    records = [
        {
            "source": f"the cat {n} sat",
            "prediction": f"a cat {n} was sitting",
            "references": [f"cat {n} sat", f"{n}"],
        }
        for n in range(6)
    ]
    file = tmp_path / "mine.jsonl"
    file.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    printed = call(
        "score", file, "--scorers", "bleu,ibleu", "--device", "cpu", "--output", tmp_path / "run"
    )
    board = json.loads((tmp_path / "run" / "leaderboard.json").read_text())
    assert {"mine", "copy", "human"} <= {row["system"] for row in board["rows"]}
    assert "mine" in printed


def test_two_plugins_with_one_name_are_both_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        def __init__(self, name: str, target: str) -> None:
            self.name, self.target = name, target

        def load(self) -> dict[str, str]:
            return {"bleu": self.target}

    monkeypatch.setattr(
        registry, "entry_points", lambda group: [Point("ours", "a:b"), Point("theirs", "c:d")]
    )
    registry.plugin_table.cache_clear()
    with pytest.raises(UserError, match="a:b and c:d"):
        registry.plugin_table("scorer")
    registry.plugin_table.cache_clear()
