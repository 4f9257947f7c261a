"""Pages that draw the tree of files, or the layers, draw the one there is."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.test_architecture import LAYERS

ROOT = Path(__file__).parents[2]
NOT_DRAWN = {".ci"}
"""Folders that say nothing to a reader of the program."""


def first_block(page: str, title: str) -> list[str]:
    """The lines of the first fenced block below a title of a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    below = text.partition(f"## {title}\n")[2]
    return below.split("```")[1].strip().splitlines()


def tracked_folders() -> set[str]:
    try:
        listed = subprocess.run(
            ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no git checkout")
    return {line.split("/")[0] for line in listed.stdout.splitlines() if "/" in line}


def test_the_readme_names_every_folder() -> None:
    drawn = {line.split("/")[0] for line in first_block("README.md", "The house")}
    assert drawn == tracked_folders() - NOT_DRAWN


def test_contributing_draws_the_layers_that_are_tested() -> None:
    lines = first_block("CONTRIBUTING.md", "The layers")
    drawn = []
    for line in lines:
        names = re.split(r"\s{2,}", line)[0]
        drawn.append({name.strip("/") for name in names.split()})
    assert drawn == [set(layer) for layer in LAYERS]


def test_modules_of_the_store_are_those_described() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    table = text.partition("The package `parabench/store`")[2].partition("\n\nMemory")[0]
    described = re.findall(r"^\| `(\w+\.py)` \|", table, re.MULTILINE)
    there = {path.name for path in (ROOT / "parabench" / "store").glob("*.py")}
    assert sorted(described) == sorted(there - {"__init__.py"})
