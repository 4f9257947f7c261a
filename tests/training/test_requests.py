"""What a person asks for becomes a job: names, presets, base models, trackers, and the command
itself.
"""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from typer.testing import CliRunner

from parabench.cli import app
from parabench.contracts import Runtime, UserError
from parabench.models.checkpoints import locate
from parabench.training import presets, setup, tracking
from parabench.training.loop import StepLog
from parabench.training.requests import run_training
from tests.support import jobs, tiny


@pytest.mark.parametrize(
    ("name", "family", "length", "encoder"),
    [
        ("softprompt-111", "softprompt", 111, ""),
        ("ptuning-20", "ptuning", 20, "lstm"),
        ("ptuning-mlp-20", "ptuning", 20, "mlp"),
        ("finetuned", "finetuned", 0, ""),
        ("bart", "bart", 0, ""),
    ],
)
def test_names(name: str, family: str, length: int, encoder: str) -> None:
    assert setup.parse_kind(name) == setup.TrainingKind(name, family, length, encoder)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name",
    ["softprompt", "softprompt-mlp-3", "ptuning-0", "lora", "lora-0", "bart-2", "softprompt-99999"],
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="train"):
        setup.parse_kind(name)


def test_the_origins_settings() -> None:
    """Paraphrase-OPT at 1777b40, config-defaults.yaml: Adam, 1e-3, 32 rows, 30 epochs of 8000
    steps, plateau.
    """
    config = presets.make_config(setup.parse_kind("softprompt-111"), preset="origin")
    assert (config.optimizer, config.learning_rate, config.schedule) == ("adam", 1e-3, "plateau")
    assert (config.batching.rows, config.steps, config.validate_every) == (32, 240_000, 16_000)
    assert presets.make_config(setup.parse_kind("bart"), preset="origin", steps=5).steps == 5
    with pytest.raises(UserError, match="no such preset"):
        presets.make_config(setup.parse_kind("bart"), preset="other")


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"batch_size": 0}, {"learning_rate": float("nan")}, {"accumulation": 0}]
)
def test_settings_that_train_nothing_are_refused(wrong: dict) -> None:
    with pytest.raises(UserError, match="train with"):
        presets.make_config(setup.parse_kind("bart"), **wrong)


def test_whole_models_learn_more_slowly_than_prompts() -> None:
    rates = {
        name: setup.parse_kind(name).defaults.learning_rate
        for name in ("softprompt-5", "finetuned", "bart")
    }
    assert rates["softprompt-5"] > 100 * rates["finetuned"]


def test_recomputed_activations_change_no_bit(tmp_path: Path) -> None:
    ends = []
    for recompute in (False, True):
        asked = jobs.request("finetuned", tmp_path, f"out-{recompute}", steps=2)
        run_training(replace(asked, gradient_checkpointing=recompute))
        ends.append(jobs.contents(tmp_path / f"out-{recompute}"))
    assert torch.equal(
        *(end["model.safetensors:model.decoder.embed_tokens.weight"] for end in ends)
    )
    with pytest.raises(UserError, match="gradient-checkpointing"):
        setup.load_setup(
            setup.parse_kind("softprompt-3"),
            locate(str(tmp_path / "base")),
            Runtime(),
            gradient_checkpointing=True,
        )


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_trackers_are_told_every_update(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[dict, int]] = []
    run = SimpleNamespace(log=lambda numbers, step: told.append((numbers, step)))
    fake = SimpleNamespace(init=lambda **settings: run, finish=lambda: told.append(({}, -1)))
    monkeypatch.setattr(tracking, "import_module", lambda wanted: {name: fake}[wanted])
    with tracking.open_tracker(name, tmp_path) as note:
        note.update(StepLog(1, 2.5, 10.0, 0.1, 0.5, 30))
    assert told[0][1] == 1
    assert told[0][0]["loss"] == 2.5
    assert told[-1][1] == -1


def test_an_absent_or_unknown_tracker_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(tracking, "import_module", absent)
    with (
        pytest.raises(UserError, match="pip install tensorboard"),
        tracking.open_tracker("tensorboard", tmp_path),
    ):
        pass
    with (
        pytest.raises(UserError, match="no such tracker"),
        tracking.open_tracker("paper", tmp_path),
    ):
        pass


