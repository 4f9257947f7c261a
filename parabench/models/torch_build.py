"""What is known of torch without importing it, which costs more than a second."""

from __future__ import annotations

import ast
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_GPU_DEVICES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
"""Through these programs reach a GPU on Linux: NVIDIA's driver, Windows' for Linux, and AMD's."""


def torch_version() -> str:
    """Return torch's own version with its build, such as ``2.13.0+cpu``; ``absent`` without it."""
    return str(_version_module().get("__version__", "absent"))


def may_have_gpu() -> bool:
    """Return whether torch might find a GPU; where not, it need not be asked.

    It finds none where it was built without CUDA and ROCm, nor where Linux has no device of one.
    """
    build = _version_module()
    if build.get("cuda") is None and build.get("hip") is None:
        return False
    if not sys.platform.startswith("linux"):
        return True
    return any(Path(device).exists() for device in _GPU_DEVICES)


def _version_module() -> dict[str, Any]:
    """The names in ``torch/version.py``, a file of constants; empty where torch is not there.

    It is read, and not run.
    """
    spec = find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        return {}
    file = Path(spec.submodule_search_locations[0]) / "version.py"
    constants = {}
    for statement in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign):
            target: ast.expr = statement.targets[0]
        elif isinstance(statement, ast.AnnAssign):  # cuda: Optional[str] = None
            target = statement.target
        else:
            continue
        if isinstance(target, ast.Name) and isinstance(statement.value, ast.Constant):
            constants[target.id] = statement.value.value
    return constants
