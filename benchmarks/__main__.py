"""Speed, side by side with peers: ``python -m benchmarks
likelihood|decode|train|overlap|scale|startup|shares|all``.

Contenders do the same work on the same random weights, each in a process of its own, one after
another in every round. Their outputs are compared before any speed is printed. Prints Markdown:
medians of the rounds, ratios to the first, and the targets. With --device cuda the models have the
shapes of OPT-1.3B and BART-large.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks import decode, likelihood, overlap, scale, shares, startup, targets, train, worlds
from benchmarks.options import Options, Race
from benchmarks.race import Contender, Result, machine, race, table

RACES = {
    "likelihood": likelihood.races,
    "decode": decode.races,
    "train": train.races,
    "overlap": overlap.races,
    "scale": scale.races,
}
TABLES = {"startup": startup.table, "shares": shares.table}
ROWS = {"likelihood": 240, "decode": 192, "train": 64, "overlap": 500, "scale": 64}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("benchmark", choices=(*RACES, *TABLES, "all"))
    parser.add_argument(
        "--rows", type=int, help="sentences (default: what makes a round a minute or two)"
    )
    parser.add_argument(
        "--rounds", type=int, default=3, help="timed rounds of each contender (default 3)"
    )
    parser.add_argument(
        "--threads", type=int, default=2, help="threads of each contender (default 2)"
    )
    parser.add_argument(
        "--only", nargs="*", default=[], help="contenders whose names contain one of these"
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default cpu)")
    parser.add_argument(
        "--size", choices=worlds.OPT, help="of the models (default small, on a GPU large)"
    )
    parser.add_argument(
        "--neulab", type=Path, help="a checkout of neulab/BARTScore, to be run itself"
    )
    parser.add_argument(
        "--origin", type=Path, help="a checkout of Clyde013/Paraphrase-OPT, to be run itself"
    )
    parser.add_argument(
        "--model",
        default="",
        help="a decoder for decode, train and shares in place of random weights: a folder or "
        "package:…",
    )
    parser.add_argument(
        "--output",
        type=Path,
        help="write what is found to this file, below what a person wrote in it",
    )
    run(parser.parse_args(arguments))


def run(chosen: argparse.Namespace) -> None:
    """Race after race, printing each; the file is written again after every one: a long run leaves
    what it has.
    """
    parts, results = [], dict[str, list[Result]]()
    names = (*RACES, *TABLES) if chosen.benchmark == "all" else (chosen.benchmark,)
    size = chosen.size or ("large" if "cuda" in chosen.device else "small")
    for name in names:
        options = Options(
            chosen.rows or ROWS.get(name, 0),
            size,
            chosen.device,
            chosen.neulab,
            chosen.origin,
            chosen.model,
        )
        for one in RACES[name](options) if name in RACES else ():
            results[one.title] = race(_wanted(one, chosen.only), chosen.rounds, chosen.threads)
            parts.append(f"## {one.title}: {one.work}\n\n{table(results[one.title])}")
            _report(parts, results, chosen)
        if name in TABLES:
            more = (chosen.model,) if name == "shares" else ()
            parts.append(TABLES[name](chosen.rounds, chosen.threads, *more))
            _report(parts, results, chosen)


def _report(parts: list[str], results: dict[str, list[Result]], chosen: argparse.Namespace) -> None:
    print(parts[-1], end="\n\n", flush=True)
    note = f"{machine(chosen.device)}. Medians of {chosen.rounds} rounds, {chosen.threads} threads."
    # on a GPU bf16 has its matrix instructions always
    has_fast_half = "cuda" in chosen.device or shares.half_is_fast()
    features = [targets.FAST_HALF] if has_fast_half else []
    aims = targets.table(results, features, shares.bounds)
    if chosen.output:
        _write(chosen.output, "\n\n".join([note, aims, *parts]))


def _wanted(one: Race, only: list[str]) -> list[Contender]:
    first, *others = one.contenders
    return [
        first,
        *(entry for entry in others if not only or any(part in entry.name for part in only)),
    ]


def _write(path: Path, text: str) -> None:
    """What a person wrote above the line stays; what a run measured stands below it."""
    mark = "<!-- measured: make bench-speed -->"
    above = path.read_text(encoding="utf-8").split(mark)[0] if path.exists() else "# Speed\n\n"
    path.write_text(f"{above}{mark}\n\n{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
