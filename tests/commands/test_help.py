"""Help pages: short, grouped, with examples that are understood."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from parabench import __version__
from parabench.cli import app

PROGRAM: Any = typer.main.get_command(app)


def command_paths(command: Any = PROGRAM, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command and group, the program itself first."""
    yield path
    for name, inner in getattr(command, "commands", {}).items():
        yield from command_paths(inner, (*path, name))


PATHS = list(command_paths())


def find(path: tuple[str, ...]) -> Any:
    command = PROGRAM
    for name in path:
        command = command.commands[name]
    return command


def help_page(path: tuple[str, ...]) -> str:
    done = CliRunner(env={"COLUMNS": "80"}).invoke(app, [*path, "--help"], terminal_width=80)
    assert done.exit_code == 0, done.output
    return done.output


def test_a_dozen_entries_in_groups() -> None:
    page = help_page(())
    assert len(PROGRAM.commands) <= 16
    for title in ("Run and score:", "Report and compare:", "Train and search:"):
        assert title in page
    for group in ("prompt", "metric", "data", "models"):
        assert hasattr(PROGRAM.commands[group], "commands")


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_summaries_are_whole_at_80_columns(path: tuple[str, ...]) -> None:
    for name, command in getattr(find(path), "commands", {}).items():
        summary = command.get_short_help_str()
        assert 0 < len(summary) <= 50, (name, summary)
        assert summary.endswith(".")
        assert re.search(rf"^  {name} +{re.escape(summary)}$", help_page(path), re.MULTILINE)


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_a_page_fits_80_columns(path: tuple[str, ...]) -> None:
    page, _, shown = help_page(path).partition("Examples:")
    assert all(len(line) <= 80 for line in page.splitlines()), page
    assert "``" not in page
    assert all(len(line) <= 100 for line in shown.splitlines()), shown


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_examples_are_commands_that_exist(path: tuple[str, ...]) -> None:
    command = find(path)
    if hasattr(command, "commands"):
        return
    lines = help_page(path).partition("Examples:\n")[2].splitlines()
    assert lines, f"no example of {path}"
    options = {name for parameter in command.params for name in parameter.opts}
    for line in lines:
        words = shlex.split(line)
        assert tuple(words[: len(path) + 1]) == ("parabench", *path)
        named = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert named <= options, line
        given = words[len(path) + 1 :]
        if "<" in given:
            given = given[: given.index("<")]
        # Raises where an option that is required is absent, or a value is none of its type.
        command.make_context(path[-1], given)


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_every_parameter_is_described(path: tuple[str, ...]) -> None:
    for parameter in find(path).params:
        choices = "|" in str(parameter.metavar or "")
        assert parameter.help or choices, f"{' '.join(path)} {parameter.name}"


def test_options_of_train_are_in_named_groups() -> None:
    page = help_page(("train",))
    titles = re.findall(r"^(\w[\w ]+):$", page, re.MULTILINE)
    assert titles[:6] == [
        "Arguments", "Data", "Schedule", "Validation", "Prompt and model", "Machine and output",
    ]  # fmt: skip


def test_the_version_is_printed() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert done.output == f"parabench {__version__}\n"


@pytest.mark.parametrize(
    ("path", "option"),
    [
        (("train",), "--gradient-checkpointing"),
        (("train",), "--validation-texts"),
        (("data", "filter"), "--shard"),
        (("metric", "agreement"), "--against"),
        (("report",), "--published"),
        (("report",), "--format"),
    ],
)
def test_options_have_the_name_of_the_field(path: tuple[str, ...], option: str) -> None:
    assert option in help_page(path)
