"""Speed, side by side with peers: ``python -m benchmarks likelihood|decode [options]``.

Contenders do the same work on the same random weights, each in a process of its own, one after another in every round.
Their outputs are compared before any speed is printed. Prints a Markdown table: the median of the rounds.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks import decode, likelihood
from benchmarks.race import race, table

BENCHMARKS = {"likelihood": likelihood.contenders, "decode": decode.contenders}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("benchmark", choices=BENCHMARKS)
    parser.add_argument("--rows", type=int, default=192, help="sentences (default 192)")
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds of each contender (default 3)")
    parser.add_argument("--threads", type=int, default=2, help="threads of each contender (default 2)")
    parser.add_argument("--only", nargs="*", default=[], help="contenders whose names contain one of these")
    parser.add_argument("--targets", type=int, default=1, help="likelihood: targets a source (default 1)")
    parser.add_argument("--output", type=Path, help="append the table to this file")
    options = parser.parse_args(arguments)
    entries = BENCHMARKS[options.benchmark](options.rows, options.targets)
    chosen = entries[:1] + [entry for entry in entries[1:] if _wanted(entry.name, options.only)]
    text = table(options.benchmark, race(chosen, options.rounds, options.threads))
    print(text)
    if options.output:
        with options.output.open("a", encoding="utf-8") as file:
            file.write(text + "\n\n")


def _wanted(name: str, only: list[str]) -> bool:
    return not only or any(part in name for part in only)


if __name__ == "__main__":
    main(sys.argv[1:])
