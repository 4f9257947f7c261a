"""Lines on the terminal in which foreign text can move no cursor and ring no bell."""

from __future__ import annotations

from collections.abc import Iterable

import typer


def print_message(text: str) -> None:
    """Print a message on stderr; names and file contents in it are shown, not obeyed."""
    from parabench.render.escape import visible

    typer.echo("\n".join(map(visible, text.split("\n"))), err=True)


def print_text(text: str) -> None:
    """Print a model's text as one line on stdout."""
    from parabench.render.escape import visible

    typer.echo(visible(text))


def print_pairs(rows: Iterable[tuple[str, str]]) -> None:
    """Print names and values on stdout, one pair a line."""
    for name, value in rows:
        print_text(f"{name:<12} {value}")
