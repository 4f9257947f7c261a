"""Tensor shapes executed: an import hook gives jaxtyping and beartype every annotation of an array.

Each call of such a function checks the arrays among its arguments and its result, and that one axis
name means one length within the call. What is no array is left to mypy: tests hand in doubles.

jaxtyping's own hook takes an annotation that it cannot evaluate for ``Any``, such as one of a name
imported under ``if TYPE_CHECKING``. This one runs those imports too, and fails where a shape could
not be evaluated all the same.
"""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import is_dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any, get_args

from beartype import beartype
from jaxtyping import AbstractArray, jaxtyped

ROOT = Path(__file__).parents[2]
_ARRAY = re.compile(r"\b(Float|Int|UInt|Integer|Bool|Shaped|Num|Inexact)\d*\[")


def is_checked(path: str) -> bool:
    """Whether the file's shapes are executed, by its path from the root of the project."""
    return path.startswith(("parabench/", "scorers/", "baselines/"))


def check_shapes(target: Any) -> Any:
    """A function, or a dataclass, that checks its arrays, where it has any."""
    if isinstance(target, type) and not is_dataclass(target):
        return target
    names = vars(sys.modules[target.__module__])
    if any(_holds_arrays(_evaluated(hint, names)) for hint in target.__annotations__.values()):
        return jaxtyped(target, typechecker=_check_arrays)
    return target


def _evaluated(hint: Any, names: dict[str, Any]) -> Any:
    try:
        return eval(hint, names) if isinstance(hint, str) else hint
    except NameError:
        if _ARRAY.search(str(hint)):
            raise  # else it is a class that stands further down, and no array
        return None


def _holds_arrays(hint: Any) -> bool:
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return True
    return any(_holds_arrays(inner) for inner in get_args(hint))


def _check_arrays(function: Any) -> Any:
    """beartype, over the annotations of arrays alone."""
    hints = function.__annotations__
    function.__annotations__ = {name: hint for name, hint in hints.items() if _holds_arrays(hint)}
    return beartype(function)


class _Decorate(ast.NodeTransformer):
    """Give functions and dataclasses the decorator, and run what is imported for types alone."""

    def _decorator(self) -> ast.expr:
        return ast.parse(f"__import__('sys').modules[{__name__!r}].check_shapes", mode="eval").body

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        # the innermost decorator: the others may hand on a function without annotations
        node.decorator_list.append(self._decorator())
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.generic_visit(node)
        # the outermost decorator, behind @dataclass
        node.decorator_list.insert(0, self._decorator())
        return node

    def visit_If(self, node: ast.If) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.test = ast.Constant(True)
        return node


class CheckingLoader(SourceFileLoader):
    """Loads a module with its shapes executed."""

    def get_code(self, fullname: str) -> CodeType:
        """The module's code, compiled each time: no cached file may stand for it."""
        path = self.get_filename(fullname)
        tree = _Decorate().visit(ast.parse(self.get_data(path)))
        return compile(ast.fix_missing_locations(tree), path, "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if not fullname.startswith("parabench."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin is None or not Path(spec.origin).is_relative_to(ROOT):
            return None
        if not is_checked(Path(spec.origin).relative_to(ROOT).as_posix()):
            return None
        spec.loader = CheckingLoader(fullname, spec.origin)
        return spec


def install() -> None:
    """Check those modules from now on, as each is imported."""
    sys.meta_path.insert(0, _Finder())
