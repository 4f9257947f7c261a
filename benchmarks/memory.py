"""Peak memory at growing numbers of rows: ``python -m benchmarks.memory run|filter 10000 100000
1000000``.

Sentences of the embedded language, numbered, with one reference each; ``run`` answers them by the
control ``copy`` or another ``--system`` of the mini suite, eight tokens each, ``filter`` by
``first-half``; both measure with ``divergence`` and write their reports. Prints Markdown: resident
memory of the whole process at its highest, interpreter and libraries included; how much of such
memory was no page of a file, which the system takes back when it needs it (looked at every 20 ms);
and processor time.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

from parabench import mini
from parabench.mini import language

SENTENCES = 20_000
SUITE = """
name = "many"
title = "Many"
systems = ["{system}"]
scorers = ["divergence"]
headline = "pinc"
decoding.max_new_tokens = 8
system.zeroshot.model = "{mini}/models/opt"
system.softprompt = {{ model = "{mini}/models/opt", adapters = "{mini}/adapters" }}
system.bart.model = "{mini}/models/bart-paraphrase"
"""


def main(arguments: list[str]) -> None:
    """A line for each number of rows, each in a process of its own."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("command", choices=("run", "filter"))
    parser.add_argument("rows", type=int, nargs="+")
    parser.add_argument("--system", default="copy", help="who answers in a run (default copy)")
    chosen = parser.parse_args(arguments)
    print(
        "| rows | peak memory | without pages of files | processor time |\n"
        "| ---: | ---: | ---: | ---: |"
    )
    for count in chosen.rows:
        with tempfile.TemporaryDirectory() as name:
            resident, own, seconds = used(command(chosen.command, Path(name), count, chosen.system))
        print(f"| {count:,} | {resident} MiB | {own} MiB | {seconds:.0f} s |", flush=True)


def command(which: str, folder: Path, count: int, system: str = "copy") -> list[str]:
    """What to start, once its input is written."""
    data, suite = folder / "rows.tsv", folder / "many.toml"
    pairs = list(islice(language.paraphrase_pairs("train", 0), min(count, SENTENCES)))
    with data.open("w", encoding="utf-8") as file:
        for number in range(count):
            source, reference = pairs[number % len(pairs)]
            file.write(f"{source} {number}\t{reference} {number}\n")
    suite.write_text(SUITE.format(system=system, mini=Path(mini.__file__).parent))
    given = {
        "run": ["--data", data, "--suite", suite],
        "filter": [data, "--system", "first-half", "--scorers", "divergence"],
    }
    options = [*map(str, given[which]), "--device", "cpu", "--output", str(folder / "out")]
    words = {"run": ["run"], "filter": ["data", "filter"]}[which]
    return [sys.executable, "-m", "parabench", *words, *options]


def used(started: list[str]) -> tuple[int, int, float]:
    """MiB of memory at most, MiB without pages of files at most, and seconds of processor time."""
    child, own, ended = subprocess.Popen(started, stdout=subprocess.DEVNULL), 0, 0
    while not ended:
        own = max(own, anonymous(child.pid))
        time.sleep(0.02)
        ended, status, usage = os.wait4(child.pid, os.WNOHANG)
    child.returncode = status
    if status:
        raise SystemExit(f"{' '.join(started)}: status {status}")
    return usage.ru_maxrss // 1024, own, usage.ru_utime + usage.ru_stime


def anonymous(process: int) -> int:
    """MiB of a process's memory that are no pages of files, now."""
    found = re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    return int(found[1]) // 1024 if found else 0


if __name__ == "__main__":
    main(sys.argv[1:])
