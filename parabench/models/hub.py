"""Models of a hub: a name is resolved to a commit, exactly its files are fetched, and every file is
verified.

Beside a repository's blobs in the hub cache, ``parabench/refs/<revision>`` records what a
name was resolved to, ``parabench/<commit>.json`` the SHA-256 of the files first fetched, and
``parabench/<commit>/safetensors`` holds the weights of a repository that has them only as pickles.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from parabench.contracts import UserError
from parabench.models.hub_cache import (
    cached_file,
    git_id,
    hub_errors_as_user_errors,
    hub_file,
    records_folder,
    resolved_record,
)
from parabench.models.pins import Pin
from parabench.store.files import file_sha256, write_atomically

GENERATION_FILE = "generation_config.json"
"""Of it the end ids are obeyed; locks written before that do not name it."""

CHAT_FILE = "chat_template.jinja"
"""The chat template, where it is a file of its own; locks written before chats do not name it."""

WEIGHT_FILES = ("model.safetensors", "model-*.safetensors", "model.safetensors.index.json")
PICKLED_WEIGHT_FILES = ("pytorch_model.bin", "pytorch_model-*.bin", "pytorch_model.bin.index.json")
SMALL_FILES = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.model",
    "*.spm",
    "vocab-*.json",
    "bpe.codes",
    "dict.txt",
    "tekken.json",
    GENERATION_FILE,
    CHAT_FILE,
)


def resolve_commit(name: str, revision: str | None = None, fresh: bool = False) -> str:
    """The commit that a hub's ``name`` and ``revision`` mean, as once resolved on this machine.

    Where they were not, or where ``fresh``, as the hub says now. Raises UserError where it cannot
    be asked.
    """
    from huggingface_hub import HfApi

    record = resolved_record(name, revision)
    if not fresh:
        if record.is_file():
            return record.read_text(encoding="ascii")
        # another program may have fetched the model; its folder is named by the commit
        cached = cached_file(name, revision or "main", "config.json")
        if cached is not None:
            return cached.parent.name
    with hub_errors_as_user_errors(name):
        info = HfApi().model_info(name, revision=revision)
    commit = str(info.sha)
    write_atomically(record, commit.encode("ascii"))
    return commit


def pin(name: str, commit: str) -> Pin:
    """The files of a commit and their SHA-256: from the record of an earlier fetch, else from hub
    or cache.
    """
    record = records_folder(name) / f"{commit}.json"
    if record.is_file():
        files = json.loads(record.read_text(encoding="utf-8"))
        return Pin(name, commit, files)
    made = Pin(name, commit, _files(name, commit))
    # sorted, so that two machines write the same record
    text = json.dumps(dict(made.files), indent=1, sort_keys=True) + "\n"
    write_atomically(record, text.encode())
    return made


def fetch_pinned(pinned: Pin, patterns: Sequence[str] = ("*",)) -> Path:
    """A folder with the verified files of a pin; fetches what is missing, and nothing else.

    Only files whose names are among ``patterns``. A file that does not verify is fetched once
    more; UserError where it still does not, or cannot be had.
    """
    for name, sha in pinned.files.items():
        if _matches(name, patterns):
            _fetch_verified(pinned, name, sha)
    config = hub_file(pinned.name, pinned.commit, "config.json")
    return config.parent


def _fetch_verified(pinned: Pin, name: str, sha: str) -> None:
    """Have one file in the cache, with this SHA-256."""
    if file_sha256(hub_file(pinned.name, pinned.commit, name)) == sha:
        return
    # a broken download or a damaged disk is mended by another; a changed repository is not
    again = hub_file(pinned.name, pinned.commit, name, again=True)
    found = file_sha256(again)
    if found != sha:
        raise _changed(pinned.name, name, found, sha)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


def is_resolved(reference: str) -> bool:
    """Whether ``org/name``, with or without ``@revision``, was fetched whole; asks no hub."""
    name, _, revision = reference.partition("@")
    record = resolved_record(name, revision or None)
    return record.is_file() and is_fetched(name, record.read_text(encoding="ascii"))


def is_fetched(name: str, commit: str) -> bool:
    """Whether every file that a commit needs is in the cache; asks no hub."""
    # without the record the hub would have to say which files these are
    if not (records_folder(name) / f"{commit}.json").is_file():
        return False
    return not _absent_files(pin(name, commit))


def _absent_files(pinned: Pin) -> set[str]:
    """The files of a pin that are not in the cache."""
    absent = set()
    for name in pinned.files:
        if cached_file(pinned.name, pinned.commit, name) is None:
            absent.add(name)
    return absent


def pin_problems(pinned: Pin) -> list[str]:
    """The files of a pin that are not in the cache or differ; asks no hub."""
    found = []
    for name, sha in pinned.files.items():
        cached = cached_file(pinned.name, pinned.commit, name)
        if cached is None:
            found.append(f"{name}: not fetched")
            continue
        present = file_sha256(cached)
        if present != sha:
            found.append(f"{name}: its SHA-256 is {present[:12]}, locked is {sha[:12]}")
    return found


def files_to_fetch(pinned: Pin) -> dict[str, int]:
    """The files of a pin that are not in the cache, and their bytes as the hub tells them.

    Asks nothing where all are there. Raises UserError where the hub cannot be asked.
    """
    absent = _absent_files(pinned)
    if not absent:
        return {}
    with hub_errors_as_user_errors(pinned.name):
        listed = _listed_files(pinned.name, pinned.commit)
    sizes = {}
    for name, entry in listed.items():
        if name in absent:
            sizes[name] = entry.size
    return sizes


def _listed_files(name: str, commit: str) -> Mapping[str, Any]:
    """The files at the top of a repository by their names, as huggingface_hub's RepoFile."""
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    listing = HfApi().list_repo_tree(name, revision=commit)
    # the listing is read here: it asks the hub page by page, and its errors are the hub's
    return {entry.path: entry for entry in listing if isinstance(entry, RepoFile)}


