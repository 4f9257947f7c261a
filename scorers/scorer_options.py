"""Reading a suite's table for one scorer, so that a misspelt option is refused and not ignored."""

from __future__ import annotations

from typing import Any

from parabench.contracts import BuildContext, UserError


def read_options(scorer: str, setting: BuildContext, **known: type) -> dict[str, Any]:
    """The options given for a scorer, each known by name and of its type; raises UserError where
    one is not.
    """
    given = {
        name: value for name, value in setting.options.items() if name != "family"
    }  # the suite's own key
    for name, value in given.items():
        if name not in known:
            raise UserError(f"use the option {name!r} of {scorer}", "no such option", sorted(known))
        if not isinstance(value, (int, float) if known[name] is float else known[name]):
            raise UserError(
                f"use {name} = {value!r} for {scorer}", f"it is not a {known[name].__name__}"
            )
    return given


def choose(scorer: str, name: str, value: str, choices: tuple[str, ...]) -> str:
    """The value, if it is among the choices; raises UserError otherwise."""
    if value not in choices:
        raise UserError(f"use {name} = {value!r} for {scorer}", "no such choice", choices)
    return value


def no_variant(scorer: str, variant: str) -> None:
    """Refuse ``bleu-7`` where only ``bleu`` exists."""
    if variant:
        raise UserError(f"use the scorer {scorer}-{variant}", f"{scorer} has no variants", [scorer])
