"""A suite's lock: which commit, and which files, each hub model of the suite stands for.

``opt-1.3b.lock.json`` beside ``opt-1.3b.toml`` maps each hub name to ``{"commit": "…", "files":
{"merges.txt": "…"}}``, the files to their SHA-256. Where there is a lock, every hub name in the
suite is replaced by the pinned name.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from parabench.contracts import UserError
from parabench.models.checkpoints import hub_name
from parabench.models.hub import Pin
from parabench.store.files import write_atomically

LockFile = dict[str, Pin]
"""Hub references as the suite writes them, and what they stand for."""


def lock_path(suite: Path) -> Path:
    """The lock beside a suite's file: ``mine.lock.json`` beside ``mine.toml``."""
    return suite.with_name(f"{suite.name.removesuffix('.toml')}.lock.json")


def read_lock(path: Path) -> LockFile:
    """Read a lock file; empty where there is none. Raises UserError where it is not one."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        lock = {}
        for name, entry in found.items():
            # "hf:org/name" in the suite is "org/name" on the hub
            lock[name] = Pin(
                hub_name(name) or name,
                entry["commit"],
                entry["files"],
            )
        return lock
    except FileNotFoundError:
        return {}
    # whatever a file by hand may hold in the place of a name, a commit or the files
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        mend = "restore it, or write it again: parabench models lock --update"
        raise UserError(
            f"read the lock {path}",
            reason,
            mend=mend,
        ) from None


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
    """A suite's table with every locked hub name replaced by its pinned name."""
    if isinstance(value, dict):
        return {key: pinned(item, lock) for key, item in value.items()}
    # lists hold names of systems, scorers and columns, and no models
    if isinstance(value, str) and value in lock:
        return lock[value].reference
    return value


def is_hub_model(value: Any) -> bool:
    """Whether an option is the name of a hub model, and not of a folder."""
    if not isinstance(value, str) or hub_name(value) is None:
        return False
    # "org/name" may be a folder here as well, and then that is meant
    return not Path(value).is_dir()
