"""The one way in which pages are filled in: every value escaped, every missing name an error."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, Template


def template(name: str, **filters: Callable[..., object]) -> Template:
    """A page of ``templates/`` with these filters."""
    environment = Environment(
        loader=PackageLoader("parabench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters
    return environment.get_template(name)


def part(*names: str) -> str:
    """Files of ``templates/`` as they are, joined."""
    return "".join((files("parabench.report") / "templates" / name).read_text("utf-8") for name in names)
