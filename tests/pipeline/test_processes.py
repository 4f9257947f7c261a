"""Several processes on one run: the bytes of one process, a dead one costs its own, a stopped one
is noticed.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from parabench.contracts import UserError
from parabench.pipeline import provenance, runner
from parabench.pipeline.plan import RunPlan, RunRequest, make_plan
from parabench.pipeline.processes import Waiting
from parabench.store import log as journal
from parabench.store.log import Log, read_log
from parabench.store.run_folder import join_run, open_run, verify_run, worker_status
from parabench.suites.suite import load_suite
from parabench.torchrun import ProcessRank, rank_from_environment
from tests.faults import process_figures
from tests.support import tiny_suite


class Slow(tiny_suite.Upper):
    """Answers in capitals, with a pause before each batch."""

    pause: float = 0.0

    def paraphrase(self, sources):
        for batch in super().paraphrase(sources):
            time.sleep(self.pause)
            yield batch


def light(world: Path, output: Path, batches: int | None = None, pause: float = 0.0) -> RunPlan:
    """A plan without models; its system makes two answers a batch, and dies after so many
    batches.
    """
    made = make_plan(
        RunRequest(
            load_suite(str(world / "tiny.toml")),
            ("copy", "human"),
            ("ibleu",),
            device="cpu",
            output=output,
        )
    )
    slow = Slow(batches=batches)
    slow.pause = pause
    return replace(made, systems={**made.systems, "upper": slow})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    tiny_suite.suite_file(folder)
    return folder


@pytest.fixture(autouse=True, scope="module")
def _one_revision() -> Iterator[None]:
    """Whoever edits the code meanwhile changes nothing here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            provenance, "code_revision", lambda folder: {"commit": "0" * 40, "dirty": False}
        )
        yield


@pytest.fixture(scope="module")
def alone(world: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What one process leaves."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    runner.run_plan(light(world, folder))
    return digests(folder)


def digests(folder: Path) -> dict[str, str]:
    files = [
        path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("lock")
    ]
    return {str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() for path in files}


def work(
    world: Path,
    output: Path,
    process: ProcessRank,
    waiting: Waiting,
    batches: int | None,
    pause: float,
) -> None:
    """One process; what it could not do is left in a file."""
    made = light(world, output, batches, pause)
    try:
        if process.is_first:
            runner.run_plan(made, process=process, waiting=waiting)
        else:
            runner.run_worker(made, process, waiting)
    except UserError as error:
        output.with_name(f"error-{process.rank}").write_text(str(error))
        raise SystemExit(2) from None


class Launch:
    """Processes of one run, forked from this one, and ended with the test."""

    def __init__(self, world: Path, output: Path) -> None:
        self.world, self.output, self.processes = world, output, list[Any]()

    def start(
        self,
        rank: int,
        size: int,
        batches: int | None = None,
        pause: float = 0.0,
        patience: float = 20,
    ) -> Any:
        process, waiting = ProcessRank(rank, size), Waiting(patience, interval=0.02)
        arguments = (self.world, self.output, process, waiting, batches, pause)
        self.processes.append(get_context("fork").Process(target=work, args=arguments))
        self.processes[-1].start()
        return self.processes[-1]

    def error(self, rank: int) -> str:
        return self.output.with_name(f"error-{rank}").read_text()


def ended(process: Any) -> int:
    process.join(60)
    return int(process.exitcode)


@pytest.fixture
def launch(world: Path, tmp_path: Path) -> Iterator[Launch]:
    made = Launch(world, tmp_path / "run")
    yield made
    for process in made.processes:
        process.kill()
        process.join()


def test_three_processes_leave_the_bytes_of_one(launch: Launch, alone: dict[str, str]) -> None:
    processes = [launch.start(rank, 3) for rank in range(3)]
    assert [ended(process) for process in processes] == [0, 0, 0]
    assert digests(launch.output) == alone
    assert verify_run(launch.output) == []


@pytest.mark.parametrize("batches", [0, 1])
def test_what_a_dead_process_left_is_done_by_the_leader(
    launch: Launch, alone: dict[str, str], batches: int
) -> None:
    leader, dead = launch.start(0, 2), launch.start(1, 2, batches)
    assert ended(dead) != 0
    assert ended(leader) == 0
    assert digests(launch.output) == alone


def test_a_killed_leader_ends_all_and_the_size_may_change(
    launch: Launch, alone: dict[str, str]
) -> None:
    leader, other = launch.start(0, 2, pause=0.3), launch.start(1, 2)
    part = launch.output / "predictions" / "upper.part-1.jsonl"
    wait_for(lambda: part.exists() and part.read_bytes().count(b"\n") == 7)
    leader.kill()
    assert ended(other) == 2
    assert "the leading process has ended" in launch.error(1)
    again = [launch.start(rank, 3) for rank in range(3)]
    assert [ended(process) for process in again] == [0, 0, 0], launch.error(1)
    assert digests(launch.output) == alone


def test_a_stopped_process_is_named_and_nothing_is_lost(
    launch: Launch, alone: dict[str, str]
) -> None:
    leader, stopped = launch.start(0, 2, patience=3), launch.start(1, 2, pause=0.5)
    part = launch.output / "predictions" / "upper.part-1.jsonl"
    wait_for(part.exists)
    os.kill(stopped.pid, signal.SIGSTOP)
    assert ended(leader) == 2
    assert "process 1 of 2 has written nothing for 3 s" in launch.error(0)
    stopped.kill()
    assert ended(launch.start(0, 1)) == 0
    assert digests(launch.output) == alone


def wait_for(condition) -> None:
    while not condition():
        time.sleep(0.02)


def test_one_who_comes_when_all_is_done_has_nothing_to_do(
    launch: Launch, alone: dict[str, str]
) -> None:
    assert ended(launch.start(0, 1)) == 0
    assert ended(launch.start(1, 2)) == 0
    assert digests(launch.output) == alone


@pytest.mark.parametrize("torn", [b"", b'{"id":"torn'])
@pytest.mark.parametrize("moment", range(4))
def test_a_log_may_be_finished_while_others_open_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int, torn: bytes
) -> None:
    records = [("a", {"text": "x"}), ("b", {"text": "y"})]
    log = partial(Log, tmp_path, "predictions", ("copy",), {})
    log(rank=1).append(records)
    leader = log(rank=0)
    with (tmp_path / "predictions" / "copy.part-1.jsonl").open("ab") as part:
        part.write(torn)
    load, moments = journal.load_log, iter(range(4))

    def overtaken(path: Path) -> Any:
        try:
            if next(moments) == moment:
                leader.seal(["a", "b"])
            return load(path)
        finally:
            if next(moments) == moment:
                leader.seal(["a", "b"])

    monkeypatch.setattr(journal, "load_log", overtaken)
    other = log(rank=1)
    monkeypatch.setattr(journal, "load_log", load)
    assert other.refresh()
    assert other.done == dict(records)
    assert read_log(tmp_path, "predictions", "copy") == ({}, dict(records))


