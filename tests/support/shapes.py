"""Tensor shapes executed: jaxtyping's import hook over every module that annotates arrays.

Each call checks the arrays among its arguments and its result with beartype, and that one axis name
means one length within the call. What is no array is left to mypy: tests hand in doubles.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from beartype import beartype
from jaxtyping import AbstractArray, install_import_hook

ROOT = Path(__file__).parents[2]
CHECKED = ("parabench/inference", "parabench/models")


def modules() -> list[str]:
    """The dotted names of the modules below CHECKED that annotate arrays."""
    found = []
    for folder in CHECKED:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "from jaxtyping import" in path.read_text(encoding="utf-8"):
                parts = path.relative_to(ROOT).with_suffix("").parts
                found.append(".".join(parts if parts[0] == "parabench" else ("parabench", *parts)))
    return found


def holds_arrays(hint: Any) -> bool:
    """Whether an annotation is an array's, or has one in it."""
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return True
    return any(holds_arrays(inner) for inner in get_args(hint))


def check_arrays(function: Any) -> Any:
    """beartype, over the annotations of arrays alone."""
    hints = function.__annotations__
    function.__annotations__ = {name: hint for name, hint in hints.items() if holds_arrays(hint)}
    return beartype(function)


def install() -> None:
    """Check those modules from now on, as each is imported."""
    install_import_hook(modules(), "tests.support.shapes.check_arrays")
