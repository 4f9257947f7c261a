"""Inputs that never end, or unpack without end: refused at once, in little memory, by name."""

from __future__ import annotations

import gzip
import os
import resource
import sys
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import pytest

from parabench.contracts import UserError
from parabench.data.predictions import read_predictions
from parabench.data.sketches import SKETCH_FILE, read_sketch
from parabench.data.skipped import SkipCounts
from parabench.data.specs import parse_corpora
from parabench.data.task_data import phrasebank_records, squad_records
from parabench.data.test_sets import read_test_set
from parabench.data.training_set import fingerprint, numbered_pairs
from parabench.filtering.source import Source
from parabench.suites.suite import load_suite

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