def check_digest(pinned: Pin, digest: str | None) -> None:
    """Refuse files other than those that a lock was written for, whose digest it gives.

    A lock from before generation_config.json, or the chat template, was fetched still holds for
    all the others. Raises UserError where ``pinned`` is none of these.
    """
    accepted = [None, pinned.digest]
    # what this program began to fetch later, and older locks do not name
    for later in ((CHAT_FILE,), (CHAT_FILE, GENERATION_FILE), (GENERATION_FILE,)):
        others = {name: sha for name, sha in pinned.files.items() if name not in later}
        accepted.append(Pin(pinned.name, pinned.commit, others).digest)
    if digest not in accepted:
        found = f"its files together are {pinned.digest[:12]}, the lock says {str(digest)[:12]}"
        raise UserError(
            f"use {pinned.name} at {pinned.commit[:12]}",
            found,
            mend="parabench models verify shows which file differs",
        )


def _files(name: str, commit: str) -> dict[str, str]:
    """The SHA-256 of each file that loading needs.

    A large file's as the hub lists it, a small one's of its content, held against its git id.
    """
    try:
        with hub_errors_as_user_errors(name):
            entries = _listed_files(name, commit)
    except UserError as error:
        return _cached_files(name, commit, error)
    found = {}
    for file in _chosen(name, list(entries)):
        entry = entries[file]
        if entry.lfs is not None:
            found[file] = str(entry.lfs.sha256)
        else:
            found[file] = _small_file_sha256(name, commit, file, entry.blob_id)
    return found


def _small_file_sha256(name: str, commit: str, file: str, blob_id: str) -> str:
    """The SHA-256 of a file that the hub lists by its git id alone; it is downloaded for that."""
    path = hub_file(name, commit, file)
    if git_id(path) != blob_id:
        path = hub_file(name, commit, file, again=True)
    found = git_id(path)
    if found != blob_id:
        raise _changed(name, file, found, blob_id)
    return file_sha256(path)


def _cached_files(name: str, commit: str, unreachable: UserError) -> dict[str, str]:
    """What another program has left complete in the cache, where the hub cannot be asked."""
    from huggingface_hub import snapshot_download

    patterns = [*SMALL_FILES, *WEIGHT_FILES]
    try:
        snapshot = snapshot_download(
            name,
            revision=commit,
            local_files_only=True,
            allow_patterns=patterns,
        )
        folder = Path(snapshot)
        names = _chosen(name, [path.name for path in folder.iterdir()])
    except (OSError, UserError):
        # that the hub cannot be reached is what the user can mend
        raise unreachable from None
    return {file: file_sha256(folder / file) for file in names}


def _chosen(name: str, present: Sequence[str]) -> list[str]:
    """Configuration, tokenizer and weights among the files of a repository.

    Safetensors where there are any, pickles only where there are none.
    """
    small = sorted(file for file in present if _matches(file, SMALL_FILES))
    weights = sorted(file for file in present if _matches(file, WEIGHT_FILES))
    if not weights:
        weights = sorted(file for file in present if _matches(file, PICKLED_WEIGHT_FILES))
    if not weights or "config.json" not in present:
        raise UserError(
            f"use the hub model {name!r}",
            "no config.json" if weights else "no weights for PyTorch",
            mend="name a repository with config.json and model.safetensors",
        )
    return [*small, *weights]


def _changed(name: str, file: str, found: str, wanted: str) -> UserError:
    return UserError(
        f"use {file} of {name}",
        f"its content is {found[:12]}, it should be {wanted[:12]}, "
        "and downloading it again did not help",
        mend="check the hub or mirror it comes from; "
        "if the change is wanted: parabench models lock --update",
    )
