"""How time grows with the examples: ``python -m benchmarks.growth [SIZE ...]``.

CPU seconds, system calls included, of ``run``, ``report``, ``compare`` and ``metric agreement``,
each a process of its own with one thread, on made-up sentences: two references each, the controls
copy, drop-last and human, the scorers bleu and divergence. Beside each the factor to the size
before it: ten times the rows may take at most 10.5 times as long.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tabulate import tabulate

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
            references = [" ".join(draw.sample(words, len(words) - 1)) for _ in range(2)]
            row = {"id": str(number), "source": " ".join(words), "references": references}
            examples.write(json.dumps(row) + "\n")
            given = {
                "text": " ".join(words[1:]),
                "ratings": [draw.randrange(1, 6), draw.randrange(1, 6)],
            }
            judged.write(json.dumps({**row, **given}) + "\n")
    (folder / "growth.toml").write_text(SUITE, encoding="utf-8")


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


def cpu_seconds(words: Sequence[str]) -> float:
    """CPU seconds of ``parabench`` with these words. Raises SystemExit where it fails."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "parabench", *words], stdout=subprocess.DEVNULL, env=environment
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"parabench {' '.join(words)} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def table(found: Mapping[int, Mapping[str, float]]) -> str:
    """A Markdown table: a row a size, seconds and the factor to the size before."""
    rows = []
    before: Mapping[str, float] = {}
    names = list(next(iter(found.values())))
    for size, seconds in found.items():
        row = [f"{size:,}"]
        for name in names:
            factor = f" ({seconds[name] / before[name]:.1f} x)" if before else ""
            row.append(f"{seconds[name]:.1f}{factor}")
        rows.append(row)
        before = seconds
    return tabulate(rows, ["examples", *names], tablefmt="github", disable_numparse=True)


def main() -> None:
    """Print the table, again after each size."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("sizes", type=int, nargs="*", default=SIZES, help="examples")
    found = dict[int, dict[str, float]]()
    for size in parser.parse_args().sizes:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            write_inputs(folder, size)
            found[size] = {name: cpu_seconds(words) for name, words in commands(folder).items()}
        print(table(found), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
