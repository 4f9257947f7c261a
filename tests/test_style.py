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


def nested_comprehensions(text: str) -> int:
    kinds = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
    found = 0
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, kinds):
            found += any(isinstance(one, kinds) for one in ast.walk(node) if one is not node)
    return found


def test_no_comprehension_is_within_another() -> None:
    found = {}
    for folder in ("parabench", "scorers", "baselines"):
        for path in (ROOT / folder).rglob("*.py"):
            found[str(path)] = nested_comprehensions(path.read_text("utf-8"))
    assert {name: count for name, count in found.items() if count} == {}
    assert nested_comprehensions("[[a for a in b] for b in c]") == 1
