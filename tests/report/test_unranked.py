"""What ranks nobody: a column without a better end, a gate that is not measured."""

from __future__ import annotations

import pytest

from parabench.contracts import UserError
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


def test_a_gate_that_no_scorer_measures_is_refused(tmp_path):
    """It would hold nobody, and nobody would notice; scorers chosen by hand may leave it out."""
    suite = suites.load_suite("overlap").model_copy(update={"gates": ("partiy",)})
    asked = plan.RunRequest(suite, data=tiny_suite.examples_file(tmp_path), output=tmp_path / "run")
    with pytest.raises(UserError, match="partiy") as error:
        plan.make_plan(asked)
    assert "parity" in error.value.choices
    plan.make_plan(plan.RunRequest(suite, scorers=("bleu",), data=asked.data, output=asked.output))
