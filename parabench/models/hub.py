"""Models of a hub: a name is resolved to a commit, exactly its files are fetched, and every file is
verified.

The transport, the cache and the log-in are huggingface_hub's; it is imported by the functions that
need it. Beside a repository's blobs in the hub cache, ``parabench/refs/<revision>`` records what a
name was resolved to, ``parabench/<commit>.json`` the SHA-256 of the files first fetched, and
``parabench/<commit>/safetensors`` holds the weights of a repository that has them only as pickles.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from urllib.parse import quote

from parabench.contracts import UserError
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
    """The commit that a name and revision mean: as once resolved here, else (or if ``fresh``) as
    the hub says now.
    """
    from huggingface_hub import HfApi, try_to_load_from_cache

    record = _resolved_record(name, revision)
    if not fresh:
        if record.is_file():
            return record.read_text(encoding="ascii")
        cached = try_to_load_from_cache(name, "config.json", revision=revision)
        if isinstance(cached, str):
            return Path(cached).parent.name
    with _hub_errors_as_user_errors(name):
        commit = str(HfApi().model_info(name, revision=revision).sha)
    write_atomically(record, commit.encode("ascii"))
    return commit


def _resolved_record(name: str, revision: str | None) -> Path:
    """The file that keeps the commit which a revision was resolved to."""
    return records_folder(name) / "refs" / quote(revision or "main", safe="")


def pin(name: str, commit: str) -> Pin:
    """The files of a commit and their SHA-256: from the record of an earlier fetch, else from hub
    or cache.
    """
    record = records_folder(name) / f"{commit}.json"
    if record.is_file():
        return Pin(name, commit, json.loads(record.read_text(encoding="utf-8")))
    made = Pin(name, commit, _files(name, commit))
    write_atomically(
        record, (json.dumps(dict(made.files), indent=1, sort_keys=True) + "\n").encode()
    )
    return made


def fetch_pinned(pinned: Pin, patterns: Sequence[str] = ("*",)) -> Path:
    """A folder with the verified files of a pin; fetches what is missing, and nothing else.

    Only files whose names are among ``patterns``. A file that does not verify is fetched once
    more; UserError where it still does not, or cannot be had.
    """
    for name, sha in pinned.files.items():
        if not any(fnmatch(name, pattern) for pattern in patterns):
            continue
        if (
            file_sha256(_file(pinned, name)) != sha
            and file_sha256(_file(pinned, name, again=True)) != sha
        ):
            raise _changed(pinned.name, name, file_sha256(_file(pinned, name)), sha)
    return _file(pinned, "config.json").parent


def is_resolved(reference: str) -> bool:
    """Whether ``org/name``, with or without ``@revision``, was fetched whole; asks no hub."""
    name, _, revision = reference.partition("@")
    record = _resolved_record(name, revision or None)
    return record.is_file() and is_fetched(name, record.read_text(encoding="ascii"))


def is_fetched(name: str, commit: str) -> bool:
    """Whether every file that a commit needs is in the cache; asks no hub."""
    from huggingface_hub import try_to_load_from_cache

    if not (records_folder(name) / f"{commit}.json").is_file():
        return False
    cached = [
        try_to_load_from_cache(name, file, revision=commit) for file in pin(name, commit).files
    ]
    return all(isinstance(path, str) for path in cached)


def pin_problems(pinned: Pin) -> list[str]:
    """The files of a pin that are not in the cache or differ; asks no hub."""
    from huggingface_hub import try_to_load_from_cache

    found = []
    for name, sha in pinned.files.items():
        cached = try_to_load_from_cache(pinned.name, name, revision=pinned.commit)
        if not isinstance(cached, str):
            found.append(f"{name}: not fetched")
        elif file_sha256(Path(cached)) != sha:
            found.append(
                f"{name}: its SHA-256 is {file_sha256(Path(cached))[:12]}, locked is {sha[:12]}"
            )
    return found


def files_to_fetch(pinned: Pin) -> dict[str, int]:
    """The files of a pin that are not in the cache, and their bytes as the hub tells them; asks
    nothing if all are.
    """
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.hf_api import RepoFile

    def is_here(name: str) -> bool:
        return isinstance(try_to_load_from_cache(pinned.name, name, revision=pinned.commit), str)

    absent = {name for name in pinned.files if not is_here(name)}
    if not absent:
        return {}
    with _hub_errors_as_user_errors(pinned.name):
        listing = HfApi().list_repo_tree(pinned.name, revision=pinned.commit)
        return {
            entry.path: entry.size
            for entry in listing
            if isinstance(entry, RepoFile) and entry.path in absent
        }


def check_digest(pinned: Pin, digest: str | None) -> None:
    """Refuse files other than those that a lock was written for, whose digest it gives.

    A lock from before generation_config.json, or the chat template, was fetched still holds for
    all the others. Raises UserError where ``pinned`` is none of these.
    """
    accepted = [None, pinned.digest]
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
    """File to SHA-256: a large file's as the hub lists it, a small one's of its content, held
    against its git id.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    try:
        with _hub_errors_as_user_errors(name):
            listing = HfApi().list_repo_tree(name, revision=commit)
            entries = {entry.path: entry for entry in listing if isinstance(entry, RepoFile)}
    except UserError as error:
        return _cached_files(name, commit, error)
    chosen, found = _chosen(name, list(entries)), {}
    for file in chosen:
        entry = entries[file]
        if entry.lfs is not None:
            found[file] = str(entry.lfs.sha256)
            continue
        path, wanted = _file(Pin(name, commit, {}), file), entry.blob_id
        if (
            _git_id(path) != wanted
            and _git_id(_file(Pin(name, commit, {}), file, again=True)) != wanted
        ):
            raise _changed(name, file, _git_id(path), wanted)
        found[file] = file_sha256(path)
    return found


