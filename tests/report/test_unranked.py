"""A column that has no better end orders the table and ranks nobody."""

from __future__ import annotations

from parabench.pipeline import plan, runner
from parabench.suites import suite as suites
from tests.support import tiny_suite


def test_a_headline_without_a_better_end_ranks_nobody(tmp_path):
    changes = {"headline": "copies", "scorers": ("side",), "controls": ("human", "copy")}
    suite = suites.load_suite("overlap").model_copy(update=changes)
    data = tiny_suite.examples_file(tmp_path)
    asked = plan.RunRequest(
        suite, systems=("near-copy", "shuffled"), data=data, output=tmp_path / "run"
    )
    board = runner.run_plan(plan.make_plan(asked))
    assert board.headline == "copies"
    assert [row.rank for row in board.rows] == [None] * 4
    assert not board.invalid
