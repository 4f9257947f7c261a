"""Readers refuse a run folder that is not as it was sealed, and verify names the file."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from parabench.cli import app
from parabench.contracts import UserError
from parabench.pipeline import runner
from parabench.report.assemble import write_reports
from parabench.report.run_reader import load_results
from parabench.store.files import append_durably, os_errors_as_user_errors, write_atomically
from parabench.store.run_folder import open_run, verify_run
from parabench.store.seal import write_seal
from tests.support import light

SYSTEMS = ("copy", "shuffled", "human")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of three controls."""
    folder = tmp_path_factory.mktemp("sealed")
    runner.run_plan(light.plan(folder, systems=SYSTEMS, output=folder / "run"))
    return folder / "run"


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "run"))


def exchange(folder: Path) -> None:
    """The statistics of two systems under one another's names."""
    one, other = (folder / f"statistics/{name}.bleu.npz" for name in ("copy", "shuffled"))
    held = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(held)


def remove(system: str) -> Callable[[Path], None]:
    def remove_files(folder: Path) -> None:
        for path in [*folder.glob(f"*/{system}.*")]:
            path.unlink()

    return remove_files


def edit(name: str, old: bytes, new: bytes) -> Callable[[Path], None]:
    def edit_file(folder: Path) -> None:
        data = (folder / name).read_bytes()
        assert old in data
        (folder / name).write_bytes(data.replace(old, new, 1))

    return edit_file


def other_predictions(folder: Path) -> None:
    """The texts of another system under a system's name, every checksum made anew."""
    from parabench.store.log import finished_predictions
    from parabench.store.log_files import finished_log
    from parabench.store.records import record_lines

    kept = finished_predictions(folder, "copy").identity
    records = list(finished_predictions(folder, "shuffled").records)
    data = finished_log(kept, lambda: record_lines(kept, records))
    write_atomically(folder / "predictions/copy.jsonl", data)


CHANGES = {
    "exchanged": (exchange, "statistics/copy.bleu.npz"),
    "removed system": (remove("shuffled"), "predictions/shuffled.jsonl"),
    "removed human": (remove("human"), "predictions/human.jsonl"),
    "edited provenance": (edit("provenance.json", b'"seed": 0', b'"seed": 1'), "provenance.json"),
    "edited spec": (edit("spec.json", b'"seed": 0', b'"seed": 1'), "spec.json"),
    "other texts": (other_predictions, "predictions/copy.jsonl"),
    "added system": (
        lambda folder: shutil.copy(
            folder / "predictions/copy.jsonl", folder / "predictions/x.jsonl"
        ),
        "predictions/x.jsonl",
    ),
}
MADE_ANEW = {
    "exchanged": "it is of shuffled, bleu",
    "other texts": "measured from other texts",
    "edited provenance": "another runtime",
    "added system": "it is of copy",
}
"""What is still seen where the digests in the manifest were made anew too."""


@pytest.mark.parametrize("change", CHANGES)
def test_readers_refuse_a_changed_folder(copy: Path, change: str) -> None:
    act, name = CHANGES[change]
    act(copy)
    for read in (load_results, write_reports):
        with pytest.raises(UserError, match=name):
            read(copy)
    assert any(name in problem for problem in verify_run(copy))


@pytest.mark.parametrize("change", MADE_ANEW)
def test_contents_are_held_against_one_another(copy: Path, change: str) -> None:
    CHANGES[change][0](copy)
    write_seal(copy)
    with pytest.raises(UserError, match=MADE_ANEW[change]):
        load_results(copy)
    assert any(MADE_ANEW[change] in problem for problem in verify_run(copy))


COMMANDS = (
    ["report", "{run}"],
    ["compare", "{run}", "{whole}"],
)


def test_commands_refuse_a_changed_folder(run: Path, copy: Path) -> None:
    exchange(copy)
    for words in COMMANDS:
        filled = [word.format(run=copy, whole=run) for word in words]
        done = CliRunner().invoke(app, filled)
        assert isinstance(done.exception, UserError), (words, done.output)
        assert "statistics/copy.bleu.npz" in str(done.exception)