def _cached_files(name: str, commit: str, unreachable: UserError) -> dict[str, str]:
    """What another program has left complete in the cache, where the hub cannot be asked."""
    from huggingface_hub import snapshot_download

    patterns = [*SMALL_FILES, *WEIGHT_FILES]
    try:
        folder = Path(
            snapshot_download(name, revision=commit, local_files_only=True, allow_patterns=patterns)
        )
        names = _chosen(name, [path.name for path in folder.iterdir()])
    except (OSError, UserError):
        raise unreachable from None
    return {file: file_sha256(folder / file) for file in names}


def _chosen(name: str, present: Sequence[str]) -> list[str]:
    """Configuration, tokenizer and weights: safetensors where there are any, pickles only where
    there are none.
    """

    def those(patterns: Sequence[str]) -> list[str]:
        return sorted(
            file for file in present if any(fnmatch(file, pattern) for pattern in patterns)
        )

    weights = those(WEIGHT_FILES) or those(PICKLED_WEIGHT_FILES)
    if not weights or "config.json" not in present:
        raise UserError(
            f"use the hub model {name!r}",
            "no config.json" if weights else "no weights for PyTorch",
            mend="name a repository with config.json and model.safetensors",
        )
    return [*those(SMALL_FILES), *weights]


def _file(pinned: Pin, name: str, again: bool = False) -> Path:
    """One file in the cache, downloaded if it is not there, or if it is to be had ``again``."""
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    cached = None if again else try_to_load_from_cache(pinned.name, name, revision=pinned.commit)
    if isinstance(cached, str):
        return Path(cached)
    with _hub_errors_as_user_errors(pinned.name):
        return Path(
            hf_hub_download(pinned.name, name, revision=pinned.commit, force_download=again)
        )


def config_file(name: str, commit: str) -> Path:
    """The configuration of one commit, fetched if it is not in the cache; no weights."""
    return _file(Pin(name, commit, {}), "config.json")


def records_folder(name: str) -> Path:
    """Where this program keeps its records of a repository, beside its blobs in the hub cache."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / f"models--{name.replace('/', '--')}" / "parabench"


def _git_id(path: Path) -> str:
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _changed(name: str, file: str, found: str, wanted: str) -> UserError:
    return UserError(
        f"use {file} of {name}",
        f"its content is {found[:12]}, it should be {wanted[:12]}, "
        "and downloading it again did not help",
        mend="check the hub or mirror it comes from; "
        "if the change is wanted: parabench models lock --update",
    )


@contextmanager
def _hub_errors_as_user_errors(name: str) -> Iterator[None]:
    """Turn whatever the hub client raises into what was found and what to do; no header and no
    token is repeated.
    """
    from huggingface_hub import constants, errors

    kept = "run the same command again once the hub can be reached; what has arrived whole is kept"
    try:
        yield
    except errors.GatedRepoError:
        found, mend = (
            "its owner asks for consent first",
            f"accept at {constants.ENDPOINT}/{name}, then: hf auth login",
        )
    except errors.RevisionNotFoundError:
        found, mend = (
            "no such revision there (any more)",
            "parabench models lock --update takes the present one",
        )
    except errors.RepositoryNotFoundError:
        found, mend = (
            "no such repository, or a private one",
            "check the name; for a private one: hf auth login",
        )
    except errors.OfflineModeIsEnabled:
        found, mend = (
            "offline mode, and it is not in the cache",
            "unset HF_HUB_OFFLINE, then: parabench models fetch",
        )
    except (
        Exception
    ) as error:  # httpx's, OSError and its kin: each means that the hub did not deliver
        found, mend = (
            f"{type(error).__name__}: {(str(error).strip() or 'no reason given').splitlines()[0]}",
            kept,
        )
    else:
        return
    raise UserError(f"get the model {name!r} from {constants.ENDPOINT}", found, mend=mend)
