"""The program itself, ended by signals at random times and started again."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

from small_run import files

from parabench.store import verify

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
PROMPT = 5
"""Seconds within which a signal must have ended the program."""


def ended(folder: Path, number: int, seed: int = 0) -> Counter[str]:
    """Runs interrupted twice each, then finished: the folder is the one of an undisturbed run, to the byte."""
    random, tally = Random(seed), Counter(injected=number, recovered=0)
    (folder / "data.jsonl").write_text("".join(f"{json.dumps(_example(number))}\n" for number in range(500)))
    start = time.monotonic()
    _start(folder / "whole").communicate()
    length, whole = time.monotonic() - start, files(folder / "whole")
    for trial in range(number):
        broken = folder / str(trial)
        for _ in range(2):
            process, chosen = _start(broken), random.choice(SIGNALS)
            time.sleep(random.uniform(0.1, 0.9) * length)
            process.send_signal(chosen)
            tally["late"] += _seconds(process) > PROMPT
            tally["tracebacks"] += process.returncode not in (0, -chosen, 128 + chosen)
        tally["not resumable"] += _start(broken).wait() != 0
        same = files(broken) == whole
        tally["final files different"] += not same
        tally["recovered"] += same and not verify(broken)
    return tally


def _example(number: int) -> dict[str, object]:
    words = [f"word{number * factor % 97}" for factor in range(1, 13)]
    return {"id": str(number), "source": " ".join(words), "references": [" ".join(words[:n]) for n in (11, 10, 9)]}


def _start(folder: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "parabench", "run", "--systems", "copy,human", "--scorers", "bleu,rouge"]
    command += ["--data", str(folder.parent / "data.jsonl"), "--output", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _seconds(process: "subprocess.Popen[bytes]") -> float:
    start = time.monotonic()
    process.wait()
    return time.monotonic() - start
