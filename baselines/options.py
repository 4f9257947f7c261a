"""A suite's table for one system, read so that a misspelt option is refused and not ignored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol, cast

from parabench.contracts import BuildContext, Role, Runtime, UserError
from parabench.prompts.trained import find_model

ROLES = ("system", "sentinel")


class HasSetting(Protocol):
    """A system that keeps what it was built from: a suite's table, and how the run computes."""

    @property
    def setting(self) -> BuildContext: ...


# What every system with a model tells in the same way: ``role = property(options.suite_role)``.


def suite_models(system: HasSetting) -> tuple[str, ...]:
    """The model of a system, as its suite names it."""
    return (str(system.setting.options["model"]),)


def suite_runtime(system: HasSetting) -> Runtime:
    """The device and the dtype of a system's model."""
    return system.setting.runtime


def suite_role(system: HasSetting) -> Role:
    """``system``, or ``sentinel`` where the suite says so; ``model_context`` knows no other."""
    role = system.setting.options.get("role", "system")
    return cast(Role, role)


def model_context(system: str, setting: BuildContext, *known: str) -> BuildContext:
    """Return the context for a system with a model, its dtype replaced where the suite gives one.

    Every such ``system`` takes the options ``model``, ``dtype`` and ``role`` (``sentinel`` for a
    negative control) besides those that are ``known``; all are texts but ``chat``, which is true
    or false.

    Raises UserError where an option is unknown or of another type, and where no model is named.
    """
    given = setting.options
    _check_types(system, given, ("model", "dtype", "role", *known))
    if "system" in given and not given.get("chat", False):
        asked = f"use system = … for {system}"
        raise UserError(asked, "it is no chat, and has no system message", mend="chat = true")
    if "model" not in given:
        asked = f"use the system {system!r}"
        raise UserError(asked, "the suite names no model for it", mend='model = "org/name"')
    role = given.get("role", "system")
    if role not in ROLES:
        asked = f"use role = {role!r} for {system}"
        raise UserError(asked, "no such role", ROLES)

    # The dtype of one system replaces the run's; the device and the seed stay the run's.
    dtype = given.get("dtype", setting.runtime.dtype)
    runtime = replace(setting.runtime, dtype=str(dtype))
    return replace(setting, runtime=runtime)


def _check_types(system: str, given: Mapping[str, object], choices: Sequence[str]) -> None:
    """Raise UserError for an option that is none of the choices, or of another type."""
    for name, value in given.items():
        if name == "family":
            continue  # which builder is called, and nothing that it reads
        if name not in choices:
            asked = f"use the option {name!r} of {system}"
            raise UserError(asked, "no such option", choices)
        asked = f"use {name} = {value!r} for {system}"
        if name == "chat":
            if not isinstance(value, bool):
                raise UserError(asked, "neither true nor false")
        elif not isinstance(value, str):
            raise UserError(asked, "it is not a text")


def trained_model(
    name: str, setting: BuildContext
) -> tuple[BuildContext, tuple[tuple[str, str], ...]]:
    """Return the context with the model that the user trained as ``name``, where there is one.

    Beside it the items by which the signature says that the suite's model was replaced.
    """
    suite_model = str(setting.options["model"])
    found = find_model(name, suite_model)
    if found.replaced is None:
        return setting, ()
    own_model = {**setting.options, "model": found.location}
    return replace(setting, options=own_model), found.signature_items


def read_options(
    system: str, setting: BuildContext, *texts: str, **numbers: float
) -> dict[str, str | float]:
    """Return the options given to a ``system`` that has no model of ours.

    ``texts`` are the names of options that are texts, ``numbers`` those of numbers with their
    defaults. ``url`` and ``model`` must be given where they are among ``texts``.

    Raises UserError where an option is unknown, of the wrong type, or missing.
    """
    given = {name: value for name, value in setting.options.items() if name != "family"}
    choices = (*texts, *numbers)
    for name, value in given.items():
        if name not in choices:
            asked = f"use the option {name!r} of {system}"
            raise UserError(asked, "no such option", choices)
        asked = f"use {name} = {value!r} for {system}"
        if name in texts:
            if not isinstance(value, str):
                raise UserError(asked, "not a text")
        # a bool is an int to Python, but ``rate = true`` is no number
        elif isinstance(value, (bool, str)):
            raise UserError(asked, "not a number")
    for name in ("url", "model"):
        if name in texts and name not in given:
            asked = f"use the system {system!r}"
            found = f"the suite gives it no {name}"
            raise UserError(asked, found, mend=f'{name} = "…"')
    return given


def dtype_item(setting: BuildContext) -> tuple[tuple[str, str], ...]:
    """Return the signature's item for a system with a dtype of its own; nothing for the run's."""
    if "dtype" not in setting.options:
        return ()
    dtype = str(setting.options["dtype"])
    return (("dtype", dtype),)
