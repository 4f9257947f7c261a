"""A model folder on this machine, identified by the hashes of the files that loading it reads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from parabench.contracts import UserError
from parabench.store.files import file_sha256

LOCK_NAME = "models.lock"

_IDENTITY = (
    "config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.model",
)


@dataclass(frozen=True)
class Checkpoint:
    """A model found and identified: as asked for, where it is, and the digest that pins it.

    ``path`` is a folder or a hub id, ``revision`` a hub commit (None for folders). ``digest`` is
    the commit, or for a folder the SHA-256 over its sorted (file name, file SHA-256) pairs of
    weights, configuration and tokenizer. ``files`` is that SHA-256 for a hub commit, where a lock
    gives it.
    """

    reference: str
    path: str
    revision: str | None
    digest: str
    files: str | None = None


def write_lock(folder: Path, members: Sequence[str]) -> Path:
    """Write ``folder/models.lock``: the SHA-256 of every identifying file of the subfolders
    ``members``.
    """
    digests = {
        f"{member}/{name}": digest
        for member in members
        for name, digest in _digests(folder / member).items()
    }
    lock = folder / LOCK_NAME
    lock.write_text(
        json.dumps({"files": digests}, indent=1, sort_keys=True) + "\n", encoding="utf-8"
    )
    return lock


def locate_folder(reference: str, folder: Path, lock: Path | None = None) -> Checkpoint:
    """A model folder, identified by the hashes of its files and checked against its lock."""
    missing = [
        pattern for pattern in ("config.json", "*.safetensors") if not any(folder.glob(pattern))
    ]
    if missing:
        pickled = sorted(path.name for path in folder.glob("*.bin"))
        raise UserError(
            f"use the model in {reference}",
            f"no {' and no '.join(missing)}"
            + (f", only {', '.join(pickled)}, a format that can run code" * bool(pickled)),
            mend="save it again with model.save_pretrained(folder), or rebuild the embedded models with: make mini",
        )
    _check_lock(reference, folder, lock)
    entries = "".join(f"{name}\0{digest}\n" for name, digest in sorted(_digests(folder).items()))
    return Checkpoint(reference, str(folder), None, hashlib.sha256(entries.encode()).hexdigest())


def _check_lock(reference: str, folder: Path, lock: Path | None) -> None:
    beside = folder.resolve().parent / LOCK_NAME
    path = lock or beside
    if lock is None and not beside.is_file():
        return
    expected = _locked_files(reference, folder, path)
    if lock is not None and not expected:
        raise UserError(
            f"check {reference} against {lock}", "the lock names no file of that folder"
        )
    for name, digest in expected.items():
        file = folder / name
        found = file_sha256(file) if file.is_file() else "missing"
        if found != digest:
            raise UserError(
                f"use the model file {file}",
                "it is missing"
                if found == "missing"
                else f"its SHA-256 is {found[:12]}…, not the {digest[:12]}… of {path.name}",
                mend="restore it (git checkout, or git lfs pull), or rebuild the embedded models with: make mini",
            )


def _locked_files(reference: str, folder: Path, lock: Path) -> Mapping[str, str]:
    try:
        files = json.loads(lock.read_text(encoding="utf-8"))["files"]
        prefix = folder.resolve().relative_to(lock.resolve().parent).as_posix() + "/"
        return {
            name.removeprefix(prefix): digest
            for name, digest in files.items()
            if name.startswith(prefix)
        }
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise UserError(
            f"check {reference} against {lock}", f"{type(error).__name__}: {error}"
        ) from error


def _digests(folder: Path) -> dict[str, str]:
    return {
        path.name: file_sha256(path)
        for pattern in _IDENTITY
        for path in folder.glob(pattern)
        if path.is_file()
    }
