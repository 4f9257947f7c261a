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
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
LIBRARIES = ("numpy", "torch", "transformers", "hypothesis", "pydantic", "typer", "safetensors")
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
    """The code and its tests as one tree that needs no installation.

    Nothing may be left out: a package that is installed in place lends what such a tree lacks.
    """
    leave = shutil.ignore_patterns("__pycache__", "runs", "*.pyc", "scorers", "baselines")
    shutil.copytree(ROOT / "parabench", folder / "parabench", ignore=leave)
    shutil.copytree(ROOT / "tests", folder / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("scorers", "baselines"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "parabench" / name).symlink_to(folder / name)
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
    arguments = ["-x", "-q", "-p", "no:cacheprovider", *names]
    # the hook that blocks the network is put in place when a process starts
    if any("offline" in name for name in names) and len(tests) == 1:
        return _in_new_process(folder, arguments)
    return _in_fork(folder, arguments)


def _environment(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(folder),
        "OMP_NUM_THREADS": "1",
        "PARABENCH_TEST_SHAPES": "off",
    }


def _in_new_process(folder: Path, arguments: Sequence[str]) -> int:
    command = [sys.executable, "-m", "pytest", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=_environment(folder), capture_output=True, timeout=1200
    )
    if done.returncode not in (0, FAILED):
        print(done.stdout.decode()[-2000:], done.stderr.decode()[-2000:], file=sys.stderr)
    return done.returncode


def _in_fork(folder: Path, arguments: Sequence[str]) -> int:
    """The same in a child that has the libraries already, whose import takes longer than the tests.

    Nothing of the code under test is among them: it is imported from the copy.
    """
    for library in LIBRARIES:
        import_module(library)
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if not child:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            os._exit(_pytest(folder, arguments))
        _, waited = os.waitpid(child, 0)
        status = os.waitstatus_to_exitcode(waited)
        if status not in (0, FAILED):
            output.seek(0)
            print(output.read().decode(errors="replace")[-2000:], file=sys.stderr)
    return status


def _pytest(folder: Path, arguments: Sequence[str]) -> int:
    """Run pytest in this process on the copy, and on nothing that was imported before."""
    os.environ.update(_environment(folder))
    os.chdir(folder)
    for name in list(sys.modules):
        if name.split(".")[0] in ("parabench", "tests", "conftest"):
            del sys.modules[name]
    sys.path[:] = [str(folder), *(path for path in sys.path if path not in ("", str(ROOT)))]
    try:
        return int(pytest.main(list(arguments)))
    except SystemExit as end:
        return int(end.code or 0)


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
    """The guards whose text is not, or not once, where it should be, or whose test is not there."""
    for guard in GUARDS:
        file, _, name = guard.test.partition("::")
        begin = f"def {name.partition('[')[0]}" if name else "def test_"
        tests = (ROOT / file).read_text() if (ROOT / file).is_file() else ""
        if (ROOT / guard.file).read_text().count(guard.text) != 1 or begin not in tests:
            yield guard.what


def main() -> None:
    """Print the table; the exit status is 1 if any test did not notice."""
    sys.exit(0 if table() else 1)


def table() -> bool:
    """Print the table; whether every test noticed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy(folder)
        whole = status(folder, sorted({guard.test for guard in GUARDS}))
        print("\n## Guards taken away\n")
        print("Each guard is taken out of a copy of the code; the test about it must then fail.\n")
        print(f"With all guards in place all of these tests {'FAIL' if whole else 'pass'}.\n")
        sys.stdout.flush()
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
    return not missed and not whole


if __name__ == "__main__":
    main()
