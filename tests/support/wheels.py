"""Wheels of the test's own, and pip set up as a user may: no index but a folder of wheels."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

RAN = "import pathlib; pathlib.Path(__file__).with_name('ran').touch(); raise SystemExit('ran')\n"
"""A module that must not run."""


def wheel(
    folder: Path,
    files: Mapping[str, bytes | Path],
    name: str = "tiny_models",
    version: str = "1.2",
    requires: str = "",
) -> Path:
    """A wheel with these files, by their paths in it; ``requires`` is a dependency it declares."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    if requires:
        metadata += f"Requires-Dist: {requires}\n"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for place, content in files.items():
            data = content.read_bytes() if isinstance(content, Path) else content
            archive.writestr(place, data)
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def below(prefix: str, folder: Path) -> dict[str, bytes | Path]:
    """All files of a folder, by paths that begin with ``prefix``."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {f"{prefix}/{path.relative_to(folder).as_posix()}": path for path in files}


def serve(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pip find packages in this folder and nowhere else."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    for name in ("PIP_CONSTRAINT", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
