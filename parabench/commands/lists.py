"""Names that are given with commas between them, read alike by every command."""

from __future__ import annotations

from parabench.contracts import UserError


def split_names(text: str) -> tuple[str, ...]:
    """``a,b`` as a tuple; raises UserError where there is no name, or the same name twice."""
    names = [part.strip() for part in text.split(",") if part.strip()]
    if not names:
        raise UserError(f"use the names {text!r}", "no name at all", mend="give names as a,b")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UserError(
            f"use the names {text!r}",
            f"duplicate name: {', '.join(repeated)}",
            mend="give each name once",
        )
    return tuple(names)


def optional_names(text: str | None) -> tuple[str, ...] | None:
    """The names of an option, or None where it was not given."""
    return None if text is None else split_names(text)
