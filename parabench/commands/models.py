"""The commands about models of a hub: which commits a suite means, getting them, and checking what
is here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from parabench.contracts import UserError

if TYPE_CHECKING:
    from parabench.models.hub import Pin

models_commands = typer.Typer(help="Models of a hub: lock, fetch, verify.", no_args_is_help=True)

_SuiteName = Annotated[
    str, typer.Option(help="A built-in suite, or the path of a suite's TOML file.")
]


@models_commands.command("lock")
def lock_models_command(
    suite: _SuiteName,
    update: Annotated[
        bool, typer.Option("--update", help="Take what the hub has now, not what is locked.")
    ] = False,
) -> None:
    """Write which commit, and which files, each hub model of a suite stands for, beside the
    suite.
    """
    from parabench.models import hub
    from parabench.suites import lock as locks
    from parabench.suites import suite as suites

    path = locks.lock_path(suites.suite_path(suite))
    before, after = locks.read_lock(path), locks.LockFile()
    for name in _hub_references(suite):
        if name in before and not update:
            after[name] = before[name]
        else:
            model, _, revision = name.partition("@")
            after[name] = hub.pin(model, hub.resolve_commit(model, revision or None, fresh=update))
        typer.echo(
            f"{name:<40} {after[name].commit[:12]}  {_change_note(before.get(name), after[name])}"
        )
    locks.write_lock_file(path, after)
    typer.echo(path)


@models_commands.command("fetch")
def fetch_models_command(suite: _SuiteName) -> None:
    """Get every hub model of a suite, exactly the locked files where there is a lock; later runs
    need no network.
    """
    from parabench.models import hub

    for name, pin in _pins(suite).items():
        hub.fetch_pinned(pin)
        typer.echo(f"{name:<40} {pin.commit[:12]}  {len(pin.files)} files verified")


@models_commands.command("verify")
def verify_models_command(suite: _SuiteName) -> None:
    """Check every file of a suite's hub models against lock and record; asks no hub."""
    from parabench.models import hub

    problems = {name: hub.pin_problems(pin) for name, pin in _pins(suite).items()}
    for name, found in problems.items():
        typer.echo(f"{name:<40} {'intact' if not found else '; '.join(found)}")
    if any(problems.values()):
        mend = f"parabench models fetch --suite {suite}"
        raise UserError(
            f"use the models of {suite}", "not all files are here and intact", mend=mend
        )


def _hub_references(suite: str) -> list[str]:
    """The hub models that a suite's file names; UserError where it names none."""
    from parabench.suites import suite as suites

    names = suites.hub_models(suite)
    if not names:
        raise UserError(
            f"find the hub models of {suite}",
            "it names none",
            mend='name one as model = "org/name"',
        )
    return names


def _pins(suite: str) -> dict[str, Pin]:
    """Each hub model of a suite as locked, or as this computer once resolved it."""
    from parabench.models import hub
    from parabench.suites import lock as locks
    from parabench.suites import suite as suites

    locked = locks.read_lock(locks.lock_path(suites.suite_path(suite)))
    found = {}
    for name in _hub_references(suite):
        model, _, revision = name.partition("@")
        found[name] = (
            locked[name]
            if name in locked
            else hub.pin(model, hub.resolve_commit(model, revision or None))
        )
    return found


def _change_note(before: Pin | None, after: Pin) -> str:
    """What a lock's new entry is to its old one."""
    if before is None:
        return "new"
    return "as it was" if before == after else f"was {before.commit[:12]}"
