"""Speed, side by side with peers: ``python -m benchmarks likelihood|decode|train|overlap|startup|scale|all [options]``.

Contenders do the same work on the same random weights, each in a process of its own, one after another in every round.
Their outputs are compared before any speed is printed. Prints Markdown: medians of the rounds, ratios to the first, and
the targets. With --device cuda the models have the shapes of OPT-1.3B and BART-large.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks import decode, likelihood, overlap, scale, startup, targets, train, worlds
from benchmarks.options import Options, Race
from benchmarks.race import Contender, Result, machine, race, table

RACES = {
    "likelihood": likelihood.races,
    "decode": decode.races,
    "train": train.races,
    "overlap": overlap.races,
    "scale": scale.races,
}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("benchmark", choices=(*RACES, "startup", "all"))
    parser.add_argument("--rows", type=int, default=192, help="sentences (default 192)")
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds of each contender (default 3)")
    parser.add_argument("--threads", type=int, default=2, help="threads of each contender (default 2)")
    parser.add_argument("--only", nargs="*", default=[], help="contenders whose names contain one of these")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default cpu)")
    parser.add_argument("--size", choices=worlds.OPT, help="of the models (default small, on a GPU large)")
    parser.add_argument("--neulab", type=Path, help="a checkout of neulab/BARTScore, to be run itself")
    parser.add_argument("--origin", type=Path, help="a checkout of Clyde013/Paraphrase-OPT, to be run itself")
    parser.add_argument(
        "--output", type=Path, help="write what is printed to this file, below what stands above a line"
    )
    chosen = parser.parse_args(arguments)
    size = "large" if "cuda" in chosen.device else "small"
    options = Options(chosen.rows, chosen.size or size, chosen.device, chosen.neulab, chosen.origin)
    names = (*RACES, "startup") if chosen.benchmark == "all" else (chosen.benchmark,)
    parts, results = [], dict[str, list[Result]]()
    for one in [one for name in names if name in RACES for one in RACES[name](options)]:
        results[one.title] = race(_wanted(one, chosen.only), chosen.rounds, chosen.threads)
        parts.append(table(one.title, results[one.title]))
        print(parts[-1], flush=True)
    if "startup" in names:
        parts.append(startup.table(chosen.rounds))
        print(parts[-1], flush=True)
    note = f"{machine(options.device)}. {options.rows} sentences, {chosen.rounds} rounds, {chosen.threads} threads."
    parts = [note, targets.table(results), *parts]
    print("\n\n".join(parts[:2]))
    if chosen.output:
        _write(chosen.output, "\n\n".join(parts))


def _wanted(one: Race, only: list[str]) -> list[Contender]:
    first, *others = one.contenders
    return [first, *(entry for entry in others if not only or any(part in entry.name for part in only))]


def _write(path: Path, text: str) -> None:
    """What a person wrote above the line stays; what a run measured stands below it."""
    mark = "<!-- measured: make bench-speed -->"
    above = path.read_text(encoding="utf-8").split(mark)[0] if path.exists() else "# Speed\n\n"
    path.write_text(f"{above}{mark}\n\n{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
