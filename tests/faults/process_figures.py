"""Runs of several processes, killed and stopped at chosen points: ``python -m
tests.faults.process_figures`` (minutes; Linux).

What is counted: examples without an answer in the end, examples answered in more than one part,
final files that differ from those of one undisturbed process, and the seconds until the leading
process takes over.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from parabench.contracts import UserError
from parabench.pipeline import provenance, runner
from parabench.pipeline.plan import RunPlan, RunRequest, make_plan
from parabench.pipeline.processes import Waiting
from parabench.suites.suite import load_suite
from parabench.torchrun import ProcessRank
from tests.support import tiny_suite

EXAMPLES = 80
FATAL = {"killed": signal.SIGKILL, "stopped": signal.SIGSTOP}


class Struck(tiny_suite.Upper):
    """Answers one sentence at a time, and sends itself a signal before the ``point``-th (never if
    None).
    """

    point: int | None = None
    sign: int = signal.SIGKILL
    note: Path | None = None

    def paraphrase(self, sources: Any) -> Iterator[Any]:
        for number, batch in enumerate(super().paraphrase(sources)):
            if number == self.point and self.note is not None:
                self.note.write_text(str(time.time()))
                os.kill(os.getpid(), self.sign)
            time.sleep(0.002)
            yield batch


def planned(world: Path, output: Path) -> RunPlan:
    """One system that answers in capitals, and two controls."""
    made = make_plan(
        RunRequest(
            load_suite(str(world / "tiny.toml")),
            ("copy", "human"),
            ("ibleu",),
            device="cpu",
            output=output,
        )
    )
    return replace(made, systems={**made.systems, "upper": Struck(size=1)})


def work(
    world: Path, output: Path, process: ProcessRank, waiting: Waiting, point: int | None, sign: int
) -> None:
    """One process; the leading one notes when it has given the others up."""
    made = planned(world, output)
    struck: Any = made.systems["upper"]
    struck.point, struck.sign, struck.note = point, sign, output.with_name("struck")
    gather = runner.await_records

    def noted(log: Any, *others: Any) -> None:
        start = time.time()
        try:
            gather(log, *others)
        finally:
            if log._identity["names"] == ["upper"] and struck.note.exists():
                since = max(start, float(struck.note.read_text()))
                output.with_name("noticed").write_text(str(time.time() - since))

    runner.await_records = noted
    try:
        if process.is_first:
            runner.run_plan(made, process=process, waiting=waiting)
        else:
            runner.run_worker(made, process, waiting)
    except UserError as error:
        output.with_name(f"error-{process.rank}").write_text(str(error))
        raise SystemExit(2) from None


def start(
    world: Path, output: Path, size: int, victim: int, point: int | None, sign: int, patience: float
) -> list[Any]:
    """So many processes, the ``victim`` struck at a point."""
    fork = get_context("fork")
    made = []
    for rank in range(size):
        process, waiting = ProcessRank(rank, size), Waiting(patience, 0.05)
        made.append(
            fork.Process(
                target=work,
                args=(world, output, process, waiting, point if rank == victim else None, sign),
            )
        )
        made[-1].start()
    return made


def ids(output: Path) -> Counter[str]:
    """How often each example's answer stands in the parts and the whole of the system's log."""
    found: Counter[str] = Counter()
    for path in (output / "predictions").glob("upper*.jsonl"):
        lines = path.read_bytes().splitlines()[1:]
        found.update(json.loads(line)["id"] for line in lines if line.endswith(b"}"))
    return found


def digests(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith("lock")
    }


def struck(
    folder: Path, world: Path, alone: dict[str, bytes], size: int, victim: int, point: int, how: str
) -> Counter[str]:
    """One run in which the victim is struck at a point, and whatever more commands it takes to
    finish it.
    """
    folder.mkdir()
    output, tally = folder / "run", Counter(runs=1)
    processes = start(world, output, size, victim, point, FATAL[how], patience=2.0)
    if how == "stopped":
        processes[0].join(60)
        processes[victim].kill()
    for process in processes:
        process.join(60)
    found = ids(output)
    tally["duplicated"] += sum(1 for count in found.values() if count > 1)
    if processes[0].exitcode:
        tally["another command"] += 1
        finished = start(world, output, 1, -1, None, 0, 2.0)[0]
        finished.join(60)
    found = ids(output)
    tally["lost"] += EXAMPLES - len(found)
    tally["duplicated"] += sum(1 for count in found.values() if count > 1)
    tally["different"] += digests(output) != alone
    if (folder / "noticed").exists():
        tally["milliseconds"] = round(1000 * float((folder / "noticed").read_text()))
    return tally


CASES: tuple[tuple[str, int, int, str, int], ...] = (
    ("2 processes, the second killed", 2, 1, "killed", 20),
    ("4 processes, the third killed", 4, 2, "killed", 20),
    ("2 processes, the leading one killed", 2, 0, "killed", 20),
    ("2 processes, the second stopped", 2, 1, "stopped", 5),
)


def measured(say: Callable[[str], object], cases: Any = CASES) -> None:
    """All cases, a line each."""
    provenance.code_revision = lambda folder: {
        "commit": "0" * 40,
        "dirty": False,
    }  # whoever edits meanwhile changes nothing
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        world = tiny_suite.suite_file(base).parent
        tiny_suite.examples_file(world, EXAMPLES)
        runner.run_plan(planned(world, base / "alone"))
        alone = digests(base / "alone")
        say(
            "| case | runs | lost | duplicated | files different "
            "| ended by another command | noticed after, longest |"
        )
        say("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
        for number, (title, size, victim, how, points) in enumerate(cases):
            total: Counter[str] = Counter()
            longest = 0
            for point in range(points):
                at = point * (EXAMPLES // size) // points
                one = struck(base / f"{number}-{point}", world, alone, size, victim, at, how)
                longest = max(longest, one.pop("milliseconds", 0))
                total.update(one)
            columns = ("runs", "lost", "duplicated", "different", "another command")
            cells = " | ".join(str(total[column]) for column in columns)
            say(
                f"| {title} | {cells} | {longest / 1000:.2f} s |"
                if longest
                else f"| {title} | {cells} | |"
            )


if __name__ == "__main__":
    measured(
        lambda line: print(line, flush=True),
        CASES if len(sys.argv) == 1 else CASES[int(sys.argv[1]) :][:1],
    )
