"""A suite's lock: which commit, and which files, each hub model of the suite stands for.

``opt-1.3b.lock.json`` beside ``opt-1.3b.toml`` maps each hub name to ``{"commit": "…", "files":
{"merges.txt": "…"}}``, the files to their SHA-256. Where there is a lock, every hub name in the
suite is replaced by the pinned name. A package whose name has no SHA-256 is locked alike, by its
version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from parabench.contracts import UserError
from parabench.data.text_files import read_whole
from parabench.models import packages
from parabench.models.checkpoints import hub_name
from parabench.models.pins import Pin
from parabench.store.files import write_atomically

_LARGEST = 16 * 2**20
"""Bytes of a lock file."""
LockFile = dict[str, Pin]
"""Models of hubs and packages as the suite writes them, and what they stand for."""


def lock_path(suite: Path) -> Path:
    """The lock beside a suite's file: ``mine.lock.json`` beside ``mine.toml``."""
    return suite.with_name(f"{suite.name.removesuffix('.toml')}.lock.json")


def read_lock(path: Path) -> LockFile:
    """Read a lock file; empty where there is none. Raises UserError where it is not one."""
    try:
        found = json.loads(read_whole(path, _LARGEST).decode())
        lock = {}
        for name, entry in found.items():
            lock[name] = _pin(name, entry["commit"], entry["files"])
        return lock
    except FileNotFoundError:
        return {}
    # RecursionError: brackets within brackets; the others: whatever a file by hand may hold in the
    # place of a name, a commit or the files
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        reason = f"{type(error).__name__}: {error}"
        mend = "restore it, or write it again: parabench models lock --update"
        raise UserError(
            f"read the lock {path}",
            reason,
            mend=mend,
        ) from None


def _pin(name: str, commit: str, files: Mapping[str, str]) -> Pin:
    # "hf:org/name" in the suite is "org/name" on the hub
    if packages.is_package(name):
        return packages.PackagePin(name, commit, files)
    return Pin(hub_name(name) or name, commit, files)


def write_lock_file(path: Path, lock: LockFile) -> None:
    """Write a lock file, whole or not at all.

    Raises UserError where its folder cannot be written.
    """
    entries = {}
    for name, pin in lock.items():
        entries[name] = {"commit": pin.commit, "files": dict(pin.files)}
    # sorted, so that a lock written again differs only where a model does
    text = json.dumps(entries, indent=1, sort_keys=True) + "\n"
    write_atomically(path, text.encode())


def pinned(value: Any, lock: LockFile) -> Any:
    """A suite's table with every locked name replaced by its pinned one."""
    if isinstance(value, dict):
        return {key: pinned(item, lock) for key, item in value.items()}
    # lists hold names of systems, scorers and columns, and no models
    if isinstance(value, str) and value in lock:
        return lock[value].reference
    return value


def is_fetched_model(value: Any) -> bool:
    """Whether an option names a model of a hub or of a package, and not a folder."""
    # "org/name" may be a folder here as well, and then that is meant
    if not isinstance(value, str) or Path(value).is_dir():
        return False
    return packages.is_package(value) or hub_name(value) is not None
