"""Every command that README and docs show is run: a page's in order, in a folder of its own, as if
in a checkout.

A block is a file if ``<!-- file: NAME -->`` stands before it; a shell block with ``<!-- not run:
REASON -->`` is only shown. Whatever is long is cut short: a few examples, a few updates. ``RUN``
stands for a finished run.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from parabench.cli import app
from parabench.contracts import UserError

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES.remove(ROOT / "docs" / "command-line.md")  # made from the program
SHELL = ("sh", "bash", "console")
SHORT = {
    "run": {"--limit": "6"},
    "train": {"--steps": "2", "--dev": "4", "--batch-size": "2", "--validation-texts": None},
    "tasks train": {"--steps": "2", "--batch-size": "2"},
    "data prepare demo": {"--size": "100"},
    "search": {"--steps": "2", "--trials": "2", "--dev": "4", "--batch-size": "2", "--seeds": None},
}
BY_CI = {"make bench", "make test", "make check", "make"}
"""What ``.ci/run`` runs."""


class Block(NamedTuple):
    """A fenced block: its language, what the comment before it says, its text."""

    language: str
    kind: str
    note: str
    text: str


def blocks(page: Path) -> list[Block]:
    fence = r"(?:^<!-- (file|not run): (.+?) -->\n)?^```(\w*)\n(.*?)^```$"
    found = re.findall(fence, page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [Block(language, kind, note, text) for kind, note, language, text in found]


def commands(text: str) -> list[list[str]]:
    lines = text.replace("\\\n", " ").splitlines()
    words = (shlex.split(line.removeprefix("$ "), comments=True) for line in lines)
    return [line for line in words if line]


def shortened(words: list[str]) -> list[str]:
    """The command with the options that make it long set to little."""
    names = (" ".join(words[1:end]) for end in (2, 3, 4))
    short = next((SHORT[name] for name in names if name in SHORT), {})
    if "--help" in words:
        return words
    for option, value in short.items():
        if option in words:
            place = words.index(option)
            del words[place : place + 2]
        if value is not None:
            words += [option, value]
    return words


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("documents") / "run"
    run_here(
        [
            "parabench",
            "run",
            "--systems",
            "softprompt-20,bart",
            "--limit",
            "6",
            "--output",
            str(folder),
        ]
    )
    return folder


def readers_own(folder: Path) -> None:
    """The files that pages take for granted: a test set, predictions, and texts for every example
    of parabench-en.
    """
    examples = (
        (ROOT / "parabench" / "mini" / "test.jsonl").read_text(encoding="utf-8").splitlines()[:4]
    )
    (folder / "test.jsonl").write_text("\n".join(examples) + "\n", encoding="utf-8")
    rows = [json.loads(line) for line in examples]
    (folder / "mine.jsonl").write_text(
        "".join(json.dumps({**row, "prediction": row["source"]}) + "\n" for row in rows)
    )
    lines = ("\t".join([row["source"], row["source"], *row["references"]]) for row in rows)
    (folder / "mine.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    own = (
        (ROOT / "parabench" / "suites" / "parabench-en.jsonl")
        .read_text(encoding="utf-8")
        .splitlines()
    )
    (folder / "mine.txt").write_text(
        "".join(json.loads(line)["source"] + "\n" for line in own), encoding="utf-8"
    )


def run_here(words: list[str]) -> None:
    """A command of ours in this process, which has loaded everything already."""
    try:
        app(words[1:], standalone_mode=False)
    except UserError as error:
        pytest.fail(f"{shlex.join(words)}: {error}")
    except SystemExit as end:
        if end.code:
            pytest.fail(f"{shlex.join(words)}: exit {end.code}")


def run_apart(words: list[str], site: Path) -> None:
    """Any other command as a process; what ``pip install .`` installs goes to a folder of its
    own.
    """
    if words[:2] == ["pip", "install"]:
        plain = [
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "--no-index",
            "--target",
            str(site),
        ]
        words = ["python", "-m", *words[:2], *plain, *words[2:]]
    modules = {"parabench": "parabench", "torchrun": "torch.distributed.run"}
    program = ["-m", modules[words[0]]] if words[0] in modules else []
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    }
    done = subprocess.run(
        [sys.executable, *program, *words[1:]],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, (
        f"{shlex.join(words)}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_shown_works(page, tmp_path, monkeypatch, finished_run) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "parabench").symlink_to(ROOT / "parabench")
    readers_own(tmp_path)
    other = shutil.copytree(finished_run, tmp_path / "other-run")
    runs = {"RUN": str(finished_run), "OTHER": str(other)}
    site = tmp_path / "site"
    for block in blocks(page):
        if block.kind == "file":
            Path(block.note).write_text(block.text, encoding="utf-8")
        elif block.language in SHELL and block.kind != "not run":
            for words in commands(block.text):
                words = [runs.get(word, word) for word in words]
                if words[0] == "parabench" and not site.exists():
                    run_here(shortened(words))
                elif words[0] in ("parabench", "pip", "python", "torchrun"):
                    run_apart(shortened(words) if words[0] == "parabench" else words, site)
                else:
                    assert " ".join(words[:2]) in BY_CI, (
                        f"{page.name}: nobody runs {shlex.join(words)}"
                    )
