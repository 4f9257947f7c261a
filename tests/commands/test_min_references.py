"""``--min-references``: examples with fewer references are left out, and no other loses one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from parabench.cli import app
from parabench.contracts import UserError
from tests.support.stored import stored_examples

REFERENCES = {
    "thin": ["along the river one old man walked"],
    "pair": ["a girl sang in the yard", "in the yard a girl was singing"],
    "many": ["rain fell all day", "all day it was raining", "it rained from dawn to dusk"],
}
SOURCES = {name: f"the {name} sentence is about weather and people" for name in REFERENCES}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rows = [
        {"id": name, "source": SOURCES[name], "references": references}
        for name, references in REFERENCES.items()
    ]
    (tmp_path / "test.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    texts = [f"people and weather in the {name} sentence" for name in REFERENCES]
    (tmp_path / "mine.txt").write_text("\n".join(texts) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


RUN = ("run", "--suite", "overlap", "--systems", "copy", "--scorers", "bleu")
SCORE = ("score", "mine.txt", "--scorers", "bleu")


def call(*arguments: str) -> str:
    """What the program says on standard error."""
    asked = [*arguments, "--data", "test.jsonl", "--device", "cpu", "--output", "out"]
    done = CliRunner().invoke(app, asked, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return " ".join(done.stderr.split())


def scored() -> list[Mapping[str, Any]]:
    """The examples as the run scored them."""
    return list(stored_examples(Path("out")))


@pytest.mark.parametrize("command", [RUN, SCORE], ids=["run", "score"])
def test_thin_examples_are_left_out(command: tuple[str, ...]) -> None:
    said = call(*command, "--min-references", "2")
    found = {row["id"]: row["references"] for row in scored()}
    assert set(found) == {"pair", "many"}
    assert found["pair"] == REFERENCES["pair"]
    assert len(found["many"]) == 2
    assert set(found["many"]) < set(REFERENCES["many"])
    assert "1 examples are left out: they have too few references" in said


@pytest.mark.parametrize("command", [RUN, SCORE], ids=["run", "score"])
def test_without_it_the_note_names_an_option_that_works(command: tuple[str, ...]) -> None:
    said = call(*command)
    assert {len(row["references"]) for row in scored()} == {1}
    option = said.split("--min-references ")[1].split()[0]
    Path("out").rename("cut")
    call(*command, "--min-references", option)
    assert {row["id"] for row in scored()} == {"pair", "many"}


@pytest.mark.parametrize("command", [RUN, SCORE], ids=["run", "score"])
def test_more_than_any_example_has_is_refused(command: tuple[str, ...]) -> None:
    asked = [*command, "--data", "test.jsonl", "--device", "cpu", "--min-references", "4"]
    done = CliRunner().invoke(app, asked)
    assert isinstance(done.exception, UserError), done.output
    assert "the most that one has is 3" in str(done.exception)
    assert "--min-references 3" in str(done.exception)


def test_data_without_references_names_no_number() -> None:
    Path("bare.jsonl").write_text(json.dumps({"id": "a", "source": "a b c", "references": []}))
    asked = [*RUN, "--data", "bare.jsonl", "--device", "cpu", "--min-references", "1"]
    done = CliRunner().invoke(app, asked)
    assert isinstance(done.exception, UserError), done.output
    assert "leave --min-references out" in str(done.exception)


def test_the_command_of_a_run_names_the_option() -> None:
    call(*RUN, "--min-references", "2")
    command = json.loads(Path("out/provenance.json").read_text())["command"]
    assert "--min-references 2" in command


@pytest.mark.parametrize("number", ["0", "-1", "two"])
def test_a_number_below_one_is_a_usage_error(number: str) -> None:
    done = CliRunner().invoke(app, [*RUN, "--data", "test.jsonl", "--min-references", number])
    assert done.exit_code == 2
    assert "--min-references" in done.stderr