def suite(folder: Path) -> Path:
    """A suite of the tiny model, with one test sentence that is among the training pairs too."""
    tiny.opt(folder / "opt")
    source, target = tiny.SENTENCES[0], tiny.SENTENCES[1]
    (folder / "test.jsonl").write_text(
        json.dumps({"source": source, "references": [target]}) + "\n"
    )
    pairs = list(itertools.pairwise(tiny.SENTENCES))
    more = [(f"word{i} here {i}", f"here {i} word{i} again") for i in range(30)]
    (folder / "pairs.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in [*pairs, *more]))
    path = folder / "suite.toml"
    path.write_text(
        'name = "small"\ntitle = "small"\ndata = "./test.jsonl"\n'
        'systems = ["copy"]\nscorers = ["bleu"]\n'
        'headline = "bleu"\n[decoding]\nmax_new_tokens = 4\n[train]\ncausal = "./opt"\n'
    )
    return path


def test_the_command_trains_says_so_and_does_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = suite(tmp_path)
    monkeypatch.chdir(tmp_path)
    command = [
        "train",
        "softprompt-3",
        "--suite",
        str(path),
        "--data",
        "tsv:pairs.tsv",
        "--steps",
        "4",
        "--dev",
        "5",
    ]
    command += ["--batch-size", "4", "--validate-every", "2", "--validation-texts", "2"]
    first = CliRunner().invoke(app, command, catch_exceptions=False)
    assert first.exit_code == 0
    assert "removed 7" in first.stderr  # the test pair, and the chain of sentences that hangs on it
    assert "results/checkpoints/softprompt-3" in first.stdout
    log = tmp_path / "results/checkpoints/softprompt-3/training/log.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    validations = [line["validation"] for line in lines if "validation" in line]
    assert [sorted(found) for found in validations] == [["bleu", "loss", "samples"]] * 3
    assert "nats a target token" in (log.parent / "loss.svg").read_text()
    before = log.read_bytes()
    again = CliRunner().invoke(app, command, catch_exceptions=False)
    assert again.stdout == first.stdout
    assert log.read_bytes() == before
    with pytest.raises(UserError, match="no training data"):
        CliRunner().invoke(app, command[:4], catch_exceptions=False)


def test_inspecting_shows_counts_lines_leakage_and_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = suite(tmp_path)
    monkeypatch.chdir(tmp_path)
    with (tmp_path / "pairs.tsv").open("a") as file:
        file.write("only one column\nsame words\tSame words!\nhere 3 word3 again\tword3 here 3\n")
    asked = ["data", "inspect", "tsv:pairs.tsv", "--suite", str(path), "--dev", "4"]
    shown = CliRunner().invoke(app, asked, catch_exceptions=False).stdout
    assert "1 too few columns: line 38" in shown
    assert "1 a copy: line 39" in shown
    assert "7 in the test set, or paraphrases what is: line 1, 2, 3, 4, 5, …" in shown
    assert "1 pairs that occur more than once" in shown
    assert "test set  7 pairs taken out" in shown
    assert tiny.SENTENCES[0] in shown


@pytest.mark.parametrize("command", [["data", "inspect"], ["train", "softprompt-3", "--data"]])
def test_a_large_held_out_part_is_warned_of(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """400 pairs, of which the default holds out 200 or more."""
    path = suite(tmp_path)
    monkeypatch.chdir(tmp_path)
    lines = [f"word{i} here {i}\there {i} word{i} again\n" for i in range(400)]
    (tmp_path / "pairs.tsv").write_text("".join(lines))
    training = ["--steps", "1", "--batch-size", "2"] if command[0] == "train" else []
    asked = [*command, "tsv:pairs.tsv", "--suite", str(path), *training]
    done = CliRunner().invoke(app, asked, catch_exceptions=False)
    assert done.exit_code == 0
    assert re.search(r"warning   2\d\d of 400 pairs are held out .*: 5\d%; --dev 20", done.stderr)
    fewer = [*command, "tsv:pairs.tsv", "--suite", str(path), *training, "--dev", "20"]
    fewer += ["--output", "other"] if training else []
    quiet = CliRunner().invoke(app, fewer, catch_exceptions=False)
    assert "warning" not in quiet.stderr
