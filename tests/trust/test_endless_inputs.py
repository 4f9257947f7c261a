"""Inputs that never end, or unpack without end: refused at once, in little memory, by name."""

from __future__ import annotations

import gzip
import io
import json
import os
import resource
import sys
import tarfile
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from parabench.commands.prompts import _read_template
from parabench.contracts import UserError
from parabench.data.predictions import read_predictions
from parabench.data.sketches import SKETCH_FILE, read_sketch
from parabench.data.skipped import SkipCounts
from parabench.data.specs import parse_corpora
from parabench.data.task_data import phrasebank_records, squad_records
from parabench.data.test_sets import read_test_set
from parabench.data.training_set import fingerprint, numbered_pairs
from parabench.filtering.source import Source
from parabench.metaeval.judgment_files import JudgmentFile
from parabench.metaeval.rating_sheets import read_sheets
from parabench.pipeline.plan import RunRequest, make_plan
from parabench.prompts import nemo
from parabench.prompts.importers import read_foreign_prompt
from parabench.prompts.records import read_objects
from parabench.prompts.task_file import read_task_file
from parabench.report.published import read_published
from parabench.suites.suite import load_suite
from parabench.training.tasks import read_tasks
from tests.support import light

Reader = Callable[[Path], object]


def pairs(form: str) -> Reader:
    def read(path: Path) -> object:
        (spec,) = parse_corpora(f"{form}:{path}?source=source&target=target")
        return list(numbered_pairs(spec, SkipCounts(), 0))

    return read


READERS: dict[str, tuple[str, Reader]] = {
    "test set": ("a.tsv", read_test_set),
    "test set in JSON": ("a.jsonl", read_test_set),
    "test set in CSV": ("a.csv", read_test_set),
    "test set in Parquet": ("a.parquet", read_test_set),
    "predictions": ("a.csv", read_predictions),
    "corpus in TSV": ("a.tsv", pairs("tsv")),
    "corpus in CSV": ("a.csv", pairs("csv")),
    "corpus in JSON": ("a.jsonl", pairs("jsonl")),
    "corpus in Parquet": ("a.parquet", pairs("parquet")),
    "fingerprint": ("a.tsv", lambda path: fingerprint(parse_corpora(f"tsv:{path}"), 0)),
    "rows to filter": ("a.tsv", lambda path: Source(str(path)).identity),
    "suite": ("a.toml", lambda path: load_suite(str(path))),
    "phrase bank": ("a.txt", phrasebank_records),
    "questions": ("a.json", squad_records),
    "judgments": ("a.jsonl", lambda path: list(JudgmentFile(path))),
    "rating sheet": ("a.csv", lambda path: read_sheets([path], ())),
    "published numbers": ("a.csv", read_published),
    "list of tasks": ("a.toml", read_tasks),
    "tasks file": ("a.json", read_task_file),
    "records": ("a.jsonl", lambda path: list(read_objects(path))),
    "checkpoint of a prompt": ("a.ckpt", lambda path: read_foreign_prompt(path, "")),
    "NeMo file": ("a.nemo", lambda path: read_foreign_prompt(path, "")),
    "prompt alone": ("a.safetensors", lambda path: read_foreign_prompt(path, "")),
    "template": ("a.json", _read_template),
}


def fifo(path: Path) -> None:
    os.mkfifo(path)


def zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def noise(path: Path) -> None:
    path.symlink_to("/dev/urandom")


def in_little_memory(read: Reader, path: Path) -> int | None:
    """The exit status of a process that may have 600 MiB more and a minute: 3 where it refused."""

    def run() -> None:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (600 << 20),) * 2)
        try:
            read(path)
        except UserError as error:
            print(error, flush=True)
            sys.exit(3)

    process = get_context("fork").Process(target=run)
    process.start()
    process.join(120)
    process.kill()
    return process.exitcode


@pytest.mark.parametrize("make", [fifo, zeros, noise])
@pytest.mark.parametrize("name", READERS)
def test_pipes_and_devices_are_refused_by_name(
    tmp_path: Path, name: str, make: Callable[[Path], None], capfd: pytest.CaptureFixture[str]
) -> None:
    file, read = READERS[name]
    make(tmp_path / file)
    assert in_little_memory(read, tmp_path / file) == 3
    said = capfd.readouterr().out
    assert file in said
    assert "a pipe, device or socket" in said


