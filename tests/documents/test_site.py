"""The pages as a site: built without a warning, and the reference of the command line is the
program's.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_site_is_built_without_a_warning(tmp_path) -> None:
    command = [
        "-m",
        "sphinx",
        "-q",
        "-W",
        "--keep-going",
        "-d",
        str(tmp_path / "trees"),
        "-c",
        "docs",
        ".",
        str(tmp_path),
    ]
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "docs" / "command-line.html").exists()


def test_the_command_line_reference_is_the_programs(tmp_path) -> None:
    made = tmp_path / "command-line.md"
    options = ["--name", "parabench", "--title", "The command line", "--output", str(made)]
    command = [sys.executable, "-m", "typer", "parabench.cli", "utils", "docs", *options]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    assert made.read_text() == (ROOT / "docs" / "command-line.md").read_text(), (
        "make docs writes it again"
    )
