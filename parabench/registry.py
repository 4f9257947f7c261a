"""The registry of plug-ins: names of systems and scorers, and the functions that build them.

An entry point of the group ``parabench.systems`` or ``parabench.scorers`` names a table ``{"bleu":
"package.module:build"}``. Built-ins register exactly as third-party packages do. A name is a family
with an optional variant: ``softprompt-111`` is family ``softprompt``, variant ``111``.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Literal

from parabench.contracts import UserError

PluginKind = Literal["system", "scorer"]
MOST_NAMES = 1000
"""Systems or scorers of one run, at most: a table of more rows is read by nobody."""


@cache
def plugin_table(kind: PluginKind) -> dict[str, str]:
    """All families of a kind, name to ``module:function``.

    Raises UserError where two plug-ins register one name; it names both.
    """
    merged: dict[str, str] = {}
    points = entry_points(group=f"parabench.{kind}s")
    for point in sorted(points, key=lambda point: point.name):
        for name, target in point.load().items():
            known = merged.setdefault(name, target)
            if known != target:
                found = f"two plug-ins claim it: {known} and {target}"
                raise UserError(f"register the {kind} {name!r}", found)
    return merged


def split_name(kind: PluginKind, name: str) -> tuple[str, str]:
    """Family and variant of a name.

    The family is the longest registered one that is the name, or stands before ``-`` or ``:`` in
    it. Raises UserError where there is none.
    """
    registered = plugin_table(kind)
    families = [
        family
        for family in registered
        if name == family or name.startswith((f"{family}-", f"{family}:"))
    ]
    if not families:
        raise unknown_name(kind, name, sorted(registered))
    family = max(families, key=len)
    variant = name[len(family) + 1 :]  # behind the separator
    return family, variant


def plugin_builder(kind: PluginKind, family: str) -> Any:
    """The build function of a family, imported now.

    Raises UserError where the family is not registered.
    """
    registered = plugin_table(kind)
    if family not in registered:
        raise unknown_name(kind, family, sorted(registered))
    module, function = registered[family].split(":")
    return getattr(import_module(module), function)


def unknown_name(
    kind: str,
    name: str,
    choices: list[str],
) -> UserError:
    """The error for a name that is not registered.

    ``kind``: what was looked for, as ``system``. ``name``: what was given. ``choices``: the
    registered names, of which the nearest is suggested.
    """
    found = f"no such {kind}"
    nearest = difflib.get_close_matches(name, choices, n=1)
    if nearest:
        found += f"; did you mean {nearest[0]}?"
    asked = f"use the {kind} {name!r}"
    return UserError(asked, found, choices, mend=f"parabench list {kind}s")


def check_count(kind: PluginKind, names: Sequence[str]) -> None:
    """Refuse more systems or scorers than one run can hold, before any of them is built.

    ``kind``: ``system`` or ``scorer``. Each has files of its own, and each pair of them a test.
    Raises UserError where there are more than ``MOST_NAMES``.
    """
    if len(names) <= MOST_NAMES:
        return
    raise UserError(
        f"run {len(names):,} {kind}s",
        f"one run has at most {MOST_NAMES:,}",
        mend=f"name fewer with --{kind}s, in several runs",
    )
