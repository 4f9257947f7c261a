"""What docs/reliability.md and SECURITY.md promise has tests, and these are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RELIABILITY = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
SECURITY = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
_NAMED = re.compile(r"`(tests/[\w/]+(?:\.py)?(?:::\w+)?)`")


def rows(text: str, head: str) -> list[list[str]]:
    """The cells of the table with this first line, row by row."""
    lines = text.partition(head)[2].split("\n")[2:]
    found = []
    for line in lines:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return found


HOOKS = ("tests/conftest.py",)
"""Files that put something under every test."""
PROMISED = rows(RELIABILITY, "| promise | test |")
SECURED = rows(SECURITY, "| promise | how it is kept | test |")
KINDS = rows(RELIABILITY, "| kind | cases | siblings tested with them | tests |")
EVERY = [*PROMISED, *SECURED, *KINDS]


def is_there(name: str) -> bool:
    """Whether a file, a folder with tests or a test of that name exists."""
    file, _, test = name.partition("::")
    path = ROOT / file
    if path.is_dir():
        return any(path.glob("test_*.py"))
    if not path.is_file():
        return False
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {one.name for one in tree.body if isinstance(one, ast.FunctionDef)}
    return test in names if test else any(one.startswith("test_") for one in names)


def test_every_promise_has_a_row_of_tests() -> None:
    numbers = re.findall(r"^(\d+)\. \*\*", RELIABILITY, re.MULTILINE)
    assert len(numbers) >= 11
    assert [cells[0].split()[0] for cells in PROMISED] == numbers
    assert len(SECURED) >= 12
    assert len(KINDS) >= 7


@pytest.mark.parametrize("cells", EVERY, ids=lambda cells: cells[0].strip("*. ")[:40])
def test_the_tests_of_a_promise_are_there(cells: list[str]) -> None:
    named = _NAMED.findall(cells[-1])
    # a guard or a hook of all tests may be named beside them, but never in their place
    assert named, cells
    for name in named:
        assert is_there(name) or name in HOOKS, name


def test_a_test_that_is_not_there_is_noticed() -> None:
    assert not is_there("tests/documents/test_promises.py::test_of_nothing")
    assert not is_there("tests/no_such_file.py")
    assert is_there("tests/documents/test_promises.py")


def test_numbers_on_the_page_are_those_of_the_lists() -> None:
    from tests.trust import endpoint_modes, model_folders

    assert f"{len(endpoint_modes.MODES)} ways to answer" in RELIABILITY
    assert f"{len(model_folders.FOLDERS)} ways to change one" in RELIABILITY
