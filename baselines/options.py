"""Reading a suite's table for one system, so that a misspelt option is refused and not ignored."""

from __future__ import annotations

from dataclasses import replace

from parabench.contracts import BuildContext, UserError

ROLES = ("system", "sentinel")


def model_context(system: str, setting: BuildContext, *known: str) -> BuildContext:
    """The setting, its arithmetic replaced by the option ``dtype`` if given; UserError where an
    option is not known.

    Every model takes ``model``, ``dtype`` and ``role``: a ``sentinel`` is a negative control.
    """
    choices = ("model", "dtype", "role", *known)
    for name, value in setting.options.items():
        if name not in (*choices, "family"):
            raise UserError(f"use the option {name!r} of {system}", "no such option", choices)
        if not isinstance(value, str):
            raise UserError(f"use {name} = {value!r} for {system}", "it is not a text")
    if "model" not in setting.options:
        raise UserError(
            f"use the system {system!r}",
            "the suite names no model for it",
            mend='model = "org/name"',
        )
    if setting.options.get("role", "system") not in ROLES:
        raise UserError(
            f"use role = {setting.options['role']!r} for {system}", "no such role", ROLES
        )
    dtype = str(setting.options.get("dtype", setting.runtime.dtype))
    return replace(setting, runtime=replace(setting.runtime, dtype=dtype))


def read_options(
    system: str, setting: BuildContext, *texts: str, **numbers: float
) -> dict[str, str | float]:
    """The options given, texts and numbers by their names; UserError where one is unknown, mistyped
    or missing.
    """
    given = {name: value for name, value in setting.options.items() if name != "family"}
    for name, value in given.items():
        if name not in (*texts, *numbers):
            raise UserError(
                f"use the option {name!r} of {system}", "no such option", (*texts, *numbers)
            )
        if isinstance(value, bool) or isinstance(value, str) != (name in texts):
            raise UserError(
                f"use {name} = {value!r} for {system}",
                f"not a {'text' if name in texts else 'number'}",
            )
    for name in ("url", "model"):
        if name in texts and name not in given:
            raise UserError(
                f"use the system {system!r}", f"the suite gives it no {name}", mend=f'{name} = "…"'
            )
    return given


def dtype_item(setting: BuildContext) -> tuple[tuple[str, str], ...]:
    """The signature's item for a system that computes in another arithmetic than its run, else
    none.
    """
    return (("dtype", str(setting.options["dtype"])),) if "dtype" in setting.options else ()