def test_two_launches_do_not_mix(world: Path, tmp_path: Path) -> None:
    spec = {"a": 1}
    with open_run(tmp_path / "run", spec):
        with (
            pytest.raises(UserError, match=f"process {os.getpid()} is writing it"),
            open_run(tmp_path / "run", spec),
        ):
            pass
        with join_run(tmp_path / "run", spec, 1):
            assert worker_status(tmp_path / "run", 1) == "there"
            with (
                pytest.raises(UserError, match="is writing it"),
                join_run(tmp_path / "run", spec, 1),
            ):
                pass
        assert worker_status(tmp_path / "run", 1) == "gone"
        assert worker_status(tmp_path / "run", 2) == "unknown"
        with pytest.raises(UserError, match="a: 1, now 2"), join_run(tmp_path / "run", {"a": 2}, 1):
            pass
    with pytest.raises(UserError, match="no process leads it"), join_run(tmp_path / "run", spec, 1):
        pass


def test_one_may_join_before_the_leader_has_signed(tmp_path: Path) -> None:
    with open_run(tmp_path / "run", {}):
        lock = tmp_path / "run" / "lock"
        signature = lock.read_bytes()
        lock.write_bytes(b"")
        assert worker_status(tmp_path / "run", 0) == "unknown"
        with ThreadPoolExecutor() as pool:
            pool.submit(lambda: (time.sleep(0.05), lock.write_bytes(signature)))
            with join_run(tmp_path / "run", {}, 1):
                assert worker_status(tmp_path / "run", 1) == "there"


def test_the_share_comes_from_what_torchrun_sets() -> None:
    assert rank_from_environment({}) == ProcessRank(0, 1)
    assert rank_from_environment({"RANK": "2", "WORLD_SIZE": "4"}).share(range(10)) == range(
        2, 10, 4
    )
    for wrong in ({"RANK": "4", "WORLD_SIZE": "4"}, {"RANK": "x"}, {"RANK": "1"}):
        with pytest.raises(UserError, match="torchrun"):
            rank_from_environment(wrong)


def test_the_experiments_of_the_figures_lose_and_double_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process_figures, "EXAMPLES", 12)
    lines: list[str] = []
    cases = [
        ("one of three killed", 3, 2, "killed", 1),
        ("the leading one killed", 2, 0, "killed", 1),
    ]
    process_figures.measured(lines.append, cases)
    assert [line.split(" | ")[1:6] for line in lines[2:]] == [
        ["1", "0", "0", "0", "0"],
        ["1", "0", "0", "0", "1"],
    ]


def test_the_experiments_would_see_an_answer_that_stands_twice(tmp_path: Path) -> None:
    folder = tmp_path / "predictions"
    folder.mkdir()
    for name, answered in (("upper.part.jsonl", "ab"), ("upper.part-1.jsonl", "bc")):
        lines = ["{}", *(f'{{"id":"{letter}"}}' for letter in answered), '{"id":"torn']
        (folder / name).write_text("\n".join(lines))
    assert process_figures.ids(tmp_path) == {"a": 1, "b": 2, "c": 1}
