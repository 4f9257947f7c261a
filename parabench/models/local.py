"""A model folder on this machine, identified by the hashes of all files that loading it obeys."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parabench.contracts import UserError
from parabench.models.pins import files_digest
from parabench.store.files import file_sha256

LOCK_NAME = "models.lock"
"""File beside model folders that pins theirs."""

_ADAPTER = "adapter_config.json"
_GENERATION = "generation_config.json"
_MODULES = "modules.json"

_IDENTITY = (
    "config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "vocab-*.json",
    "merges.txt",
    "bpe.codes",
    "dict.txt",
    "tekken.json",
    "*.model",
    "*.spm",
    # what a configuration may name in its own stead for some versions of transformers
    "config.*.json",
    "tokenizer.*.json",
    "tokenizer.model.*",
    # vocabularies of single architectures
    "normalizer.json",
    "emoji.json",
    "byte_maps.json",
    "entity_vocab.json",
    "target_vocab.json",
    "word_*.json",
    "prophetnet.tokenizer",
    # chats, and sentence vectors as sentence-transformers makes them
    "chat_template.jinja",
    "additional_chat_templates/*.jinja",
    _MODULES,
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
)
"""Names of the files that make a model what it is: weights, configuration, tokenizer, and how texts
are put to it and vectors taken from it.

A name that is added here leaves the digests of all folders without such a file as they were.
"""


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
    """Write ``folder/models.lock``: the SHA-256 of every identifying file.

    ``members`` are the names of the subfolders that it pins.
    """
    digests = {}
    for member in members:
        for name, digest in _digests(folder / member).items():
            digests[f"{member}/{name}"] = digest
    lock = folder / LOCK_NAME
    text = json.dumps({"files": digests}, indent=1, sort_keys=True) + "\n"
    lock.write_text(text, encoding="utf-8")
    return lock


def locate_folder(
    reference: str,
    folder: Path,
    lock: Path | None = None,
) -> Checkpoint:
    """Identify a model folder by the hashes of its files, and check it against its lock.

    ``reference`` is the model as it was asked for; ``lock`` the lock file, by default the one
    beside ``folder``, where there is one. Raises UserError where files are missing or changed,
    where weights are pickles, and where loading would obey files that are not the model's own.
    """
    required = ("config.json", "*.safetensors")
    missing = [pattern for pattern in required if not any(folder.glob(pattern))]
    if missing:
        found = f"no {' and no '.join(missing)}"
        pickled = sorted(path.name for path in folder.glob("*.bin"))
        if pickled:
            found += f", only {', '.join(pickled)}, a format that can run code"
        raise UserError(
            f"use the model in {reference}",
            found,
            mend="save it again with model.save_pretrained(folder), "
            "or rebuild the embedded models with: make mini",
        )
    check_own_files(reference, folder)
    _check_lock(reference, folder, lock)
    identity = {**_digests(folder), **_decoding_ids(folder)}
    return Checkpoint(
        reference=reference,
        path=str(folder),
        revision=None,
        digest=files_digest(identity),
    )


def check_own_files(reference: str, folder: Path) -> None:
    """Refuse a model folder whose loading would read other weights than its own.

    Raises UserError where there is an adapter in it, which transformers would add to the weights,
    and where its index names shards that are not files of this folder.
    """
    if (folder / _ADAPTER).exists():
        raise UserError(
            f"use the model in {reference}",
            f"{_ADAPTER} in its folder: transformers would load that adapter into the model",
            mend="move the adapter out of the folder, or merge it and save the model again",
        )
    weights = _read_json(folder / "config.json").get("transformers_weights")
    # the one file that transformers would read then, in whichever folder
    if weights is not None and not _is_plain_name(str(weights)):
        raise UserError(
            f"use the model in {reference}",
            f"config.json names the weights {weights!r}, which are no file of this folder",
            mend="save the model again with model.save_pretrained(folder)",
        )
    for index in sorted(folder.glob("*.safetensors.index.json")):
        for shard in _shards(reference, index):
            # "../other/x" would be loaded too, and is not among what is hashed
            if _is_plain_name(shard) and (folder / shard).is_file():
                continue
            raise UserError(
                f"use the model in {reference}",
                f"{index.name} names the weights {shard!r}, which are no file of this folder",
                mend="save the model again with model.save_pretrained(folder)",
            )


def _shards(reference: str, index: Path) -> list[Any]:
    """The files that an index of sharded weights names."""
    try:
        content = json.loads(index.read_text(encoding="utf-8"))
        names = content["weight_map"].values()
    # whatever a file may hold in the place of an object of names
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise UserError(
            f"use the model in {reference}",
            f"{index.name} cannot be read ({type(error).__name__}: {error})",
            mend="download or export the checkpoint again",
        ) from error
    return sorted(set(map(str, names)))


def _is_plain_name(name: str) -> bool:
    """Whether it names a file of the folder itself: on every system, and without a link's help."""
    # separators of other systems too, so that a model means the same everywhere
    separates = any(sign in name for sign in ("/", "\\", ":", "\0"))
    return name == Path(name).name and not separates


