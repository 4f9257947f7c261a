"""Names that are given with commas between them, read alike by every command."""

from __future__ import annotations

from parabench.contracts import UserError


def split_names(text: str) -> tuple[str, ...]:
    """``a,b`` as a tuple; UserError where a name stands twice, or there is none."""
    parts = tuple(part.strip() for part in text.split(",") if part.strip())
    if not parts or len(set(parts)) < len(parts):
        raise UserError(
            f"use the names {text!r}", "a name stands twice" if parts else "no name at all"
        )
    return parts


def optional_names(text: str | None) -> tuple[str, ...] | None:
    """The names of an option, or None where it was not given."""
    return None if text is None else split_names(text)
