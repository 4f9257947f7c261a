"""A relative path means one thing.

In a suite's file ``./`` is the file's folder; all else, there and on the command line, begins in
the folder that one is in.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import typer
from typer.testing import CliRunner

from parabench.cli import app
from parabench.data.specs import parse_corpora
from parabench.pipeline import runner
from parabench.suites.suite import Suite, load_suite
from tests.support import light

SUITE = """
name = "./a"
title = "../a title"
note = "./a note"
data = "./data/examples.jsonl"
systems = ["copy"]
scorers = ["bleu"]
headline = "bleu"
[models]
small = "../models/small"
[system.softprompt]
model = "small"
adapters = "./adapters"
table = "../table"
[system.fewshot]
model = "./m@1"
pairs = "jsonl:./pairs.jsonl?source=a/../b=0.5,tsv:../more.tsv=0.5"
template = "./{source}"
joiner = "../"
system = "./be brief"
[system.endpoint]
url = "./v1"
[scorer.bartscore]
model = "../bart"
[train]
data = "tsv:./one.tsv=0.25, parabank2:../two.tsv?min_words=5=0.75"
causal = "small"
seq2seq = "../bart"
template = "./{source}"
system = "../x"
"""


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """The suite of a file in one folder, read from another."""
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites" / "a.toml").write_text(SUITE)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return load_suite("../suites/a.toml")


def test_paths_of_a_suite_begin_at_its_file(suite: Suite, tmp_path: Path) -> None:
    home = tmp_path / "suites"
    assert suite.data == str(home / "data/examples.jsonl")
    assert suite.system["softprompt"] == {
        "model": str(tmp_path / "models/small"),
        "adapters": str(home / "adapters"),
        "table": str(tmp_path / "table"),
    }
    assert suite.system["fewshot"]["model"] == str(home / "m@1")
    assert suite.scorer["bartscore"]["model"] == str(tmp_path / "bart")
    assert suite.train.causal == str(tmp_path / "models/small")
    assert suite.train.seq2seq == str(tmp_path / "bart")


def test_each_corpus_of_a_mix_begins_at_the_file(suite: Suite, tmp_path: Path) -> None:
    home = tmp_path / "suites"
    pairs = str(suite.system["fewshot"]["pairs"])
    assert pairs == f"jsonl:{home}/pairs.jsonl?source=a/../b=0.5,tsv:{tmp_path}/more.tsv=0.5"
    one, two = parse_corpora(suite.train.data)
    assert (one.path, two.path) == (str(home / "one.tsv"), str(tmp_path / "two.tsv"))


def test_texts_of_a_suite_are_no_paths(suite: Suite) -> None:
    assert (suite.name, suite.title, suite.note) == ("./a", "../a title", "./a note")
    fewshot = suite.system["fewshot"]
    assert [fewshot[key] for key in ("template", "joiner", "system")] == [
        "./{source}", "../", "./be brief",
    ]  # fmt: skip
    assert suite.system["endpoint"]["url"] == "./v1"
    assert (suite.train.template, suite.train.system) == ("./{source}", "../x")


@pytest.mark.parametrize(
    "value", ["facebook/opt-125m", "results/checkpoints/x", "/data/x", "examples.jsonl", ".hidden"]
)
def test_other_names_of_a_suite_are_left(tmp_path: Path, value: str) -> None:
    text = SUITE.replace("./data/examples.jsonl", value).replace("../models/small", value)
    (tmp_path / "a.toml").write_text(text)
    found = load_suite(str(tmp_path / "a.toml"))
    assert (found.data, found.train.causal) == (value, value)


def commands(group: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if hasattr(group, "commands"):
        for word, command in group.commands.items():
            yield from commands(command, f"{name} {word}".strip())
    else:
        yield name, group


def paths() -> Iterator[tuple[str, str, Any, Any]]:
    """Command, parameter, its declaration and its default, of all that take paths."""
    for name, command in commands(typer.main.get_command(app)):
        function = inspect.unwrap(command.callback)
        hints = get_type_hints(function, include_extras=True)
        for parameter in inspect.signature(function).parameters.values():
            hint = hints[parameter.name]
            if "Path" in str(get_args(hint)[:1] or hint):
                declared = [one for one in get_args(hint) if hasattr(one, "resolve_path")]
                yield name, parameter.name, declared, parameter.default


PATHS = list(paths())


def test_no_option_is_moved_to_another_folder() -> None:
    """Neither resolved by the parser nor with a default that names one place on one machine."""
    assert len(PATHS) > 30
    for name, parameter, declared, default in PATHS:
        assert declared, (name, parameter)
        assert not any(one.resolve_path for one in declared), (name, parameter)
        if isinstance(default, str | Path):
            assert not Path(default).is_absolute(), (name, parameter)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a run and files in a folder of its own beneath."""
    (tmp_path / "in").mkdir()
    light.data(tmp_path / "in")
    runner.run_plan(light.plan(tmp_path / "in", systems=("copy", "human")))
    (tmp_path / "in/answers.txt").write_text("".join(f"It is {n}.\n" for n in range(6)))
    (tmp_path / "in/pairs.tsv").write_text("".join(f"a b {n}\tc d {n}\n" for n in range(9)))
    light_suite = 'name = "l"\ntitle = "L"\nscorers = ["bleu"]\nheadline = "bleu"\n'
    (tmp_path / "in/l.toml").write_text(light_suite + 'data = "./data.jsonl"\nsystems = ["copy"]\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


COMMANDS = {
    "verify in/run": [],
    "report in/run --format markdown": ["in/run/report.html"],
    "compare in/run in/run": [],
    "run --suite in/l.toml --device cpu --output out/run": ["out/run/report.html"],
    "run --suite in/l.toml --data in/data.jsonl --device cpu --output out/run": ["out/run"],
    "run --suite in/l.toml --data ../WORK/in/data.jsonl --device cpu --output ./out/run": ["out"],
    "score in/answers.txt --data in/data.jsonl --scorers bleu --output out/scored": ["out/scored"],
    "score a=in/answers.txt b=./in/answers.txt --data in/data.jsonl --scorers bleu": [],
    "metric sheet in/run --systems copy --examples 2 --output out/sheet.csv": [
        "out/sheet.key.json"
    ],
    "data inspect tsv:in/pairs.tsv --dev 1": [],
    "data inspect tsv:./in/pairs.tsv=0.5,tsv:in/../in/pairs.tsv=0.5 --dev 1": [],
}


@pytest.mark.parametrize("line", COMMANDS)
def test_a_commands_paths_begin_where_one_is(work: Path, line: str) -> None:
    words = line.replace("WORK", work.name).split()
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, (done.output, done.exception)
    for made in COMMANDS[line]:
        assert (work / made).exists(), sorted(map(str, work.rglob("*")))
