"""What a lock pins: one version of a model, and the SHA-256 of each of its files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass


def files_digest(files: Mapping[str, str]) -> str:
    """The SHA-256 over the sorted (file name, file SHA-256) pairs of ``files``.

    The same as ``printf '%s\\0%s\\n'`` of each pair, in the order of the names, piped into
    ``sha256sum``.
    """
    # no file name holds a NUL, so that no two sets of files give the same text
    lines = [f"{name}\0{sha}\n" for name, sha in sorted(files.items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@dataclass(frozen=True)
class Pin:
    """One version of a model, and the SHA-256 of each file that loading it needs.

    Of a hub's repository ``name`` is ``org/name`` and ``commit`` its commit; of a model in a
    package they are the whole ``package:`` name and the package's version.
    """

    name: str
    commit: str
    files: Mapping[str, str]

    @property
    def digest(self) -> str:
        """The SHA-256 over the sorted (file name, file SHA-256) pairs."""
        return files_digest(self.files)

    @property
    def reference(self) -> str:
        """The pinned name, ``org/name@commit#digest``, which ``locate`` reads back."""
        return f"{self.name}@{self.commit}#{self.digest}"
