"""What the same records come to does not depend on threads, locale, time zone, umask or folder.

What depends on threads and batches stays within what docs/reliability.md says.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from parabench.scorers import bartscore, bertscore, embedding, fluency

from parabench.contracts import BuildContext, Example, Runtime
from parabench.pipeline import plan as planning
from parabench.pipeline import runner
from parabench.pipeline.plan import RunRequest
from parabench.report.assemble import write_reports
from parabench.store.run_folder import verify_run
from parabench.suites.suite import load_suite
from tests.support import encoders, light, tiny, tiny_suite

NEURAL = 1e-5
"""Relative difference of a neural statistic between batch sizes and numbers of threads."""

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


def test_a_copied_run_resumes_with_another_batch_size(tmp_path: Path) -> None:
    """Broken off at one batch size, copied elsewhere, and finished at another."""
    suite = load_suite(str(tiny_suite.suite_file(tmp_path)))
    asked = RunRequest(suite, ("zeroshot",), ("ibleu",), device="cpu", batch_size=2)

    def stop(what: str, done: int, total: int) -> None:
        if done >= 4:
            raise KeyboardInterrupt

    whole = replace(asked, output=tmp_path / "whole", batch_size=5)
    runner.run_plan(planning.make_plan(whole))
    with pytest.raises(KeyboardInterrupt):
        runner.run_plan(
            planning.make_plan(replace(asked, output=tmp_path / "broken")), advance=stop
        )
    shutil.copytree(tmp_path / "broken", tmp_path / "elsewhere")
    resumed = replace(asked, output=tmp_path / "elsewhere", batch_size=7)
    runner.run_plan(planning.make_plan(resumed))
    assert read(tmp_path / "elsewhere") == read(tmp_path / "whole")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {
        "bart": tiny.bart(folder / "bart"),
        "opt": tiny.opt(folder / "opt"),
        "roberta": encoders.roberta(folder / "roberta"),
    }


SCORERS = {
    "bartscore": (bartscore, "bart", {}),
    "fluency": (fluency, "opt", {}),
    "bertscore": (bertscore, "roberta", {"layers": 2}),
    "embedding": (embedding, "roberta", {}),
}


@pytest.mark.parametrize("name", SCORERS)
def test_neural_scores_between_batches_and_threads(name: str, models: dict[str, Path]) -> None:
    """Equal where both are equal; else as near as the page says, and no nearer is promised."""
    module, model, options = SCORERS[name]
    texts = [sentence for sentence in tiny.SENTENCES if len(sentence) < 70]
    examples = [
        Example(str(at), text, (text[::-1][:40], text[5:50])) for at, text in enumerate(texts)
    ]

    def measured(batch_size: int, threads: int) -> np.ndarray:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        runtime = Runtime(device="cpu", batch_size=batch_size)
        setting = BuildContext(runtime, options={"model": str(models[model]), **options})
        try:
            return module.build("", setting).measure(examples, list(reversed(texts)))
        finally:
            torch.set_num_threads(before)

    first = measured(3, 1)
    assert first.tobytes() == measured(3, 1).tobytes()
    for batch_size, threads in ((1, 1), (3, 2), (64, 1), (64, 2)):
        np.testing.assert_allclose(measured(batch_size, threads), first, rtol=NEURAL, atol=NEURAL)


def test_reports_are_made_alike_twice(run: Path) -> None:
    before = read(run)
    write_reports(run)
    assert read(run) == before
