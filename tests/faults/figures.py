"""The experiments at full size, as a table: ``python -m tests.faults.figures`` (minutes; Linux)."""

import platform
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.faults import experiments, mutations, program

EXPERIMENTS: dict[str, Callable[[Path], Counter[str]]] = {
    "SIGKILL before each disk call": partial(experiments.at_every_call, mode="before"),
    "SIGKILL after each disk call": partial(experiments.at_every_call, mode="after"),
    "SIGKILL amid each write": partial(experiments.at_every_call, mode="torn", seeds=10),
    "disk full from each disk call on": partial(experiments.at_every_call, mode="full"),
    "I/O error at each disk call": partial(experiments.at_every_call, mode="error"),
    "power cut after each disk call (model)": partial(
        experiments.at_every_call, mode="power", seeds=10
    ),
    "two random faults, the second while resuming": partial(experiments.twice, number=500),
    "runs killed at random times, 200 kills in all": partial(experiments.kills, number=200),
    "runs that may write no file over a limit": partial(experiments.small_disks, steps=50),
    "two openers at once": partial(experiments.together, number=2, times=50),
    "eight openers at once": partial(experiments.together, number=8, times=50),
    "changed files of finished runs": partial(mutations.finished, number=10_000),
    "changed growing logs": partial(mutations.growing, number=10_000),
    "runs of the program itself, each ended twice by SIGKILL, SIGTERM or SIGINT": partial(
        program.ended, number=10
    ),
}


COLUMNS = ("injected", "recovered", "acknowledged records lost", "final files different")


def main() -> None:
    print("# Reliability: figures\n")
    print(
        "Made in one go by `tests/faults/figures.py`, `tests/trust/counts.py` "
        "and `tests/faults/guards.py`, on"
    )
    print(
        f"two CPU cores and a real disk, Python {platform.python_version()}; "
        "docs/reliability.md explains each row."
    )
    print(
        "Final files are compared with those of an undisturbed run byte for byte, "
        "so no record is in them twice.\n"
    )
    print(f"| fault | {' | '.join(COLUMNS)} | wrong in any other way |")
    print(f"| --- |{' ---: |' * (len(COLUMNS) + 1)}")
    for name, experiment in EXPERIMENTS.items():
        with tempfile.TemporaryDirectory() as folder:
            tally = experiment(Path(folder))
        other = sum(tally.values()) - sum(tally[column] for column in COLUMNS)
        print(
            f"| {name} | {' | '.join(str(tally[column]) for column in COLUMNS)} | {other} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
