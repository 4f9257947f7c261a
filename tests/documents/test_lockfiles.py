"""What make installs is locked with hashes, complete, and checked by pip."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = ("constraints.txt", "constraints-dev.txt", "constraints-torch.txt", "constraints-cuda.txt")


def locked(name: str) -> dict[str, str]:
    """Each package of a lock file with its lines."""
    text = (ROOT / name).read_text(encoding="utf-8")
    parts = re.split(r"^(?=[a-zA-Z0-9])", text, flags=re.MULTILINE)
    return {normal(re.split(r"[=\[]", part)[0]): part for part in parts if "==" in part}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("name", FILES)
def test_every_locked_package_has_hashes(name: str) -> None:
    for package, lines in locked(name).items():
        assert re.match(r"[\w.-]+==[\w.+!]+( ;.*)? \\\n", lines), package
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", lines), package


def test_what_the_project_needs_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {normal(re.split(r"[<>=\[ ;]", one)[0]) for one in project["dependencies"]}
    extra = {
        normal(re.split(r"[<>=\[ ;]", one)[0]) for one in project["optional-dependencies"]["dev"]
    }
    main = {*locked("constraints.txt"), *locked("constraints-torch.txt"), "setuptools"}
    assert needed <= main
    assert extra <= main | set(locked("constraints-dev.txt"))


def test_bench_installs_no_tool_of_the_developers() -> None:
    for tool in ("mypy", "sphinx", "pytest", "playwright", "ruff", "furo"):
        assert tool not in locked("constraints.txt")


def test_make_installs_by_the_lock_alone() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    install = re.findall(r"\$\(INSTALL\) (.*)", makefile)
    assert "--no-deps" in makefile.split("INSTALL := ")[1].splitlines()[0]
    for line in install:
        assert "--require-hashes -r constraints" in line or line.endswith("--editable .")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make bench" in readme
    assert "TORCH_INDEX=https://download.pytorch.org/whl/cpu" in readme
    assert "pip install" not in readme.split("## Two commands")[1].split("##")[0]


def wheel(folder: Path) -> Path:
    """The smallest wheel there is."""
    path = folder / "tiny-1.0-py3-none-any.whl"
    info = "tiny-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny.py", "")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.mark.parametrize("right", [True, False])
def test_pip_refuses_a_wheel_with_another_hash(tmp_path: Path, right: bool) -> None:
    digest = hashlib.sha256(wheel(tmp_path).read_bytes() if right else b"").hexdigest()
    lock = tmp_path / "lock.txt"
    lock.write_text(f"tiny==1.0 \\\n    --hash=sha256:{digest}\n")
    command = [
        sys.executable, "-m", "pip", "install", "--isolated", "--no-index", "--no-deps",
        "--find-links", str(tmp_path), "--target", str(tmp_path / "out"),
        "--require-hashes", "-r", str(lock),
    ]  # fmt: skip
    if subprocess.run([*command[:3], "--version"], capture_output=True).returncode:
        pytest.skip("this environment has no pip")
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode == 0) is right, done.stderr
