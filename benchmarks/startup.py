"""How soon the commands that need no model answer, and which heavy packages they load."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

HEAVY = (
    "torch",
    "transformers",
    "pandas",
    "numpy",
    "scipy",
    "datasets",
    "evaluate",
    "sacrebleu",
    "matplotlib",
)
MODELS = ("torch", "transformers")
COMMANDS = ("--help", "run --help", "list systems", "list scorers", "report RUN", "compare RUN RUN")


def table(rounds: int, threads: int) -> str:
    """A Markdown table: seconds from start to end, the median of the rounds, alternating; heavy
    packages loaded.

    Raises SystemExit where a command loads a model's library.
    """
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        small = ["--systems", "copy,human", "--scorers", "bleu", "--limit", "20", "--device", "cpu"]
        subprocess.run(
            [sys.executable, "-m", "parabench", "run", *small, "--output", run],
            check=True,
            stdout=-3,
        )
        commands = {text: text.replace("RUN", str(run)).split() for text in COMMANDS}
        plain = {
            "python, nothing": "pass",
            "python, torch and transformers": "import torch, transformers",
        }
        processes = {name: ["-c", code] for name, code in plain.items()}
        processes |= {
            f"parabench {text}": ["-m", "parabench", *words] for text, words in commands.items()
        }
        found = {f"parabench {text}": loaded(words) for text, words in commands.items()}
        seconds = _timed(processes, rounds)
    lines = ["## startup", "", "| command | seconds | heavy packages loaded |", "|---|---|---|"]
    for name, each in seconds.items():
        packages_loaded = ", ".join(found.get(name, ())) or "none"
        lines.append(f"| {name} | {statistics.median(each):.2f} | {packages_loaded} |")
    for name, packages in found.items():
        if set(packages) & set(MODELS):
            raise SystemExit(f"{name} loads {', '.join(packages)}")
    return "\n".join(lines)


def loaded(words: Sequence[str]) -> list[str]:
    """The heavy packages that a command has loaded when it ends."""
    code = (
        "import sys; from parabench.cli import app\n"
        f"try: app({list(words)!r})\nexcept SystemExit: pass\n"
        f"print('LOADED', *[name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].split()[1:]


def _timed(processes: dict[str, list[str]], rounds: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in processes}
    for _ in range(rounds):
        for name, arguments in processes.items():
            start = time.perf_counter()
            subprocess.run(
                [sys.executable, *arguments],
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            seconds[name].append(time.perf_counter() - start)
    return seconds
