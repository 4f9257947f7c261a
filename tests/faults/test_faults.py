"""Every fault is survived; and every experiment fails once the guard it is about is taken away."""

import os
from contextlib import nullcontext
from functools import partial

import pytest

from parabench.contracts import UserError
from parabench.store import append_only, files, log_files, records, run_folder, seal
from parabench.store import log as journal
from tests.faults import experiments, figures, guards, mutations


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(request, monkeypatch):
    """A kill takes nothing that the system was handed, synced or not; power cuts are a model. Only
    time is saved.
    """
    if not request.node.get_closest_marker("slow"):
        monkeypatch.setattr(os, "fsync", lambda file: None)


def survived(tally):
    return 0 < tally["injected"] == tally["recovered"] == sum(tally.values()) / 2


QUICK = {
    **{mode: partial(experiments.at_every_call, mode=mode) for mode in ("after", "torn", "power")},
    **{mode: partial(experiments.at_every_call, mode=mode, step=3) for mode in ("full", "error")},
    "twice": partial(experiments.twice, number=15),
    "kills": partial(experiments.kills, number=5),
    "small disks": partial(experiments.small_disks, steps=8),
    "two openers": partial(experiments.together, number=2, times=3),
    "eight openers": partial(experiments.together, number=8, times=3),
    "finished": partial(mutations.finished, number=150),
    "growing": partial(mutations.growing, number=150),
}


@pytest.mark.parametrize("name", QUICK)
def test_the_fault_is_survived(tmp_path, name):
    tally = QUICK[name](tmp_path)
    assert survived(tally), dict(tally)


@pytest.mark.slow
@pytest.mark.parametrize("name", figures.EXPERIMENTS)
def test_the_fault_is_survived_at_full_size(tmp_path, name):
    tally = figures.EXPERIMENTS[name](tmp_path)
    assert survived(tally), dict(tally)


class Without:
    """The os module, one of whose functions does nothing."""

    def __init__(self, name):
        setattr(self, name, lambda *arguments: None)

    def __getattr__(self, name):
        return getattr(os, name)


class Constant:
    """A digest that is the same for everything."""

    def __init__(self, data=b""): ...

    def update(self, data): ...

    def hexdigest(self):
        return "0" * 64


def overwrite(path, data):
    path.parent.mkdir(exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for part in [data] if isinstance(data, bytes) else data:
        os.write(file, part)
    os.close(file)


def remember(path, size, data):
    return size + len(data)


def told_of_reading(path, verb="write", told=files.os_errors_as_user_errors):
    return told(path, verb) if verb == "read" else nullcontext()


GUARDS = {
    "a torn end is cut off": (
        append_only,
        "quarantine_tail",
        lambda *arguments: None,
        "torn",
        "not resumable",
    ),
    "whole files change in one step": (
        journal,
        "write_atomically",
        overwrite,
        "torn",
        "not resumable",
    ),
    "bytes are synced": (files, "os", Without("fsync"), "power", "acknowledged records lost"),
    "names are synced": (
        files,
        "sync_folder",
        lambda folder: None,
        "power",
        "acknowledged records lost",
    ),
    "a full disk is told": (
        files,
        "os_errors_as_user_errors",
        told_of_reading,
        "full",
        "tracebacks",
    ),
    "a small disk is told": (
        files,
        "os_errors_as_user_errors",
        told_of_reading,
        "small disks",
        "tracebacks",
    ),
    "the folder is locked": (
        run_folder.fcntl,
        "flock",
        lambda *arguments: None,
        "two openers",
        "more than one at once",
    ),
    "lines have checksums": (records, "crc32", lambda *arguments: 0, "growing", "resumed untruly"),
    "finished logs have digests": (log_files, "sha256", Constant, "finished", "misread"),
    "the manifest has digests": (seal, "sha256", Constant, "finished", "undetected"),
}


@pytest.mark.parametrize("guard", GUARDS)
def test_without_its_guard_the_fault_is_not_survived(tmp_path, monkeypatch, guard):
    module, name, nothing, experiment, consequence = GUARDS[guard]
    monkeypatch.setattr(module, name, nothing)
    tally = QUICK[experiment](tmp_path)
    assert tally[consequence] > 0, dict(tally)
    assert not survived(tally)


def test_what_was_acknowledged_and_not_written_finishes_no_log(tmp_path, monkeypatch):
    monkeypatch.setattr(append_only, "append_durably", remember)
    log = run_folder.Log(tmp_path, "predictions", ("copy",), {})
    log.append([("a", "text")])  # this batch is written with the beginning of the file
    log.append([("b", "text")])
    with pytest.raises(UserError, match="damaged"):
        log.seal(["a", "b"])


def test_every_guard_stands_where_the_list_says():
    assert list(guards.stale()) == []


def test_without_comparing_keys_stale_records_are_served(tmp_path, monkeypatch):
    run_folder.Log(tmp_path, "predictions", ("copy",), {"seed": 0}).append([("a", "stale")])
    monkeypatch.setattr(journal, "canonical_json", lambda value: b"")
    assert run_folder.Log(tmp_path, "predictions", ("copy",), {"seed": 1}).done == {"a": "stale"}
