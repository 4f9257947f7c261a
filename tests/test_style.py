"""House rules that can be counted and that the linter does not know."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROGRAM = ("parabench", "scorers", "baselines")
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
    for folder in PROGRAM:
        for path in (ROOT / folder).rglob("*.py"):
            found[str(path)] = nested_comprehensions(path.read_text("utf-8"))
    assert {name: count for name, count in found.items() if count} == {}
    assert nested_comprehensions("[[a for a in b] for b in c]") == 1


OF_EVERY_PLUGIN = {"build"}
"""Names that the contract asks of each plug-in's module, so that many have them."""


def public_names(text: str) -> Iterator[str]:
    """The classes, functions and constants that a module defines for others."""
    for node in ast.parse(text).body:
        names: list[str] = []
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            among = [one for target in targets for one in ast.walk(target)]
            names = [one.id for one in among if isinstance(one, ast.Name)]
        yield from (name for name in names if not name.startswith("_"))


def names_defined_twice(modules: dict[str, str]) -> dict[str, list[str]]:
    places: dict[str, list[str]] = defaultdict(list)
    for module, text in modules.items():
        for name in set(public_names(text)) - OF_EVERY_PLUGIN:
            places[name].append(module)
    return {name: sorted(found) for name, found in places.items() if len(found) > 1}


def test_a_public_name_has_one_meaning() -> None:
    modules = {}
    for folder in PROGRAM:
        for path in (ROOT / folder).rglob("*.py"):
            modules[str(path.relative_to(ROOT))] = path.read_text("utf-8")
    assert names_defined_twice(modules) == {}


def test_a_second_meaning_is_found() -> None:
    modules = {
        "a": "LEVEL = 0.95\ndef load(): ...\nclass Row: ...\n_own = 1",
        "b": "LEVEL: float = 0.05\ndef load(): ...\nclass Row: ...\n_own = 2",
        "c": "from a import load\ndef build(): ...",
        "d": "def build(): ...",
    }
    assert set(names_defined_twice(modules)) == {"LEVEL", "load", "Row"}


def silent_about_errors(text: str) -> list[str]:
    """Public functions that raise UserError themselves and do not say so.

    Those of commands are left out: their docstrings are help pages.
    """
    found = []
    module = ast.parse(text)
    classes = [node for node in module.body if isinstance(node, ast.ClassDef)]
    for node in [*module.body, *(one for kind in classes for one in kind.body)]:
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
            continue
        raised = [one.exc for one in ast.walk(node) if isinstance(one, ast.Raise)]
        calls = [one.func for one in raised if isinstance(one, ast.Call)]
        raises = any(isinstance(one, ast.Name) and one.id == "UserError" for one in calls)
        is_help = node.name.endswith("_command")
        if raises and not is_help and "UserError" not in (ast.get_docstring(node) or ""):
            found.append(node.name)
    return found


def test_docstrings_name_the_error_that_users_see() -> None:
    found = {}
    for folder in PROGRAM:
        for path in (ROOT / folder).rglob("*.py"):
            found[str(path)] = silent_about_errors(path.read_text("utf-8"))
    assert {name: functions for name, functions in found.items() if functions} == {}
    assert silent_about_errors('def f():\n    """Do."""\n    raise UserError("a", "b")') == ["f"]


def functions_defined(text: str) -> set[str]:
    nodes = [one for one in ast.parse(text).body if isinstance(one, ast.FunctionDef)]
    return {one.name for one in nodes if not one.name.startswith("_")}


def names_used(text: str) -> set[str]:
    """Names that a module reads, and those in strings like ``module:function``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Constant) and re.fullmatch(r"\S+", str(node.value)):
            found |= set(re.findall(r"\w+", str(node.value)))
    return found


def test_every_function_has_a_user_or_is_documented() -> None:
    """A function that tests alone call belongs to the tests."""
    texts = [path.read_text("utf-8") for one in PROGRAM for path in (ROOT / one).rglob("*.py")]
    pages = [ROOT / "pyproject.toml", *(ROOT / "docs").glob("*.md")]
    documented = {word for page in pages for word in re.findall(r"\w+", page.read_text("utf-8"))}
    defined = set().union(*map(functions_defined, texts))
    used = set().union(*map(names_used, texts))
    assert defined - used - documented == set()
    assert functions_defined("def f(): ...\ndef g(): f()") - names_used("def g(): f()") == {"g"}
