"""The experiments at full size, as a table: ``python -m tests.faults.figures`` (minutes; Linux)."""

import tempfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.faults import experiments, mutations, program

Experiment = Callable[[Path], Counter[str]]


def experiments_of(share: float = 1.0) -> dict[str, Experiment]:
    """All experiments, those that are drawn at random as often as ``share`` says; each some."""

    def times(number: int) -> int:
        return max(2, round(number * share))

    at_every_call = experiments.at_every_call
    return {
        "SIGKILL before each disk call": partial(at_every_call, mode="before"),
        "SIGKILL after each disk call": partial(at_every_call, mode="after"),
        "SIGKILL amid each write": partial(at_every_call, mode="torn", seeds=times(10)),
        "disk full from each disk call on": partial(at_every_call, mode="full"),
        "I/O error at each disk call": partial(at_every_call, mode="error"),
        "power cut after each disk call (model)": partial(
            at_every_call, mode="power", seeds=times(10)
        ),
        "two random faults, the second while resuming": partial(
            experiments.twice, number=times(500)
        ),
        "runs killed at random times, up to three times each": partial(
            experiments.kills, number=times(200)
        ),
        "runs that may write no file over a limit": partial(
            experiments.small_disks, steps=times(50)
        ),
        "two openers at once": partial(experiments.together, number=2, times=times(50)),
        "eight openers at once": partial(experiments.together, number=8, times=times(50)),
        "changed files of finished runs": partial(mutations.finished, number=times(10_000)),
        "changed growing logs": partial(mutations.growing, number=times(10_000)),
        "runs of the program itself, each ended twice by SIGKILL, SIGTERM or SIGINT": partial(
            program.ended, number=times(10)
        ),
    }


EXPERIMENTS = experiments_of()
COLUMNS = ("injected", "recovered", "acknowledged records lost", "final files different")


def table(share: float = 1.0) -> None:
    """Print what came of each experiment."""
    print(
        "Final files are compared with those of an undisturbed run byte for byte, "
        "so no record is in them twice.\n"
    )
    print(f"| fault | {' | '.join(COLUMNS)} | wrong in any other way |")
    print(f"| --- |{' ---: |' * (len(COLUMNS) + 1)}", flush=True)
    for name, experiment in experiments_of(share).items():
        with tempfile.TemporaryDirectory() as folder:
            tally = experiment(Path(folder))
        other = sum(tally.values()) - sum(tally[column] for column in COLUMNS)
        print(
            f"| {name} | {' | '.join(str(tally[column]) for column in COLUMNS)} | {other} |",
            flush=True,
        )


if __name__ == "__main__":
    table()
