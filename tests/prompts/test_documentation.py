"""docs/prompt-learning.md says for each thing which command does it, and the commands exist."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest
import typer

from parabench.cli import app

PAGE = (Path(__file__).parents[2] / "docs" / "prompt-learning.md").read_text(encoding="utf-8")
COMMAND = typer.main.get_command(app)


def rows() -> list[list[str]]:
    """The cells of the table whose second column is ``command``."""
    table = PAGE.split("| you know | command | in Python |\n")[1].split("\n\n")[0]
    lines = table.splitlines()[1:]
    return [re.split(r"(?<!\\)\|", line.strip("|")) for line in lines]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0].strip()[:30])
def test_each_thing_has_its_command(row: list[str]) -> None:
    shown = [text for text in re.findall(r"`([^`]+)`", row[1]) if text.startswith("parabench ")]
    assert shown
    for text in shown:
        command, words = COMMAND, text.split()[1:]
        while hasattr(command, "commands"):
            assert words, text
            assert words[0] in command.commands, text
            command = command.commands[words.pop(0)]
        options = {name for one in command.params for name in one.opts}
        assert {word for word in words if word.startswith("--")} <= options, text


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0].strip()[:30])
def test_each_thing_has_its_module(row: list[str]) -> None:
    modules = re.findall(r"`([^`]+)`", row[2])
    assert modules
    for name in modules:
        import_module(f"parabench.{name}")


def test_every_task_command_is_on_the_page() -> None:
    for group in ("tasks", "prompt"):
        for name in COMMAND.commands[group].commands:
            assert f"parabench {group} {name}" in PAGE