@pytest.mark.parametrize(
    "name", ["leaderboard.md", "leaderboard.csv", "leaderboard.json", "report.html"]
)
def test_the_seal_covers_tables_and_page(copy: Path, name: str) -> None:
    assert verify_run(copy) == []
    data = (copy / name).read_bytes()
    (copy / name).write_bytes(data[: len(data) // 2])
    assert verify_run(copy) == [f"{name}: not as it was when the run was sealed"]
    (copy / name).unlink()
    assert verify_run(copy) == [f"{name}: missing"]
    write_reports(copy)
    assert (copy / name).read_bytes() == data
    assert verify_run(copy) == []


def test_every_deleted_file_is_named(copy: Path) -> None:
    names = [path.relative_to(copy).as_posix() for path in sorted(copy.rglob("*.*"))]
    for name in (name for name in names if name != "manifest.json"):
        held = (copy / name).read_bytes()
        (copy / name).unlink()
        assert any(name in problem for problem in verify_run(copy)), name
        (copy / name).write_bytes(held)
    assert verify_run(copy) == []


def test_a_file_that_the_seal_does_not_name(copy: Path) -> None:
    """As a run that was given more systems and was killed leaves it."""
    manifest = json.loads((copy / "manifest.json").read_text())
    del manifest["files"]["statistics/shuffled.bleu.npz"]
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=r"shuffled\.bleu\.npz: not in manifest\.json"):
        load_results(copy)


def test_an_older_seal_says_nothing_of_tables(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    del manifest["reports"]
    (copy / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    assert verify_run(copy) == []
    load_results(copy)


def test_a_linked_folder_is_written(tmp_path: Path) -> None:
    """A cluster's scratch, linked into a home: output and every folder above it."""
    (tmp_path / "scratch" / "deep").mkdir(parents=True)
    (tmp_path / "results").symlink_to(tmp_path / "scratch")
    (tmp_path / "run").symlink_to(tmp_path / "scratch" / "deep")
    for output in (tmp_path / "results" / "new", tmp_path / "run"):
        runner.run_plan(light.plan(tmp_path, systems=("copy",), output=output))
        assert verify_run(output) == []
    write_atomically(tmp_path / "run" / "file", b"x")


@pytest.mark.parametrize("name", ["predictions", "statistics", "quarantine"])
def test_a_link_inside_a_run_is_refused(copy: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    shutil.rmtree(copy / name, ignore_errors=True)
    (copy / name).symlink_to(tmp_path / "elsewhere")
    spec = json.loads((copy / "spec.json").read_text())
    with pytest.raises(UserError, match="it is a symbolic link"), open_run(copy, spec):
        pytest.fail("opened")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_linked_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"")
    (tmp_path / "log").symlink_to(tmp_path / "target")
    with pytest.raises(UserError, match="in the place of the symbolic link"):
        append_durably(tmp_path / "log", 0, b"x")
    assert (tmp_path / "target").read_bytes() == b""


@pytest.mark.parametrize(
    ("number", "mend"),
    [
        (errno.ENOSPC, "make room"),
        (errno.EDQUOT, "make room"),
        (errno.EROFS, "make room"),
        (errno.EACCES, "give yourself the right"),
        (errno.ELOOP, "symbolic link"),
        (errno.EISDIR, "give another path"),
        (errno.ENAMETOOLONG, "a shorter name"),
        (errno.ENOENT, ""),
    ],
)
def test_room_is_asked_for_only_if_it_helps(tmp_path: Path, number: int, mend: str) -> None:
    with pytest.raises(UserError) as raised, os_errors_as_user_errors(tmp_path / "x"):
        raise OSError(number, "the system's words")
    assert "the system's words" in raised.value.found
    assert mend in raised.value.mend
    assert bool(raised.value.mend) == bool(mend)
    assert ("MB free" in raised.value.found) == (mend == "make room")
