"""How time grows with the examples: ``python -m benchmarks.growth [SIZE ...]``.

CPU seconds, system calls included, and memory without pages of files at its highest, of ``run``,
``report``, ``compare`` and ``metric agreement``, each a process of its own with one thread, on
made-up sentences: two references each, the controls copy, drop-last and human, the scorers bleu and
divergence. Beside each the factor to the size before it: ten times the rows may take at most 10.5
times as long, and 1.1 times the memory.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tabulate import tabulate

from benchmarks.memory import used

SIZES = (150, 1_500, 15_000)
WORDS = 4_000
MOST = 10.5
"""Times as long that ten times the rows may take."""
SUITE = """name = "growth"
title = "Growth"
controls = ["human", "copy", "drop-last"]
scorers = ["bleu", "divergence"]
headline = "bleu"
"""


def sentences(draw: random.Random) -> Iterator[str]:
    """Sentences of made-up words, some far more frequent than others."""
    while True:
        length = draw.randrange(6, 20)
        # the square of a uniform number: small word numbers come often, large ones seldom
        yield " ".join(f"w{int(WORDS * draw.random() ** 2)}" for _ in range(length)) + "."


def write_inputs(folder: Path, size: int) -> None:
    """Write ``size`` examples, a suite that reads them, and a judgment of each."""
    draw = random.Random(size)
    source = sentences(draw)
    with (
        (folder / "data.jsonl").open("w", encoding="utf-8") as examples,
        (folder / "judged.jsonl").open("w", encoding="utf-8") as judged,
    ):
        for number in range(size):
            words = next(source).split()
            # each leaves out another word, so that no two of them are equal
            references = [" ".join(_shuffled(words, place, draw)) for place in range(2)]
            row = {"id": str(number), "source": " ".join(words), "references": references}
            examples.write(json.dumps(row) + "\n")
            given = {
                "text": " ".join(words[1:]),
                "ratings": [draw.randrange(1, 6), draw.randrange(1, 6)],
            }
            judged.write(json.dumps({**row, **given}) + "\n")
    (folder / "growth.toml").write_text(SUITE, encoding="utf-8")


def _shuffled(words: Sequence[str], left_out: int, draw: random.Random) -> list[str]:
    """The words in another order, without the one at the place ``left_out``, numbered."""
    kept = [word for place, word in enumerate(words) if place != left_out]
    draw.shuffle(kept)
    return [*kept, f"n{left_out}."]


def commands(folder: Path) -> Mapping[str, Sequence[str]]:
    """What is timed, in this order: the others read what the first writes."""
    run = str(folder / "run")
    data = ["--data", str(folder / "data.jsonl"), "--device", "cpu"]
    suite = ["--suite", str(folder / "growth.toml")]
    return {
        "run": ["run", *suite, *data, "--output", run],
        "report": ["report", run],
        "compare": ["compare", run, run],
        "metric agreement": ["metric", "agreement", str(folder / "judged.jsonl")],
    }


class Cost(NamedTuple):
    """What a command needs: CPU seconds, and MiB of memory that are no pages of files."""

    seconds: float
    memory: int


def cost(words: Sequence[str]) -> Cost:
    """Of ``parabench`` with these words, in one thread. Raises SystemExit where it fails."""
    os.environ["OMP_NUM_THREADS"] = "1"
    _, own, seconds = used([sys.executable, "-m", "parabench", *words])
    return Cost(seconds, own)


def table(found: Mapping[int, Mapping[str, Cost]]) -> str:
    """A Markdown table: a row a size, costs and their factors to the size before."""
    rows = []
    before: Mapping[str, Cost] = {}
    names = list(next(iter(found.values())))
    for size, costs in found.items():
        row = [f"{size:,}"]
        for name in names:
            seconds, memory = costs[name]
            times, grown = "", ""
            if before:
                times = f" ({seconds / before[name].seconds:.1f} x)"
                grown = f" ({memory / before[name].memory:.2f} x)"
            row.append(f"{seconds:.1f} s{times}, {memory} MiB{grown}")
        rows.append(row)
        before = costs
    return tabulate(rows, ["examples", *names], tablefmt="github", disable_numparse=True)


def main() -> None:
    """Print the table, again after each size."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("sizes", type=int, nargs="*", default=SIZES, help="examples")
    parser.add_argument("--without", nargs="*", default=[], help="commands that are not timed")
    chosen = parser.parse_args()
    found = dict[int, dict[str, Cost]]()
    for size in chosen.sizes:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            write_inputs(folder, size)
            found[size] = {
                name: cost(words)
                for name, words in commands(folder).items()
                if name not in chosen.without
            }
        print(table(found), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
