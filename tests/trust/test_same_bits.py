"""What the same records come to does not depend on threads, locale, time zone, umask or folder."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from parabench.pipeline import runner
from parabench.store.run_folder import verify_run
from tests.support import light

SUMS = """
import sys
if sys.argv[1] == "program":
    from parabench import cli
    cli.app = lambda: None
    cli.main()
import hashlib
import numpy
from parabench.stats.resampling import bootstrap
from parabench.scorers.aggregation import additive
rows = numpy.random.default_rng(0).standard_normal((1000, 7))
draws = bootstrap(additive(lambda some: some.sum(axis=-2)), rows, 0, 999)
print("BITS", hashlib.sha256(draws.tobytes()).hexdigest())
"""


def bits(how: str, threads: int) -> str:
    """The digest of bootstrap draws in a process that may use so many threads."""
    named = {"OPENBLAS_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(
        [sys.executable, "-c", SUMS, how],
        env={**os.environ, **named},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split("BITS")[1].strip()


def test_sums_do_not_depend_on_threads() -> None:
    assert bits("program", 1) == bits("program", 2)


def read(folder: Path) -> dict[str, str]:
    """The digests of a run's files; ``lock`` holds the number of a process."""
    kept = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "lock"]
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in kept
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("same")
    runner.run_plan(light.plan(folder, systems=("copy", "shuffled", "human")))
    return folder / "run"


AGAIN = """
import os, sys
os.umask(int(sys.argv[2], 8))
from pathlib import Path
from parabench.report.assemble import write_reports
write_reports(Path(sys.argv[1]))
"""


@pytest.mark.parametrize(
    ("named", "umask"),
    [
        ({"LANG": "C", "LC_ALL": "C"}, "022"),
        ({"LANG": "tr_TR.UTF-8", "LC_ALL": "tr_TR.UTF-8", "TZ": "Pacific/Kiritimati"}, "077"),
        ({"LC_ALL": "de_DE.UTF-8", "TZ": "America/St_Johns", "PYTHONHASHSEED": "7"}, "002"),
    ],
    ids=["C", "Turkish", "German"],
)
def test_reports_do_not_depend_on_where_and_who(
    run: Path, tmp_path: Path, named: dict[str, str], umask: str
) -> None:
    """And not on the folder either: it was copied, and moved."""
    shutil.copytree(run, tmp_path / "copied")
    (tmp_path / "copied").rename(tmp_path / "moved")
    for name in ("leaderboard.md", "leaderboard.csv", "leaderboard.json", "report.html"):
        (tmp_path / "moved" / name).unlink()
    subprocess.run(
        [sys.executable, "-c", AGAIN, str(tmp_path / "moved"), umask],
        env={**os.environ, **named},
        check=True,
    )
    assert read(tmp_path / "moved") == read(run)
    assert verify_run(tmp_path / "moved") == []
