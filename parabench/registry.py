"""Names and the objects they stand for: tables of plug-ins found by entry point, ours by the same
door as strangers'.

An entry point of the group ``parabench.systems`` or ``parabench.scorers`` names a table ``{"bleu":
"package.module:build"}``. A name is a family with an optional variant: ``softprompt-111`` is family
``softprompt``, variant ``111``.
"""

from __future__ import annotations

import difflib
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Literal

from parabench.contracts import UserError

PluginKind = Literal["system", "scorer"]


@cache
def plugin_table(kind: PluginKind) -> dict[str, str]:
    """All families of a kind, name to ``module:function``; two tables with one name are an error
    that names both.
    """
    merged: dict[str, str] = {}
    for point in sorted(entry_points(group=f"parabench.{kind}s"), key=lambda point: point.name):
        for name, target in point.load().items():
            if merged.setdefault(name, target) != target:
                raise UserError(
                    f"register the {kind} {name!r}",
                    f"two plug-ins claim it: {merged[name]} and {target}",
                )
    return merged


def split_name(kind: PluginKind, name: str) -> tuple[str, str]:
    """Family and variant of a name: the longest registered family that is it or stands before ``-``
    or ``:``.
    """
    families = [f for f in plugin_table(kind) if name == f or name.startswith((f"{f}-", f"{f}:"))]
    if not families:
        raise unknown_name(kind, name, sorted(plugin_table(kind)))
    family = max(families, key=len)
    return family, name[len(family) + 1 :]


def plugin_builder(kind: PluginKind, family: str) -> Any:
    """The build function of a family, imported now."""
    if family not in plugin_table(kind):
        raise unknown_name(kind, family, sorted(plugin_table(kind)))
    module, function = plugin_table(kind)[family].split(":")
    return getattr(import_module(module), function)


def unknown_name(kind: str, name: str, choices: list[str]) -> UserError:
    """The error for a name that nobody registered, with the nearest registered one."""
    near = difflib.get_close_matches(name, choices, n=1)
    found = f"no such {kind}" + (f"; did you mean {near[0]}?" if near else "")
    return UserError(f"use the {kind} {name!r}", found, choices, f"parabench list {kind}s")
