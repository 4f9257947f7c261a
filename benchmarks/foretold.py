"""What a dry run foretells beside what then happens: ``python -m benchmarks.foretold --systems …
--scorers …``.

Every system and scorer is estimated in a process of its own, and run in another one. Prints
Markdown: seconds, and bytes above what the process took before, libraries among them. Scorers
measure the answers of the system ``copy``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from parabench.models.cache import format_bytes
from parabench.pipeline import estimates, run_logs, stages
from parabench.pipeline import plan as planning
from parabench.store.run_folder import open_run
from parabench.suites import suite as suites


def main(arguments: list[str]) -> None:
    """The table, or, with ``--do``, one cell of it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.foretold", description=__doc__)
    parser.add_argument("--suite", default="mini")
    parser.add_argument("--systems", default="zeroshot,softprompt-111,bart")
    parser.add_argument("--scorers", default="ibleu,bartscore,bertscore")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--do", nargs=3, metavar=("KIND", "NAME", "foretell|run"))
    chosen = parser.parse_args(arguments)
    if chosen.do:
        print(json.dumps(cell(chosen, *chosen.do)))
        return
    print(
        "| | foretold | real | times | memory foretold | real |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: |"
    )
    with tempfile.TemporaryDirectory() as folder:
        again = [*arguments, "--output", folder]
        for kind, names in (("system", chosen.systems), ("scorer", chosen.scorers)):
            for name in names.split(","):
                (guess, bytes_guessed), (real, most) = (
                    asked(again, kind, name, how) for how in ("foretell", "run")
                )
                told = f"{guess:.1f} s | {real:.1f} s | {guess / real:.2f}"
                print(
                    f"| {name} | {told} | {format_bytes(bytes_guessed)} | {format_bytes(most)} |",
                    flush=True,
                )


def asked(arguments: list[str], *what: str) -> tuple[float, int]:
    """One cell from a process of its own."""
    command = [sys.executable, "-m", "benchmarks.foretold", *arguments, "--do", *what]
    seconds, most = json.loads(
        subprocess.run(command, check=True, capture_output=True, text=True).stdout
    )
    return seconds, most


def cell(chosen: argparse.Namespace, kind: str, name: str, how: str) -> tuple[float, int]:
    """Seconds, and bytes of memory, foretold or taken."""
    systems, scorers = ((name,), ("bleu",)) if kind == "system" else (("copy",), (name,))
    suite = suites.load_suite(chosen.suite).model_copy(update={"controls": ()})
    plan = planning.make_plan(
        planning.RunRequest(suite, systems, scorers, chosen.data, output=chosen.output)
    )
    count = len(plan.data.examples)
    if how == "foretell":
        if kind == "system":
            made = estimates.estimate_system(plan, name, plan.data.examples)
        else:
            made = estimates.estimate_scorer(plan, name, count * len(systems))
        if isinstance(made, str):
            raise SystemExit(f"{name}: {made}")
        return made.seconds, made.most
    with open_run(plan.folder, plan.identity) as folder:
        if kind == "scorer":
            stages.generate_answers(run_logs.OpenRun(plan, folder), "copy")
        with Watch() as watch:
            run = run_logs.OpenRun(plan, folder)
            if kind == "system":
                stages.generate_answers(run, name)
            else:
                stages.measure_answers(run)
    return watch.seconds, watch.most


class Watch:
    """Seconds that a block takes, and the most memory above what there was before."""

    def __enter__(self) -> Watch:
        self._process, self._ended = psutil.Process(), threading.Event()
        self._before, self._start = self._process.memory_info().rss, time.perf_counter()
        self.most = 0
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._start
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.01):
            self.most = max(self.most, self._process.memory_info().rss - self._before)


if __name__ == "__main__":
    main(sys.argv[1:])
