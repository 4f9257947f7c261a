"""Every guard is taken out of a copy of the code, and the test about it must then fail
(``tests/faults/guards.py``).

A test that cannot fail proves nothing. Each guard is a piece of the source and what stands there
without it; a piece that is no longer there is an error, so this list cannot fall behind the code.
Prints a table (minutes).
"""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
FAILED = 1
"""The exit status of pytest when tests ran and some failed; a test that is not found, or an error,
is another.
"""


class Guard(NamedTuple):
    """What it does, where it stands, its text, what is there without it, and the test that must
    notice.
    """

    what: str
    file: str
    text: str
    without: str
    test: str


GUARDS = [
    Guard(**entry)
    for entry in tomllib.loads((Path(__file__).parent / "guards.toml").read_text())["guard"]
]


def copy(folder: Path) -> None:
    """The code and its tests as one tree that needs no installation; models are linked to, not
    copied.
    """
    leave = shutil.ignore_patterns("models", "__pycache__", "runs", "*.pyc", "scorers", "baselines")
    shutil.copytree(ROOT / "parabench", folder / "parabench", ignore=leave)
    shutil.copytree(ROOT / "tests", folder / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("scorers", "baselines"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "parabench" / name).symlink_to(folder / name)
    (folder / "parabench/mini/models").symlink_to(ROOT / "parabench/mini/models")
    shutil.copy(ROOT / "pyproject.toml", folder)


def status(folder: Path, tests: Sequence[str]) -> int:
    """The exit status of some tests, run on the copy; a name without its end stands for all that
    begin with it.
    """
    names = [test for test in tests if "[" in test or "::" not in test]
    for test in set(tests) - set(names):
        file, _, name = test.partition("::")
        lines = (folder / file).read_text().split("\n")
        names += [
            f"{file}::{line[4 : line.index('(')]}"
            for line in lines
            if line.startswith(f"def {name}")
        ]
    environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *names]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=600)
    if done.returncode not in (0, FAILED):
        print(done.stdout.decode()[-2000:], done.stderr.decode()[-2000:], file=sys.stderr)
    return done.returncode


def without(folder: Path, guard: Guard) -> int:
    """The exit status of a guard's test where the guard is not."""
    path = folder / guard.file
    whole = path.read_text()
    if whole.count(guard.text) != 1:
        raise LookupError(f"{guard.file} holds {guard.text!r} {whole.count(guard.text)} times")
    path.write_text(whole.replace(guard.text, guard.without))
    try:
        return status(folder, [guard.test])
    finally:
        path.write_text(whole)


def stale() -> Iterator[str]:
    """The guards whose text is not, or not once, where it should be."""
    for guard in GUARDS:
        if (ROOT / guard.file).read_text().count(guard.text) != 1:
            yield guard.what


def main() -> None:
    """Print the table; the exit status is 1 if any test did not notice."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy(folder)
        whole = status(folder, sorted({guard.test for guard in GUARDS}))
        print("\n## Guards taken away\n")
        print("Each guard is taken out of a copy of the code; the test about it must then fail.\n")
        print(f"With all guards in place all of these tests {'FAIL' if whole else 'pass'}.\n")
        print("| guard | where | test | without it |\n| --- | --- | --- | --- |")
        missed = 0
        for guard in GUARDS:
            noticed = without(folder, guard) == FAILED
            missed += not noticed
            said = "fails" if noticed else "NOT NOTICED"
            test = guard.test.removeprefix("tests/").replace("::test_", " ").replace("|", "")
            print(f"| {guard.what} | `{guard.file}` | {test} | {said} |", flush=True)
    print(
        f"\nOf {len(GUARDS)} guards {len(GUARDS) - missed}, once taken away, made their test fail."
    )
    sys.exit(1 if missed or whole else 0)


if __name__ == "__main__":
    main()
