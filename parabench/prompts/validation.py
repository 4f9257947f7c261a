"""Frozen dataclasses from what JSON and TOML hold, with every fault named."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from parabench.contracts import UserError

STRICT_KEYS = ConfigDict(extra="forbid")
"""Stands in a dataclass as ``__pydantic_config__``, so that a misspelt key is an error."""

T = TypeVar("T")


def validate_dataclass(
    kind: type[T], content: Mapping[str, object], asked: str, mend: str = ""
) -> T:
    """An object of a dataclass from a mapping; UserError names unknown, missing and mistyped
    keys.
    """
    try:
        return TypeAdapter(kind).validate_python(content)
    except ValidationError as error:
        # All faults at once, so that a file is mended in one go.
        found = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()
        )
        choices = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
        raise UserError(asked, found, choices, mend) from None
