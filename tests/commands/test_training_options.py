"""Options of the commands that train are shared, and refused where they do not belong."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, fields
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from parabench.cli import app
from parabench.commands.help_pages import takes_options
from parabench.commands.pair_training import validation_scorers
from parabench.commands.task_training import train_tasks_command
from parabench.commands.training import train_command
from parabench.commands.training_options import TrainOptions
from parabench.contracts import Runtime, UserError
from parabench.data.specs import parse_corpora
from parabench.suites.suite import load_suite


@pytest.mark.parametrize(
    ("command", "required", "absent"),
    [
        (train_command, {"name"}, {"encoder"}),
        (train_tasks_command, {"name", "tasks", "records"}, {"data", "output"}),
    ],
)
def test_options_of_a_command_are_declared_once(command, required, absent) -> None:
    known = {one.name: one.default for one in fields(TrainOptions)}
    found = inspect.signature(command).parameters
    assert absent.isdisjoint(found)
    for name, parameter in found.items():
        must_be_given = parameter.default is inspect.Parameter.empty
        assert must_be_given == (name in required), name
        assert must_be_given or parameter.default == known[name], name


@dataclass(frozen=True)
class Given:
    name: str
    steps: int = 3
    quiet: bool = False
    left_out: str = "kept"


def test_what_is_typed_arrives_in_the_table() -> None:
    seen = []
    program = typer.Typer()
    program.command()(takes_options(Given, leave_out=("left_out",), steps=float)(seen.append))
    assert CliRunner().invoke(program, ["a", "2.5", "--quiet"]).exit_code == 0
    assert CliRunner().invoke(program, ["a"]).exit_code == 2
    assert seen == [Given("a", 2.5, quiet=True)]


PAIRS = ("train", "softprompt-4", "--data", "tsv:nowhere.tsv")
TABLE = ("train", "table", "--tasks", "nowhere.toml", "--records", "nowhere.jsonl")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((*PAIRS, "--new", "a"), "with --new"),
        ((*PAIRS, "--dev-records", "a.jsonl"), "with --dev-records"),
        ((*PAIRS, "--method", "prompt"), "with --method"),
        ((*TABLE, "--preset", "origin"), "with --preset"),
        ((*TABLE, "--output", "out"), "with --output"),
        ((*TABLE, "--validation-texts", "5"), "with --validation-texts"),
        ((*TABLE, "--data", "mini"), "with --data"),
        ((*TABLE, "--initialiser", "uniform"), "with --initialiser uniform"),
        (("tasks", *TABLE, "--method", "prompt", "--encoder", "mlp"), "with the encoder 'mlp'"),
    ],
)
def test_an_option_that_would_be_ignored_is_refused(words: tuple[str, ...], says: str) -> None:
    done = CliRunner().invoke(app, words)
    assert isinstance(done.exception, UserError), done.output
    assert says in str(done.exception)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("train", "softprompt-0"), "0 virtual tokens"),
        (("train", "softprompt-4", "--steps", "-1"), "train with steps -1"),
        (("train", "softprompt-4", "--steps", "0"), "train with steps 0"),
        (("train", "softprompt-4", "--minutes", "-2"), "train for -2 minutes"),
        (("train", "softprompt-4", "--minutes", "0"), "train for 0 minutes"),
        (("train", "softprompt-4", "--minutes", "nan"), "train for nan minutes"),
        (("train", "lora-0"), "updates of rank 0"),
        (("train", "softprompt--1"), "a prompt of -1 virtual tokens"),
        (("train", "ptuning-mlp-999999"), "a prompt of 999999 virtual tokens"),
        (("train", "softprompt-4", "--dev", "-1"), "train with --dev -1"),
        (("train", "softprompt-4", "--validation-texts", "-1"), "train with --validation-texts -1"),
        (("train", "softprompt-4", "--snapshots", "-1"), "train with --snapshots -1"),
        (("train", "softprompt-4", "--patience", "-1"), "train with patience -1"),
        (("train", "softprompt-4", "--track", "paper"), "no such tracker"),
        ((*TABLE, "--track", "paper"), "no such tracker"),
        ((*TABLE, "--steps", "-1"), "train with steps -1"),
    ],
)
def test_what_trains_nothing_is_refused_before_the_data(
    words: tuple[str, ...], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = words if "--records" in words else (*words, "--data", "tsv:nowhere.tsv")
    done = CliRunner().invoke(app, asked)
    assert isinstance(done.exception, UserError), done.output
    assert says in str(done.exception)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("asked", "mend"),
    [
        ("pairs.csv", "csv:pairs.csv?source=NAME&target=NAME"),
        ("pairs.tsv.gz", "tsv:pairs.tsv.gz"),
        ("pairs.jsonl?source=a&target=b", "jsonl:pairs.jsonl?source=a&target=b"),
        ("pairs", "tsv:pairs"),
    ],
)
def test_a_corpus_without_its_format_is_told_how(asked: str, mend: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_corpora(asked)
    assert "without the format" in caught.value.found
    assert caught.value.mend == f"--data '{mend}'"


def test_validations_have_no_human_to_be_a_share_of() -> None:
    suite, runtime = load_suite("mini"), Runtime("cpu")
    assert suite.headline == "parity"
    (scorer,) = validation_scorers(suite, runtime)
    assert [column.name for column in scorer.columns][:1] == ["ibleu"]
    (asked,) = validation_scorers(suite, runtime, "bleu")
    assert asked.columns[0].name == "bleu"
    # selfbleu compares several samples of one source, and a validation has one text
    for name in ("parity", "bleu,parity", "selfbleu"):
        with pytest.raises(UserError, match="--scorers ibleu"):
            validation_scorers(suite, runtime, name)
