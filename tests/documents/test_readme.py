"""The README cannot drift: its commands exist, its tree is the tree, its table is the committed
one.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from xml.etree import ElementTree

import pytest
import typer.main

from benchmarks import pictures
from parabench.cli import app
from parabench.report.board import board_from_json

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES.remove(ROOT / "docs" / "command-line.md")  # made from the program
COMMAND = typer.main.get_command(app)


def blocks(page: Path, *languages: str) -> list[str]:
    """The fenced blocks of a page in these languages."""
    found = re.findall(
        r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    return [text for language, text in found if language in languages]


def commands(page: Path) -> list[list[str]]:
    """Every ``parabench …`` line of a page's shell blocks, as arguments."""
    lines = "\n".join(blocks(page, "sh", "bash", "console")).replace("\\\n", " ").splitlines()
    words = [shlex.split(line.removeprefix("$ "), comments=True) for line in lines]
    return [line[1:] for line in words if line[:1] == ["parabench"]]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_shown_is_understood(page: Path) -> None:
    for arguments in commands(page):
        command, rest = COMMAND, arguments
        while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
            assert rest[0] in command.commands, (
                f"{page.name} shows: parabench {' '.join(arguments)}"
            )
            command, rest = command.commands[rest[0]], rest[1:]
        known = {name for parameter in command.params for name in parameter.opts} | {"--help"}
        for word in rest:
            assert not word.startswith("--") or word.split("=")[0] in known, (
                f"{page.name}: {' '.join(arguments)}"
            )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_shown_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in "\n".join(blocks(page, "sh", "bash", "console")).splitlines():
        if match := re.match(r"(?:\$ )?make ([a-z-]+)", line):
            assert match[1] in targets, f"{page.name} shows: {line}"


def test_the_tree_shown_is_the_tree() -> None:
    block = next(text for text in blocks(ROOT / "README.md", "") if "parabench/" in text)
    shown = {line.split()[0].rstrip("/") for line in block.splitlines() if line.strip()}
    folders = {
        path.name for path in ROOT.iterdir() if path.is_dir() and (path / "__init__.py").exists()
    }
    assert folders <= shown
    assert all((ROOT / name).exists() for name in shown)


def test_every_page_is_linked_and_every_link_leads_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_leaderboard_shown_is_the_committed_one() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = readme.split("<!-- leaderboard -->")[1].split("<!-- /leaderboard -->")[0].strip()
    verdict, table = shown.split("\n\n")
    committed = (ROOT / "results" / "smollm2" / "table.md").read_text(encoding="utf-8")
    assert verdict.startswith("**")
    assert table.startswith("|")
    assert verdict in committed
    assert table in committed


def test_the_picture_shown_is_of_the_committed_table() -> None:
    (path,) = re.findall(
        r'<img src="([^"]+)" width="\d+" alt="[^"]{40,}">', (ROOT / "README.md").read_text()
    )
    picture = (ROOT / path).read_bytes()
    assert len(picture) < 200_000
    root = ElementTree.fromstring(picture)
    shown = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    board = board_from_json((ROOT / "results" / "smollm2" / "leaderboard.json").read_text())
    systems = {row.system for row in board.rows if not row.control}
    # Attackers have their names where there is room.
    assert {*systems, "human", "copy"} <= shown
    assert {text for text in shown if text and text[0].islower()} - {
        "src_bleu (lower is better)",
        "bleu (higher is better)",
    } <= {row.system for row in board.rows}
    # Drawn again it says the same; places may differ by the last digit of another machine.
    again = ElementTree.fromstring(pictures.picture(board))
    assert {element.text for element in again.iter("{http://www.w3.org/2000/svg}text")} == shown


def test_the_project_speaks_of_itself_alone() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for word in ("/root", "/tmp/", "/work/", "DESIGN.md", "research/"):
            assert word not in text, f"{page.name} holds {word}"
