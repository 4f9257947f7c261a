"""Whole runs: what is left behind, what an interruption costs, and what is never served again."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from parabench.contracts import BuildContext, Signature, UserError
from parabench.pipeline import plan as planning
from parabench.pipeline import runner
from parabench.pipeline.plan import RunPlan, RunRequest
from parabench.report import assemble
from parabench.store.log import read_log
from parabench.store.run_folder import verify_run
from parabench.suites import suite as suites
from tests.support import tiny_suite


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    tiny_suite.suite_file(folder)
    return folder


def make_plan(world: Path, output: Path, **changes: object) -> RunPlan:
    request = RunRequest(suites.load_suite(str(world / "tiny.toml")), device="cpu", output=output)
    return planning.make_plan(replace(request, **changes))  # type: ignore[arg-type]


def light(world: Path, output: Path, system: tiny_suite.Upper) -> RunPlan:
    """A plan without models: copy, human and a given system, measured by iBLEU."""
    plan = make_plan(world, output, systems=("copy", "human"), scorers=("ibleu",))
    return replace(plan, systems={**plan.systems, "upper": system})


def digests(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "lock"]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def test_a_run_of_models_ends_complete_and_verifies(world: Path, tmp_path: Path) -> None:
    board = runner.run_plan(make_plan(world, tmp_path / "run"))
    assert verify_run(tmp_path / "run") == []
    assert {row.system for row in board.rows} == {"human", "copy", "zeroshot", "bart"}
    assert all(row.scored == row.asked == 12 for row in board.rows)
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"leaderboard.md", "leaderboard.csv", "leaderboard.json", "manifest.json"} <= names


def test_an_interrupted_run_ends_as_an_uninterrupted_one(world: Path, tmp_path: Path) -> None:
    runner.run_plan(light(world, tmp_path / "whole", tiny_suite.Upper()))
    for batches in (0, 1, 3, 5):
        broken = tmp_path / f"broken-{batches}"
        with pytest.raises(KeyboardInterrupt):
            runner.run_plan(light(world, broken, tiny_suite.Upper(batches=batches)))
        again = tiny_suite.Upper()
        runner.run_plan(light(world, broken, again))
        assert again.asked == 12 - 2 * batches, "a finished batch was made again"
        assert digests(broken) == digests(tmp_path / "whole")


def test_nothing_is_done_twice(world: Path, tmp_path: Path) -> None:
    runner.run_plan(light(world, tmp_path / "run", tiny_suite.Upper()))
    before, second = digests(tmp_path / "run"), tiny_suite.Upper()
    runner.run_plan(light(world, tmp_path / "run", second))
    assert second.asked == 0
    assert digests(tmp_path / "run") == before


def test_another_signature_is_another_system(world: Path, tmp_path: Path) -> None:
    runner.run_plan(light(world, tmp_path / "run", tiny_suite.Upper()))
    changed = tiny_suite.Upper(signature=Signature("upper", (("weights", "other"),)))
    runner.run_plan(light(world, tmp_path / "run", changed))
    assert changed.asked == 12
    assert verify_run(tmp_path / "run") == []


def test_a_new_scorer_needs_no_new_generation(world: Path, tmp_path: Path) -> None:
    runner.run_plan(light(world, tmp_path / "run", tiny_suite.Upper()))
    second = tiny_suite.Upper()
    plan = light(world, tmp_path / "run", second)
    more = make_plan(world, tmp_path / "run", systems=("copy",), scorers=("bleu",))
    board = runner.run_plan(replace(plan, scorers=more.scorers))
    assert second.asked == 0
    assert {"ibleu", "bleu"} <= {column.name for column in board.columns}


@pytest.mark.parametrize(
    "changes",
    [{"seed": 1}, {"limit": 5}, {"dtype": "bfloat16"}],
    ids=lambda changes: next(iter(changes)),
)
def test_another_run_does_not_fit_the_folder(
    world: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    chosen = {"systems": ("copy",), "scorers": ("bleu",)}
    runner.run_plan(make_plan(world, tmp_path / "run", **chosen))
    with pytest.raises(UserError):
        runner.run_plan(make_plan(world, tmp_path / "run", **chosen, **changes))


def test_human_is_scored_against_as_many_references_as_everybody(
    world: Path, tmp_path: Path
) -> None:
    plan = make_plan(world, tmp_path / "run", systems=("human", "copy"), scorers=("bleu",))
    runner.run_plan(plan)
    human = read_log(tmp_path / "run", "predictions", "human")[1]
    assert {example.id: list(example.references) for example in plan.data.examples} == {
        key: record["turns"] for key, record in human.items()
    }
    assert plan.identity["protocol"] == "turns|references:2|left-out:each"


def test_without_references_scorers_that_read_them_are_out(world: Path, tmp_path: Path) -> None:
    data = tmp_path / "bare.jsonl"
    data.write_text(
        '{"source": "a b c", "references": ["d"]}\n{"source": "c d e"}\n', encoding="utf-8"
    )
    with pytest.raises(UserError, match="example '2' has no references") as caught:
        make_plan(world, tmp_path / "run", data=data, scorers=("divergence", "ibleu"), systems=())
    assert "--scorers divergence" in str(caught.value)
    made = make_plan(world, tmp_path / "run", data=data, scorers=("divergence", "side"), systems=())
    assert [row.system for row in runner.run_plan(made).rows] == ["copy"]


def test_rows_measured_under_other_settings_share_no_table(world: Path, tmp_path: Path) -> None:
    runner.run_plan(light(world, tmp_path / "run", tiny_suite.Upper()))
    suite = suites.load_suite(str(world / "tiny.toml")).model_copy(
        update={"scorer": {"ibleu": {"lowercase": True}}}
    )
    changed = replace(
        light(world, tmp_path / "run", tiny_suite.Upper()), systems={"late": tiny_suite.Upper()}
    )
    with pytest.raises(UserError, match="different settings") as caught:
        runner.run_plan(
            replace(
                changed,
                scorers={"ibleu": planning.build_plugin("scorer", "ibleu", suite, BuildContext())},
            )
        )
    assert "case:lc" in str(caught.value)
    assert "case:mixed" in str(caught.value)


def test_an_own_scorer_name_is_reported_without_the_suite(world: Path, tmp_path: Path) -> None:
    options = {"mine": {"family": "bleu", "lowercase": True}}
    suite = suites.load_suite(str(world / "tiny.toml")).model_copy(
        update={"scorer": options, "headline": "bleu"}
    )
    runner.run_plan(
        planning.make_plan(
            RunRequest(suite, ("copy",), ("mine",), device="cpu", output=tmp_path / "run")
        )
    )
    board = assemble.write_reports(tmp_path / "run")
    assert board.signatures["bleu"].startswith("bleu|nrefs:var|case:lc")


def test_human_is_left_out_where_an_example_has_one_reference(world: Path, tmp_path: Path) -> None:
    data = tmp_path / "single.tsv"
    data.write_text("a b\tc d\ne f\tg h\ti j\n", encoding="utf-8")
    plan = make_plan(world, tmp_path / "run", data=data)
    assert "human" not in plan.systems
    with pytest.raises(UserError, match="single reference"):
        planning.check_plan(make_plan(world, tmp_path / "run", data=data, systems=("human",)))
