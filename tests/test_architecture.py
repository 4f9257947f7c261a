"""The house keeps its shape: who imports whom, and nothing heavy before it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "transformers", "pandas", "numpy", "scipy", "datasets", "evaluate", "sacrebleu", "rouge_score")

BELOW = {  # each layer may import itself and what stands in the layers below it
    "contracts": 0,
    "registry": 1,
    "clusters": 1,
    "combining": 1,
    "contents": 1,
    "disk": 1,
    "index": 1,
    "journal": 1,
    "records": 1,
    "store": 1,
    "seeds": 1,
    "significance": 1,
    "turns": 1,
    "validity": 1,
    "meta": 2,
    "locks": 2,
    "shares": 2,
    "suites": 2,
    "data": 1,
    "inference": 1,
    "prompts": 2,
    "planning": 3,
    "corpus": 4,
    "downloads": 4,
    "estimates": 5,
    "provenance": 4,
    "training": 4,
    "report": 4,
    "runner": 5,
    "library": 6,
    "mini": 5,
    "selftest": 5,
    "commands": 6,
    "cli": 7,
}


def imports(path: Path) -> set[str]:
    """Every parabench module a file imports, wherever in the file the import stands."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.startswith("parabench.")}


def part(name: str) -> str:
    """``parabench.data.examples.read_lines`` is of the part ``data``."""
    return name.split(".")[1]


FILES = sorted((ROOT / "parabench").rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downwards(path: Path) -> None:
    own = path.relative_to(ROOT / "parabench").parts[0].removesuffix(".py")
    for name in imports(path):
        assert part(name) not in ("scorers", "baselines"), f"the core names a plug-in: {name}"
        if own in BELOW and part(name) in BELOW and part(name) != own:
            assert BELOW[part(name)] <= BELOW[own], f"{own} imports {name}, which stands above it"


@pytest.mark.parametrize("folder", ["scorers", "baselines"])
def test_plugins_import_no_other_plugin_and_no_harness(folder: str) -> None:
    allowed = {"contracts", "inference", "prompts", "data", folder}
    for path in sorted((ROOT / folder).glob("*.py")):
        for name in imports(path):
            assert part(name) in allowed, f"{path.name} imports {name}"


@pytest.mark.parametrize("command", ["--help", "run --help", "list scorers", "list systems"])
def test_a_light_command_loads_nothing_heavy(command: str) -> None:
    code = (
        "import sys; from parabench.cli import app\n"
        f"try: app({command.split()!r})\nexcept SystemExit: pass\n"
        f"print('LOADED', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "LOADED []" in done.stdout, done.stdout[-300:]