def test_a_lock_that_is_a_pipe_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "a.lock.json")
    content = 'name = "a"\ntitle = "A"\nscorers = ["bleu"]\nheadline = "bleu"\n'
    (tmp_path / "a.toml").write_text(content)
    assert in_little_memory(lambda path: load_suite(str(path)), tmp_path / "a.toml") == 3
    assert "a.lock.json" in capfd.readouterr().out


def test_a_record_without_end_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with (tmp_path / SKETCH_FILE).open("wb") as file:
        file.truncate(10**10)  # ten gigabytes of nothing, which take no room on disk
    assert in_little_memory(read_sketch, tmp_path) == 3
    assert "more than 67,108,864 bytes" in capfd.readouterr().out


def test_a_suite_of_a_gigabyte_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with (tmp_path / "a.toml").open("wb") as file:
        file.truncate(10**9)
    assert in_little_memory(lambda path: load_suite(str(path)), tmp_path / "a.toml") == 3
    assert "more than 1,048,576 bytes" in capfd.readouterr().out


@pytest.mark.parametrize("line", [b"\0", b"It rained.\tRain fell.\tIt was raining.\n"])
@pytest.mark.parametrize("named", [True, False])
def test_a_bomb_through_filter_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], line: bytes, named: bool
) -> None:
    """An eighth of a gigabyte in a few hundred kilobytes, as a corpus and as predictions."""
    path = tmp_path / "bomb.tsv.gz"
    block = line * (2**20 // len(line))
    with gzip.open(path, "wb") as file:
        for _ in range(1 << 7):
            file.write(block)

    def read(path: Path) -> object:
        return sum(1 for _ in Source(f"tsv:{path}" if named else str(path)).rows())

    assert in_little_memory(read, path) == 3
    assert "bomb.tsv.gz" in capfd.readouterr().out


def head(**more: object) -> str:
    """The least that a suite holds, with more of it."""
    content = {"name": "a", "title": "A", "scorers": ["bleu"], "headline": "bleu", **more}
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in content.items())


def test_a_note_of_fifty_megabytes_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.toml").write_text(head(note="n" * 50_000_000))
    assert in_little_memory(lambda path: load_suite(str(path)), tmp_path / "a.toml") == 3
    said = capfd.readouterr().out
    assert "more than 1,048,576 bytes" in said
    assert len(said) < 1000


def planned(**asked: Any) -> Reader:
    """Plan a suite, with what is asked for on the command line."""

    def plan(path: Path) -> object:
        return make_plan(RunRequest(load_suite(str(path)), device="cpu", **asked))

    return plan


NAMES = tuple(f"x{number}" for number in range(100_000))


@pytest.mark.parametrize(
    ("suite", "asked"),
    [
        ({"systems": NAMES}, {}),
        ({"controls": NAMES}, {}),
        ({"scorers": NAMES}, {}),
        ({}, {"systems": NAMES}),
        ({}, {"scorers": NAMES}),
        ({}, {"attackers": NAMES}),
    ],
)
def test_a_hundred_thousand_names_are_refused(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    suite: dict[str, object],
    asked: dict[str, object],
) -> None:
    """Each has its own files, and a table of so many rows is read by nobody."""
    light.data(tmp_path)
    (tmp_path / "a.toml").write_text(head(**{"data": "./data.jsonl", "systems": ["copy"], **suite}))
    begin = time.monotonic()
    assert in_little_memory(planned(**asked), tmp_path / "a.toml") == 3
    assert time.monotonic() - begin < 60
    said = capfd.readouterr().out
    assert "100,00" in said
    assert "at most 1,000" in said
    assert len(said) < 1000


def test_an_archive_of_prompts_is_not_unpacked_for_ever(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than the limit of nothing, before the files that are asked for."""
    monkeypatch.setattr(nemo, "_LARGEST", 1 << 24)
    path = tmp_path / "bomb.nemo"

    class Nothing(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            return bytes(size)

    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        entry = tarfile.TarInfo("padding")
        entry.size = 1 << 22
        for _ in range(10):
            archive.addfile(entry, Nothing())
    assert in_little_memory(lambda source: read_foreign_prompt(source, ""), path) == 3
    assert "once it is unpacked" in capfd.readouterr().out
