"""Reading a suite's table for one scorer, so that a misspelt option is refused and not ignored."""

from __future__ import annotations

from typing import Any

from parabench.contracts import BuildContext, UserError


def checked_options(scorer: str, setting: BuildContext, **known: type) -> dict[str, Any]:
    """Return the options that the suite gives a ``scorer``.

    ``setting`` holds them; ``known`` names those that there are, and the type of each.

    Raises UserError where an option is unknown, or of another type.
    """
    # the suite's own key, which names the plug-in
    given = {name: value for name, value in setting.options.items() if name != "family"}
    for name, value in given.items():
        if name not in known:
            raise UserError(f"use the option {name!r} of {scorer}", "no such option", sorted(known))
        # a whole number in TOML is a number too
        expected = (int, float) if known[name] is float else known[name]
        if not isinstance(value, expected):
            found = f"it is not a {known[name].__name__}"
            raise UserError(f"use {name} = {value!r} for {scorer}", found)
    return given


def choose(scorer: str, name: str, value: str, choices: tuple[str, ...]) -> str:
    """Return the ``value`` of the option ``name`` of a ``scorer``, one of the ``choices``.

    Raises UserError where it is none of them.
    """
    if value not in choices:
        raise UserError(f"use {name} = {value!r} for {scorer}", "no such choice", choices)
    return value


def no_variant(scorer: str, variant: str) -> None:
    """Refuse ``bleu-7`` where only ``bleu`` exists: raises UserError for any ``variant``."""
    if variant:
        raise UserError(f"use the scorer {scorer}-{variant}", f"{scorer} has no variants", [scorer])
