"""The tutorial of docs/training.md, typed as it stands: the adapter that was trained has to answer.

Its commands are cut short: fewer updates, fewer examples.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from parabench.cli import app
from parabench.contracts import UserError
from parabench.prompts import adapters
from parabench.prompts.trained import (
    TrainedFiles,
    find_adapter,
    find_model,
    training_passed_over,
)

PAGE = Path(__file__).parents[2] / "docs" / "training.md"
SHORT = {"train": ["--batch-size", "2", "--dev", "4"], "run": ["--limit", "3"]}


def tutorial() -> list[list[str]]:
    """The commands of the page's first shell block."""
    block = re.search(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    return [shlex.split(line)[1:] for line in block[1].splitlines() if line]


def run(command: list[str]) -> str:
    shortened = [*command, *SHORT[command[0]]]
    if "--steps" in shortened:
        shortened[shortened.index("--steps") + 1] = "3"
    done = CliRunner().invoke(app, shortened, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout + done.stderr


def test_the_adapter_that_was_trained_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    train, score = tutorial()
    assert train[:2] == ["train", "softprompt-20"]
    assert score[:3] == ["run", "--systems", "softprompt-20,copy"]
    shipped = run(score)
    assert "results/checkpoints" not in shipped
    run(train)
    said = run(score)
    assert "softprompt-20 is the training in results/checkpoints/softprompt-20" in said
    mine = adapters.load_adapter(tmp_path / "results/checkpoints/softprompt-20")
    (folder,) = tmp_path.glob("results/runs/*")
    for table in ("leaderboard.json", "report.html"):
        text = (folder / table).read_text()
        assert f"adapter:{mine.digest[:12]}" in text, table
        assert "trained:results/checkpoints/softprompt-20" in text, table
    log = (folder / "predictions" / "softprompt-20.jsonl").read_text()
    assert f"adapter:{mine.digest[:12]}" in log.splitlines()[0]


def adapter(folder: Path, digest: str, age: int) -> Path:
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text("{}")
    (folder / "parabench.json").write_text(json.dumps({"base": {"digest": digest}}))

    os.utime(folder / "adapter_config.json", (1_000_000 - age, 1_000_000 - age))
    return folder


def test_the_newest_of_ones_own_that_fits_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own, suite = Path("results/checkpoints"), Path("results/checkpoints/opt")
    shipped = Path("shipped")
    adapter(shipped / "softprompt-4", "a", age=0)
    assert find_adapter("softprompt-4", shipped, "a") == TrainedFiles("shipped/softprompt-4")
    adapter(own / "softprompt-4", "a", age=50)
    found = find_adapter("softprompt-4", shipped, "a")
    assert found == TrainedFiles("results/checkpoints/softprompt-4", "shipped/softprompt-4")
    # an adapter of another base is never the answer where one of this base is there
    assert find_adapter("softprompt-4", shipped, "b") == TrainedFiles("shipped/softprompt-4")
    adapter(suite / "softprompt-4", "a", age=10)
    found = find_adapter("softprompt-4", suite, "a")
    assert found == TrainedFiles("results/checkpoints/opt/softprompt-4")


def test_models_of_ones_own_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shape = {"model_type": "opt", "hidden_size": 8}
    for folder in ("shipped", "results/checkpoints/finetuned"):
        Path(folder).mkdir(parents=True)
        (Path(folder) / "config.json").write_text(json.dumps(shape))
    assert find_model("finetuned", "shipped") == TrainedFiles("shipped")
    own = Path("results/checkpoints/finetuned/training")
    own.mkdir()
    (own / "finished.json").write_text("{}")
    expected = TrainedFiles("results/checkpoints/finetuned", "shipped")
    assert find_model("finetuned", "shipped") == expected
    assert find_model("finetuned", "org/model").location == "results/checkpoints/finetuned"
    (Path("shipped") / "config.json").write_text(json.dumps({**shape, "hidden_size": 9}))
    assert find_model("finetuned", "shipped") == TrainedFiles("shipped")


def test_an_unfinished_training_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.chdir(tmp_path)
    place = Path("results/checkpoints/softprompt-4/training")
    place.mkdir(parents=True)
    (place / "spec.json").write_text("{}")
    with pytest.raises(UserError, match="has not ended"):
        find_adapter("softprompt-4", None, None)


def test_a_training_that_does_not_answer_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the suite ships answers instead, which must not be taken for one's own."""
    monkeypatch.chdir(tmp_path)
    place = Path("results/checkpoints/softprompt-20")
    (place / "training").mkdir(parents=True)
    (place / "training" / "spec.json").write_text("{}")
    asked = ["run", "--systems", "softprompt-20", "--limit", "3", "--dry-run"]
    said = CliRunner().invoke(app, asked).stdout
    assert "softprompt-20 is what the suite has: the training in" in said
    assert "has not ended" in said
    adapter(Path("other"), "another", age=0)
    for file in Path("other").iterdir():
        file.rename(place / file.name)
    said = CliRunner().invoke(app, asked).stdout
    assert "is of another base model, or older" in said
    assert training_passed_over("softprompt-20", [str(place.resolve())]) == ""
    assert training_passed_over("softprompt-21", ["None"]) == ""
