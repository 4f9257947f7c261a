"""Everything of ``results/reliability.md`` in one go, on one commit: ``python -m
tests.faults.campaign [SHARE]`` (Linux; hours of a processor at the full size, SHARE of 1).

What is drawn at random is drawn as often as SHARE says; what is counted through is done whole.
"""

import os
import platform
import subprocess
import sys

from tests.faults import figures, guards
from tests.trust import counts


def main() -> None:
    """Print the page; the exit status is 1 if a guard was not missed by its test."""
    share = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=guards.ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    print("# Reliability: figures\n")
    print(
        "Made in one go by `python -m tests.faults.campaign` on commit "
        f"{commit}, on {os.cpu_count()} CPU cores and a real disk,\nPython "
        f"{platform.python_version()}; docs/reliability.md explains each row."
    )
    if share != 1:
        print(
            f"What is drawn at random was drawn {share:g} times as often as the full size has it."
        )
    figures.table(share)
    counts.reading(share)
    counts.writing(share)
    counts.lists()
    sys.exit(0 if guards.table() else 1)


if __name__ == "__main__":
    main()
