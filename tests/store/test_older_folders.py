"""Folders made by an earlier commit open, verify, report and resume with the present code.

What they must come to is in the folders themselves: that commit wrote it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from parabench.commands.training_data import load_training_data
from parabench.contracts import Runtime, UserError
from parabench.models.checkpoints import locate
from parabench.pipeline import plan as planning
from parabench.pipeline import runner
from parabench.pipeline.plan import RunPlan, RunRequest
from parabench.prompts import adapters
from parabench.report.assemble import write_reports
from parabench.store.run_folder import verify_run
from parabench.suites import suite as suites
from parabench.training import presets, requests, setup

MADE = Path(__file__).parent.parent / "support" / "made_by_65248aa"
FINISHED = MADE / "run-finished"
OLDER_COLUMNS = (
    "ibleu", "src_bleu", "cut-off",
    "bartscore-f", "bartscore-h2r", "bartscore-r2h", "bartscore-s2h",
)  # fmt: skip


@pytest.fixture
def older(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A copy of the folder that the test names."""
    return Path(shutil.copytree(MADE / request.param, tmp_path / request.param))


def planned(folder: Path) -> RunPlan:
    """What the older runs were asked for."""
    suite = suites.load_suite("mini")
    systems, scorers = ("softprompt-20", "copy"), ("ibleu", "bartscore")
    if folder.name == "run-answering":
        systems, scorers = ("softprompt-20",), ("ibleu",)
    return planning.make_plan(
        RunRequest(suite, systems, scorers, limit=6, batch_size=2, device="cpu", output=folder)
    )


def records(folder: Path) -> dict[str, bytes]:
    """The files of answers and of measurements."""
    found = sorted([*folder.glob("predictions/*"), *folder.glob("statistics/*")])
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_what_is_kept_is_small_and_names_no_machine() -> None:
    files = [path for path in MADE.rglob("*") if path.is_file()]
    assert len(files) > 40
    assert sum(path.stat().st_size for path in files) < 300_000
    assert not [path for path in files if b"/root" in path.read_bytes()]


def numbers(board: dict[str, Any]) -> list[Any]:
    """What was measured of each row in the older columns.

    Ranks, intervals and tests are left out: of six examples no interval is given any more.
    """
    found = []
    for row in board["rows"]:
        cells = {name: cell for name, cell in row["scores"].items() if name in OLDER_COLUMNS}
        for cell in cells.values():
            del cell["low"], cell["high"]
        found.append((row["system"], row["asked"], row["scored"], cells))
    return found


@pytest.mark.parametrize("older", ["run-finished"], indirect=True)
def test_an_older_run_verifies(older: Path) -> None:
    assert verify_run(older) == []


@pytest.mark.parametrize("older", ["run-finished"], indirect=True)
def test_an_older_run_reports_the_same_numbers(older: Path) -> None:
    was = json.loads((older / "leaderboard.json").read_text())
    write_reports(older)
    now = json.loads((older / "leaderboard.json").read_text())
    assert numbers(now) == numbers(was)
    assert verify_run(older) == []


@pytest.mark.parametrize("older", ["run-finished"], indirect=True)
def test_an_older_run_given_again_makes_nothing_anew(older: Path) -> None:
    before = records(older)
    runner.run_plan(planned(older), advance=lambda what, *_: pytest.fail(f"made anew: {what}"))
    assert records(older) == before
    assert not (older / "quarantine").exists()
    assert verify_run(older) == []


@pytest.mark.parametrize("older", ["run-finished"], indirect=True)
def test_an_older_run_keeps_its_headline_and_says_so(older: Path) -> None:
    plan = planned(older)
    assert suites.load_suite("mini").headline == "parity"
    assert plan.suite.headline == "ibleu"
    (note,) = [note for note in plan.notes if "keeps the headline 'ibleu'" in note]
    assert "--output" in note


@pytest.mark.parametrize("older", ["run-answering", "run-measuring"], indirect=True)
def test_an_older_unfinished_run_resumes(older: Path) -> None:
    finished, before, notes = records(FINISHED), records(older), list[str]()
    runner.run_plan(planned(older), notice=notes.append)
    now = records(older)
    assert verify_run(older) == []
    # What was finished is as it was; what is made now, of a scorer without a model, is to the byte
    # what the older commit made.
    kept = [name for name in before if ".part" not in name]
    assert all(now[name] == before[name] for name in kept)
    assert all(now[name] == finished[name] for name in now if "bartscore" not in name)
    torn = [note for note in notes if "torn end" in note]
    assert len(torn) == (1 if older.name == "run-answering" else 0)


@pytest.mark.parametrize("older", ["adapter"], indirect=True)
def test_an_older_adapter_loads(older: Path) -> None:
    base = requests.base_checkpoint(
        setup.parse_kind("softprompt-4"), suites.load_suite("mini").train.model_dump(), None
    )
    adapter = adapters.load_adapter(older, locate(str(base.reference)))
    assert adapter.prompt.shape == (4, 192)
    stored = load_file(older / "adapter_model.safetensors")
    assert torch.equal(adapter.prompt, stored["prompt_embeddings"])


def training(folder: Path, monkeypatch: pytest.MonkeyPatch) -> requests.TrainingRequest:
    """What the older trainings were asked for."""
    monkeypatch.chdir(MADE)
    suite, kind = suites.load_suite("mini"), setup.parse_kind("softprompt-4")
    pairs = load_training_data("tsv:pairs.tsv", suite, 8, 0, None)
    config = presets.make_config(kind, steps=6, save_every=2, validate_every=2, batch_size=4)
    base = requests.base_checkpoint(kind, suite.train.model_dump(), None)
    return requests.TrainingRequest(kind, base, pairs, config, Runtime(), folder)


@pytest.mark.parametrize("older", ["training-unfinished"], indirect=True)
def test_an_older_checkpoint_is_trained_on(older: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = list[int]()
    requests.run_training(training(older, monkeypatch), lambda log: steps.append(log.step))
    assert steps == [5, 6]
    made, expected = (
        load_file(folder / "adapter_model.safetensors")["prompt_embeddings"]
        for folder in (older, MADE / "adapter")
    )
    torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("older", ["adapter"], indirect=True)
def test_an_older_finished_training_is_left(older: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = requests.run_training(
        training(older, monkeypatch), lambda log: pytest.fail("trained")
    )
    assert outcome.steps == 6


@pytest.mark.parametrize("older", ["run-finished"], indirect=True)
@pytest.mark.parametrize("where", ["data", "decoding", "runtime"])
def test_an_older_run_of_other_settings_is_refused(older: Path, where: str) -> None:
    spec = json.loads((older / "spec.json").read_text())
    spec[where] = {**spec[where], "seed" if where == "runtime" else "other": 5}
    (older / "spec.json").write_text(json.dumps(spec))
    plan = planned(older)
    assert plan.suite.headline == "parity"  # nothing is taken over from another run
    with pytest.raises(UserError, match="reuse"):
        runner.run_plan(plan)
