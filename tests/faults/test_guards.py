"""The copy from which guards are taken is whole, and is what its tests import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.faults import guards, program

WHERE = """
import pkgutil, sys, parabench
from importlib.util import find_spec
for module in pkgutil.walk_packages(parabench.__path__, "parabench."):
    origin = find_spec(module.name).origin
    if not origin.startswith(sys.argv[1]):
        print(module.name, origin)
"""


def elsewhere(folder: Path) -> str:
    """Modules of the package that a process with this folder on its path takes from elsewhere."""
    environment = {"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", WHERE, str(folder)],
        cwd=folder, env=environment, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


def test_the_copy_is_whole(tmp_path: Path) -> None:
    guards.copy(tmp_path)
    assert elsewhere(tmp_path) == ""
    assert {guard.file for guard in guards.GUARDS if not (tmp_path / guard.file).exists()} == set()


def test_the_frozen_program_is_whole(tmp_path: Path) -> None:
    program._freeze(tmp_path)
    names = {path.name for path in (tmp_path / "parabench").iterdir()}
    assert {"models", "scorers", "baselines", "mini"} <= names
    assert any((tmp_path / "parabench/mini/models").iterdir())
