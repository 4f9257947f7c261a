"""Names of systems, suites, adapters and files come from anywhere and lead nowhere."""

from dataclasses import replace

import pytest
from typer.testing import CliRunner

from parabench.cli import app
from parabench.contracts import Signature, UserError
from parabench.store.log import log_names
from parabench.store.run_folder import verify_run
from tests.support import light
from tests.trust.test_identity import Counting

NAMES = (
    "../../evil",
    "/etc/evil",
    "a/b",
    "..",
    ".",
    "-rf",
    "con",
    "a\nb",
    "a\0b",
    "A",
    "a",
    "x" * 300,
    "é\u202e",
    "a.b",
    "",
)


def outside(folder, before) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*") if path not in before)


def test_systems_and_scorers_of_any_name_stay_in_their_folder(tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    plan = light.plan(inner)
    before = set(tmp_path.rglob("*"))
    systems = {name: Counting(Signature("one")) for name in NAMES}
    light.run_with(
        replace(plan, systems=systems), {name: Counting(Signature("two")) for name in NAMES}
    )
    assert verify_run(plan.folder) == []
    assert {name for (name,) in log_names(plan.folder, "predictions")} == set(NAMES)
    assert len(log_names(plan.folder, "statistics")) == len(NAMES) ** 2
    new = [path for path in tmp_path.rglob("*") if path not in before and path != plan.folder]
    assert all(path.is_relative_to(plan.folder) for path in new)


@pytest.mark.parametrize("name", ["../../evil", "/tmp/evil-parabench", "a/b"])
def test_exports_stay_in_the_run(tmp_path, name):
    plan = light.plan(tmp_path)
    copy = plan.systems["copy"]
    from parabench.commands.reports import export_report
    from parabench.pipeline import runner

    runner.run_plan(replace(plan, systems={name: copy}))
    before = set(tmp_path.rglob("*"))
    export_report(plan.folder, "lm-eval")
    assert all(
        path.is_relative_to(plan.folder / "lm-eval") for path in set(tmp_path.rglob("*")) - before
    )


@pytest.mark.parametrize(
    "name", ["softprompt-../../evil", "ptuning-/etc", "copy/../evil", "bleu\0"]
)
def test_a_name_that_is_a_path_is_no_system(tmp_path, name):
    done = CliRunner().invoke(
        app, ["run", "--suite", "overlap", "--data", str(light.data(tmp_path)), "--systems", name]
    )
    assert isinstance(done.exception, UserError), done.exception


def test_a_run_is_not_written_through_a_link(tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    plan = light.plan(tmp_path)
    from parabench.pipeline import runner

    runner.run_plan(plan)
    before = set(target.rglob("*"))
    for name in ("leaderboard.md", "report.html", "provenance.json"):
        (plan.folder / name).unlink()
        (plan.folder / name).symlink_to(target / name)
    runner.run_plan(plan)
    assert set(target.rglob("*")) == before
    assert verify_run(plan.folder) == []