def _decoding_ids(folder: Path) -> dict[str, str]:
    """What decoding obeys of generation_config.json, where config.json does not say the same.

    The ids that end a text, and those that begin an encoder-decoder's target (BART's are its
    configuration's). Where they change nothing, the digest stays what it was before they were
    read, so that older run folders still open.
    """
    generation = _read_json(folder / _GENERATION)
    config = _read_json(folder / "config.json")
    obeyed = ["eos_token_id"]
    if config.get("model_type") != "bart":
        obeyed += ["decoder_start_token_id", "forced_bos_token_id"]
    if config.get("model_type") == "marian":
        obeyed.append("bad_words_ids")
    found = {}
    for name in obeyed:
        # the same value in both files is hashed with config.json already
        if generation.get(name) not in (None, config.get(name)):
            found[f"{_GENERATION}:{name}"] = json.dumps(generation[name])
    return found


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}  # loading says what is wrong with it
    if not isinstance(content, dict):
        return {}
    return content


def _check_lock(
    reference: str,
    folder: Path,
    lock: Path | None,
) -> None:
    """Compare the files of a folder with its lock, if it has one."""
    beside = folder.resolve().parent / LOCK_NAME
    if lock is None and not beside.is_file():
        return
    path = lock or beside
    expected = _locked_files(reference, folder, path)
    # a lock that happens to lie beside may be of other folders, one that was asked for may not
    if lock is not None and not expected:
        raise UserError(
            f"check {reference} against {lock}",
            "the lock names no file of that folder",
        )
    for name, digest in expected.items():
        file = folder / name
        if not file.is_file():
            found = "it is missing"
        else:
            sha = file_sha256(file)
            if sha == digest:
                continue
            found = f"its SHA-256 is {sha[:12]}…, not the {digest[:12]}… of {path.name}"
        raise UserError(
            f"use the model file {file}",
            found,
            mend="restore it (git checkout, or git lfs pull), "
            "or rebuild the embedded models with: make mini",
        )


def _locked_files(
    reference: str,
    folder: Path,
    lock: Path,
) -> Mapping[str, str]:
    """The SHA-256 of each of the folder's files that a lock names."""
    try:
        content = json.loads(lock.read_text(encoding="utf-8"))
        # names in a lock are relative to its own folder, with "/" on every system
        member = folder.resolve().relative_to(lock.resolve().parent)
        prefix = member.as_posix() + "/"
        locked = {}
        for name, digest in content["files"].items():
            if name.startswith(prefix):
                locked[name.removeprefix(prefix)] = digest
        return locked
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise UserError(
            f"check {reference} against {lock}",
            f"{type(error).__name__}: {error}",
        ) from error


def _digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of every identifying file, by its name."""
    patterns = list(_IDENTITY)
    if (folder / _MODULES).is_file():
        # steps such as 1_Pooling; without that file other folders are none of the model's
        patterns.append("*/config.json")
    found = {}
    for pattern in patterns:
        for path in folder.glob(pattern):
            # a folder may be named like a file
            if path.is_file():
                found[path.relative_to(folder).as_posix()] = file_sha256(path)
    return found
