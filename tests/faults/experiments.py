"""The experiments behind docs/reliability.md: each breaks runs in one way and counts what came of
it.

In every tally ``recovered`` must equal ``injected`` and all else must be 0.
"""

import os
import resource
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random

from parabench.contracts import UserError
from parabench.store.run_folder import open_run, verify_run
from tests.faults.injection import KILLED, WRITES, Fault, Injector
from tests.faults.small_run import TOLD, Child, files, once, run

Tell = Callable[[str], object]
MODES = ("before", "after", "torn", "full", "error", "power")
MANY = [str(number) for number in range(60)]


class Trials:
    """Broken runs are finished here, and held against one that nothing happened to."""

    def __init__(self, folder: Path, ids: Iterable[str] = ("a", "b", "c")) -> None:
        self.folder, self.ids = folder, list(ids)
        self.whole = once(folder / "whole", self.ids)
        self.tally: Counter[str] = Counter(injected=0, recovered=0)

    def broken(self) -> Path:
        """A new folder to break a run in."""
        self.tally["injected"] += 1
        return self.folder / str(self.tally["injected"])

    def ended(self, folder: Path, status: int) -> None:
        """Count what a process left that has just come to its end."""
        self.tally["tracebacks"] += status not in (0, TOLD, KILLED, -signal.SIGKILL)
        complete = folder.exists() and not verify_run(folder)
        there = {name: data for name, data in files(folder).items() if not name.endswith(".tmp")}
        self.tally["false claims to be complete"] += complete and there != self.whole

    def finish(self, folder: Path, acknowledged: set[str]) -> None:
        """Resume a broken run and count."""
        try:
            made = run(folder, ids=self.ids)
        except UserError:
            self.tally["not resumable"] += 1
            return
        same, lost = files(folder) == self.whole, len(made & acknowledged)
        self.tally["acknowledged records lost"] += lost
        self.tally["final files different"] += not same
        self.tally["recovered"] += same and not lost and not verify_run(folder)


def crashes(folder: Path, faults: Iterable[tuple[Fault, ...]]) -> Counter[str]:
    """Each tuple of faults in turn breaks a run, the second while the first is being resumed."""
    trials = Trials(folder)
    for chain in faults:
        broken, acknowledged = trials.broken(), set[str]()
        for fault in chain:
            status, told = Child(_faulty, broken, fault).end()
            acknowledged |= told
            trials.ended(broken, status)
        trials.finish(broken, acknowledged)
    return trials.tally


def _faulty(folder: Path, fault: Fault, tell: Tell) -> None:
    injector = Injector(folder, fault)
    run(folder, tell)
    if fault.mode == "power":
        injector.kill()


def calls(folder: Path) -> list[str]:
    """The disk calls of an undisturbed run, in order."""

    child = Child(_counted, folder)
    names = child.told().split()
    child.end()
    return names


def _counted(folder: Path, tell: Tell) -> None:
    injector = Injector(folder, Fault(-1, "none"))
    run(folder)
    tell(" ".join(injector.calls))


def at_every_call(folder: Path, mode: str, seeds: int = 1, step: int = 1) -> Counter[str]:
    """A fault at each disk call, and for a power cut after the last; bytes are torn only where
    bytes are written.
    """
    names = calls(folder / "counted")
    points = [at for at, name in enumerate(names) if mode != "torn" or name in WRITES]
    points += [len(names)] if mode == "power" else []
    return crashes(
        folder, [(Fault(at, mode, seed),) for at in points[::step] for seed in range(seeds)]
    )


def twice(folder: Path, number: int, seed: int = 0) -> Counter[str]:
    """Random pairs of faults."""
    random, at = Random(seed), range(len(calls(folder / "counted")))
    pairs = (
        tuple(Fault(random.choice(at), random.choice(MODES), random.random()) for _ in "ab")
        for _ in range(number)
    )
    return crashes(folder, pairs)


def kills(folder: Path, number: int, times: int = 3, seed: int = 0) -> Counter[str]:
    """Kill a process at random times, up to ``times`` in one run, until ``number`` kills have
    struck.
    """
    random, trials = Random(seed), Trials(folder, MANY)
    start = time.monotonic()
    run(folder / "timed", ids=MANY)
    length, struck = time.monotonic() - start, 0
    while struck < number:
        broken, acknowledged = trials.broken(), set[str]()
        for _ in range(times):
            child = Child(_unlimited, broken)
            time.sleep(random.uniform(0, length / times))
            os.kill(child.pid, signal.SIGKILL)
            status, told = child.end()
            acknowledged |= told
            struck += status == -signal.SIGKILL
            trials.ended(broken, status)
        trials.finish(broken, acknowledged)
    return trials.tally


def _unlimited(folder: Path, tell: Tell) -> None:
    run(folder, tell, MANY)


def small_disks(folder: Path, steps: int) -> Counter[str]:
    """Runs that may make no file larger than a limit, from one byte to as large as the largest."""
    trials = Trials(folder, MANY)
    largest = max(map(len, trials.whole.values()))
    for step in range(steps):
        broken = trials.broken()
        child = Child(_limited, broken, 1 + step * largest // steps)
        status, acknowledged = child.end()
        trials.tally["finished on a full disk"] += status == 0
        trials.ended(broken, status)
        trials.finish(broken, acknowledged)
    return trials.tally


def _limited(folder: Path, limit: int, tell: Tell) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    _unlimited(folder, tell)


def together(folder: Path, number: int, times: int) -> Counter[str]:
    """Processes that open one folder at once: exactly one gets it, and its death by SIGKILL frees
    it.
    """
    tally: Counter[str] = Counter(injected=times, recovered=0)
    for trial in range(times):
        children = [Child(_hold, folder / str(trial)) for _ in range(number)]
        holders = [child for child in children if child.told() == "holds"]
        for child in children:
            os.kill(child.pid, signal.SIGKILL)
            child.end()
        with open_run(folder / str(trial), {}):
            tally["recovered"] += len(holders) == 1
            tally["more than one at once"] += len(holders) > 1
    return tally


def _hold(folder: Path, tell: Tell) -> None:
    try:
        with open_run(folder, {}):
            tell("holds")
            signal.pause()
    except UserError:
        tell("refused")
        signal.pause()
