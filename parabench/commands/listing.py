"""What there is to choose from: systems, scorers and suites, each with the first line of its own
description.
"""

from __future__ import annotations

import ast
import inspect
from importlib.util import find_spec
from pathlib import Path

from parabench import registry
from parabench.contracts import UserError
from parabench.suites import suite


def list_rows(kind: str) -> list[tuple[str, str]]:
    """Name and description of everything of a kind (``systems``, ``scorers`` or ``suites``).

    Raises UserError for another kind.
    """
    if kind == "suites":
        return [(name, suite.load_suite(name).title) for name in suite.built_in_suites()]
    if kind not in ("systems", "scorers"):
        raise UserError(
            f"list {kind!r}",
            "no such kind",
            ["systems", "scorers", "suites"],
            "parabench list systems",
        )
    kinds: dict[str, registry.PluginKind] = {"systems": "system", "scorers": "scorer"}
    table = registry.plugin_table(kinds[kind])
    return [
        (name, _describe(target, whole_module=kind == "scorers"))
        for name, target in sorted(table.items())
    ]


def _describe(target: str, whole_module: bool) -> str:
    """The first docstring line of a builder ``module:function``, or of its module, read from the
    source.

    A scorer is a file of its own, several systems share one. Reading imports no model library.
    """
    module, function = target.split(":")
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return "(its module is missing)"
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    found = next(
        (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function),
        None,
    )
    own = ast.get_docstring(found) if found else None
    of_module = ast.get_docstring(tree)
    text = (of_module or own) if whole_module else (own or of_module)
    return inspect.cleandoc(text or "").split("\n")[0]
