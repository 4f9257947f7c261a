"""The program itself, ended by signals at random times and started again: while it imports, loads,
generates, scores.

It runs from a copy of the code, so that whoever edits the code meanwhile changes no number.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

from parabench.store.run_folder import verify_run
from tests.faults.small_run import files

ROOT = Path(__file__).parents[2]
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
PROMPT = 5
"""Seconds within which a signal must have ended the program."""


def ended(folder: Path, number: int, seed: int = 0) -> Counter[str]:
    """Runs interrupted twice each, then finished: the folder is the one of an undisturbed run, to
    the byte.

    The slowest end, in milliseconds, is printed to stderr.
    """
    random, tally, slowest = Random(seed), Counter(injected=number, recovered=0), 0.0
    _freeze(folder / "code")
    start = time.monotonic()
    _start(folder / "whole").communicate()
    length, whole = time.monotonic() - start, files(folder / "whole")
    for trial in range(number):
        broken = folder / str(trial)
        for _ in range(2):
            process, chosen = _start(broken), random.choice(SIGNALS)
            time.sleep(random.uniform(0.0, 0.9) * length)
            process.send_signal(chosen)
            seconds = _seconds(process)
            slowest = max(slowest, seconds)
            tally["late"] += seconds > PROMPT
            tally["tracebacks"] += process.returncode not in (0, -chosen)
        tally["not resumable"] += _start(broken).wait() != 0
        same = files(broken) == whole
        tally["final files different"] += not same
        tally["recovered"] += same and not verify_run(broken)
    print(
        f"a run takes {length:.1f} s; the slowest end took {1000 * slowest:.0f} ms", file=sys.stderr
    )
    return tally


def _freeze(folder: Path) -> None:
    leave = shutil.ignore_patterns("__pycache__", "scorers", "baselines")
    shutil.copytree(ROOT / "parabench", folder / "parabench", ignore=leave)
    for name in ("scorers", "baselines"):
        shutil.copytree(ROOT / name, folder / "parabench" / name, ignore=leave)


def _start(folder: Path) -> "subprocess.Popen[bytes]":
    command = [
        sys.executable,
        "-m",
        "parabench",
        "run",
        "--suite",
        "mini",
        "--systems",
        "softprompt-20,bart",
    ]
    command += ["--scorers", "ibleu", "--limit", "60", "--output", folder.name, "--device", "cpu"]
    environment = {**os.environ, "PYTHONPATH": str(folder.parent / "code")}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, cwd=folder.parent, env=environment, **quiet)


def _seconds(process: "subprocess.Popen[bytes]") -> float:
    start = time.monotonic()
    process.wait()
    return time.monotonic() - start
