"""House rules that can be counted and that the linter does not know."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
LONGEST_NAME = 60
"""Characters of a test's name: what fails is read in one line of a terminal."""


def long_names(text: str) -> list[str]:
    nodes = ast.walk(ast.parse(text))
    names = [node.name for node in nodes if isinstance(node, ast.FunctionDef)]
    return [name for name in names if name.startswith("test_") and len(name) > LONGEST_NAME]


def test_names_of_tests_are_short() -> None:
    paths = (ROOT / "tests").rglob("*.py")
    found = {path.name: long_names(path.read_text("utf-8")) for path in paths}
    assert {name: names for name, names in found.items() if names} == {}


def test_a_long_name_is_found() -> None:
    name = "test_" + "x" * LONGEST_NAME
    assert long_names(f"def {name}(): pass") == [name]
