"""Help pages: options and commands in named groups, examples below, plain text in 80 columns.

Typer's own pages either list everything in one section or need a wide terminal with colours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields
from functools import wraps
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from collections.abc import Iterable

Function = Callable[..., None]
Table = TypeVar("Table")
Record = tuple[str, str]
"""A name and its description, as one line of a help page."""


def examples(*lines: str) -> Callable[[Function], Function]:
    """Decorator that keeps example command lines with a command's function."""

    def keep(function: Function) -> Function:
        function.example_lines = lines  # type: ignore[attr-defined]
        return function

    return keep


def takes_options(
    table: type[Table], leave_out: tuple[str, ...] = (), **required: Any
) -> Callable[[Callable[[Table], None]], Function]:
    """Decorator that makes a command of a function whose one argument is a table of options.

    ``table`` is a dataclass that declares each option once: its name, its type with Typer's
    description, and its default. Fields named in ``leave_out`` are no options of the command and
    keep their defaults; those in ``required`` must be given to it, in the type named here.
    """

    def decorate(function: Callable[[Table], None]) -> Function:
        hints = get_type_hints(table, include_extras=True) | required
        parameters = []
        for one in fields(table):  # type: ignore[arg-type]
            if one.name in leave_out:
                continue
            optional = one.default is not MISSING and one.name not in required
            default = one.default if optional else Parameter.empty
            parameter = Parameter(
                one.name, Parameter.KEYWORD_ONLY, default=default, annotation=hints[one.name]
            )
            parameters.append(parameter)

        @wraps(function)
        def command(**given: Any) -> None:
            function(table(**given))

        # Typer makes the command's options of what a function declares to take.
        command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {one.name: one.annotation for one in parameters}
        return command

    return decorate


class HelpCommand(TyperCommand):
    """A command whose help page groups its options by ``rich_help_panel``."""

    def get_short_help_str(self, limit: int = 45) -> str:
        """The first line of the docstring, never cut short; ``limit`` is not needed."""
        return _first_line(self.help)

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """The docstring without its marks of code, which are for the generated reference."""
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text((self.help or "").replace("``", ""))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """One section for each group of options, arguments first."""
        _write_sections(formatter, _parameters(self, ctx))

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """The examples, each on a line of its own."""
        _write_examples(self.epilog, formatter)


class HelpGroup(TyperGroup):
    """A group of commands whose help page lists them by ``rich_help_panel``."""

    def get_short_help_str(self, limit: int = 45) -> str:
        """The first line of the group's help, never cut short; ``limit`` is not needed."""
        return _first_line(self.help)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The group's own options, then its commands in their sections."""
        _write_sections(formatter, _parameters(self, ctx))
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """One section for each kind of command, in the order of registration."""
        records = []
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                panel = getattr(command, "rich_help_panel", None) or "Commands"
                records.append((panel, (name, command.get_short_help_str())))
        _write_sections(formatter, records)


def command_group(help_text: str, name: str | None = None) -> typer.Typer:
    """A Typer application that answers with its help page where no command is given.

    ``help_text`` begins with one sentence of at most 50 characters; ``name`` is the program's.
    """
    return typer.Typer(
        name=name,
        cls=HelpGroup,
        help=help_text,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def add_command(
    group: typer.Typer, name: str, function: Function, panel: str | None = None
) -> None:
    """Register ``function`` as the command ``name`` of ``group``, listed under ``panel``."""
    lines = getattr(function, "example_lines", ())
    group.command(name, cls=HelpCommand, epilog=_epilog(lines), rich_help_panel=panel)(function)


def add_group(group: typer.Typer, name: str, help_text: str, panel: str) -> typer.Typer:
    """A new group of commands ``name`` within ``group``, listed under ``panel``."""
    added = command_group(help_text)
    group.add_typer(added, name=name, rich_help_panel=panel)
    return added


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def _epilog(lines: Iterable[str]) -> str | None:
    """Examples as Markdown, so that the generated reference shows them as a block too."""
    shown = "\n".join(f"$ {line}" for line in lines)
    if shown:
        return f"**Examples**:\n\n```console\n{shown}\n```"
    return None


def _write_examples(epilog: str | None, formatter: Any) -> None:
    lines = [line[2:] for line in (epilog or "").splitlines() if line.startswith("$ ")]
    if lines:
        with formatter.section("Examples"):
            for line in lines:
                # Written as it is: a wrapped command could not be copied.
                formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


def _parameters(command: Any, ctx: Any) -> list[tuple[str, Record]]:
    """Every shown parameter with the section that it belongs to, arguments first."""
    found = []
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is None:
            continue
        is_argument = parameter.param_type_name == "argument"
        panel = getattr(parameter, "rich_help_panel", None)
        found.append((panel or ("Arguments" if is_argument else "Options"), record))
    return sorted(found, key=lambda entry: entry[0] != "Arguments")


def _write_sections(formatter: Any, records: Iterable[tuple[str, Record]]) -> None:
    sections: dict[str, list[Record]] = {}
    for panel, record in records:
        sections.setdefault(panel, []).append(record)
    for panel, lines in sections.items():
        with formatter.section(panel):
            formatter.write_dl(lines)
