"""The commands about models of a hub: which commits a suite means, getting them, checking them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from parabench.commands.arguments import SuiteOption
from parabench.commands.help_pages import examples
from parabench.contracts import UserError

if TYPE_CHECKING:
    from parabench.models.hub import Pin


@examples(
    "parabench models lock --suite mine.toml", "parabench models lock --suite opt-1.3b --update"
)
def lock_models_command(
    suite: SuiteOption,
    update: Annotated[
        bool, typer.Option("--update", help="Take what the hub has now, not what is locked.")
    ] = False,
) -> None:
    """Pin the hub models of a suite in a lock file.

    The lock holds the commit and the SHA-256 of every file of each hub model. It is written beside
    a suite of your own, and to the current folder for a suite that comes with the package.
    """
    from parabench.models import hub
    from parabench.suites import lock as locks
    from parabench.suites.suite import find_lock, new_lock_path

    path = new_lock_path(suite)
    before, after = locks.read_lock(find_lock(suite)), locks.LockFile()
    for name in _hub_references(suite):
        if name in before and not update:
            after[name] = before[name]
        else:
            model, _, revision = name.partition("@")
            after[name] = hub.pin(model, hub.resolve_commit(model, revision or None, fresh=update))
        change = _change_note(before.get(name), after[name])
        typer.echo(f"{name:<40} {after[name].commit[:12]}  {change}")
    locks.write_lock_file(path, after)
    typer.echo(path)


@examples("parabench models fetch --suite opt-1.3b")
def fetch_models_command(suite: SuiteOption) -> None:
    """Download every hub model of a suite.

    Exactly the locked files where there is a lock; later runs need no network.
    """
    from parabench.models import hub

    for name, pin in _pins(suite).items():
        hub.fetch_pinned(pin)
        typer.echo(f"{name:<40} {pin.commit[:12]}  {len(pin.files)} files verified")


@examples("parabench models verify --suite opt-1.3b")
def verify_models_command(suite: SuiteOption) -> None:
    """Check the files of a suite's hub models.

    Every file is compared with the lock and with what was recorded at its download; no hub is
    asked.
    """
    from parabench.models import hub

    problems = {name: hub.pin_problems(pin) for name, pin in _pins(suite).items()}
    for name, found in problems.items():
        typer.echo(f"{name:<40} {'; '.join(found) or 'intact'}")
    if any(problems.values()):
        mend = f"parabench models fetch --suite {suite}"
        raise UserError(
            f"use the models of {suite}", "not all files are here and intact", mend=mend
        )


def _hub_references(suite: str) -> list[str]:
    """The hub models that a suite's file names; UserError where it names none."""
    from parabench.suites.suite import hub_models

    names = hub_models(suite)
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
    from parabench.suites.lock import read_lock
    from parabench.suites.suite import find_lock

    locked = read_lock(find_lock(suite))
    found = {}
    for name in _hub_references(suite):
        if name in locked:
            found[name] = locked[name]
        else:
            model, _, revision = name.partition("@")
            found[name] = hub.pin(model, hub.resolve_commit(model, revision or None))
    return found


def _change_note(before: Pin | None, after: Pin) -> str:
    if before is None:
        return "new"
    return "as it was" if before == after else f"was {before.commit[:12]}"
