"""A score that is not a number is null, counted, and named under the table; it is neither a zero
nor an average.
"""

import html
import io
import json
import math
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from parabench.scorers import aggregation
from rich.console import Console

from parabench.contracts import Column, Signature
from parabench.pipeline import runner
from parabench.report import assemble
from parabench.report.board import board_from_json, board_to_json
from parabench.report.leaderboard import board_to_csv, board_to_markdown
from parabench.report.results import ScorerResults
from parabench.report.run_reader import load_results
from parabench.report.terminal import print_board
from parabench.stats import undefined
from parabench.store.example_store import ExampleStore
from parabench.store.log import finished_statistics
from parabench.store.run_folder import verify_run
from tests.support import light


@dataclass
class Faulty:
    """One number an example: the length of its text, but ``wrong`` for the examples in
    ``where``.
    """

    wrong: float
    where: frozenset[str] = frozenset({"e1", "e4"})
    columns: tuple[Column, ...] = (Column("length", "up", "output"),)
    signature: Signature = field(default_factory=lambda: Signature("length"))

    def measure(self, examples, texts):
        rows = zip(examples, texts, strict=True)
        return np.array(
            [[self.wrong if example.id in self.where else len(text)] for example, text in rows],
            dtype=float,
        )

    def combine(self, statistics):
        return (
            np.nanmean(statistics, axis=0)
            if not np.isnan(statistics).all()
            else np.array([math.nan])
        )


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_is_null_on_disk_and_counted(tmp_path, wrong):
    plan = light.plan(tmp_path, systems=("copy",), scorers=("bleu",))
    light.run_with(plan, {"bleu": Faulty(wrong)})
    array = finished_statistics(plan.folder, "copy", "bleu")[:]
    assert np.isnan(array[:, 0]).sum() == 2
    assert verify_run(plan.folder) == []
    files = json.loads((plan.folder / "manifest.json").read_text())["files"]
    assert files["statistics/copy.bleu.npz"]["undefined"] == {"not a finite number": 2}


@pytest.mark.parametrize(
    ("where", "count"), [((), 0), (("e1",), 1), (tuple(f"e{n}" for n in range(6)), 6)]
)
def test_every_table_says_how_many_examples_a_cell_leaves_out(tmp_path, where, count):
    plan = light.plan(tmp_path, systems=("copy",), scorers=("bleu",))
    faulty = Faulty(math.nan, frozenset(where))
    rows = faulty.measure(plan.data.examples, [example.source for example in plan.data.examples])
    runner.run_plan(plan)
    results = load_results(plan.folder)
    measured = {"length": ScorerResults(faulty, "length", {"copy": rows})}
    board = assemble.build_leaderboard(
        type(results)(results.facts, results.examples, results.outputs, measured), ()
    )
    text = f"copy length: {6 - count} of 6"
    console = Console(width=300, record=True, file=io.StringIO())
    print_board(board, console)
    for shown in (board_to_markdown(board), console.export_text()):
        assert (text in shown) == (count > 0)
    assert board_to_csv(board).splitlines()[1].endswith(f",{count}")
    assert json.loads(board_to_json(board))["rows"][0]["scores"]["length"]["undefined"] == count
    assert board_to_json(board_from_json(board_to_json(board))) == board_to_json(board)
    value = board.rows[0].scores["length"].value
    kept = [len(e.source) for e in plan.data.examples if e.id not in where]
    assert value == pytest.approx(np.mean(kept)) if kept else math.isnan(value)


@dataclass
class Choosy(Faulty):
    """Leaves its examples out on purpose, but for one, and says so."""

    def why(self, example, text):
        return "" if example.id == "e1" else f"no reference for |{example.id}|"


def test_the_reason_of_each_example_is_kept_and_shown(tmp_path):
    plan = light.plan(tmp_path)
    light.run_with(plan, {"bleu": Choosy(math.nan, frozenset({"e1", "e4"}))})
    told = {"e1": "not a finite number", "e4": "no reference for |e4|"}
    assert finished_statistics(plan.folder, "copy", "bleu").why == told
    files = json.loads((plan.folder / "manifest.json").read_text())["files"]
    assert files["statistics/copy.bleu.npz"]["undefined"] == dict.fromkeys(told.values(), 1)


def test_rouge_says_why_an_example_has_no_value(tmp_path):
    plan = light.plan(tmp_path, suite=light.suite(tmp_path, scorers=("rouge",), headline="rouge1"))
    examples = tuple(
        replace(e, references=("да", "нет")) if e.id == "e2" else e for e in plan.data.examples
    )
    plan = replace(plan, data=replace(plan.data, examples=ExampleStore(examples)))
    runner.run_plan(plan)
    reason = "no reference keeps half of its letters and digits: ROUGE reads a-z and 0-9"
    text = f"rougeL-r, rougeLsum-r: 5 of 6 ({reason})"  # once, for all columns of a row
    board = assemble.build_leaderboard(load_results(plan.folder), ())
    console = Console(width=300, record=True, file=io.StringIO())
    print_board(board, console)
    assert text in console.export_text()
    assert text.replace("(", "\\(").replace(")", "\\)").replace("-z", "-z") in board_to_markdown(
        board
    )
    assert text in html.unescape((plan.folder / "report.html").read_text())
    assert board.rows[0].scores["rouge1"].why == reason
    assert board_to_json(board_from_json(board_to_json(board))) == board_to_json(board)


def test_several_reasons_are_told_with_their_counts():
    why = {"copy": ["one reason", "another", "one reason"]}
    assert (
        ScorerResults(Faulty(math.nan), "x", {}, why).reasons("copy") == "2 one reason, 1 another"
    )


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_is_no_part_of_a_mean(wrong):
    assert aggregation.mean_of_defined(
        aggregation.values_and_counts(np.array([[1.0], [wrong], [3.0]]))
    ).tolist() == [2.0]


def test_corpus_only_values_are_not_called_undefined():
    @dataclass
    class Spread(Faulty):
        def combine(self, statistics):
            return statistics.std(axis=0, ddof=1) if len(statistics) > 1 else np.array([math.nan])

    assert undefined.undefined_counts(Spread(math.nan), np.array([[1.0], [2.0]])) == [0]


def test_a_row_too_few_is_refused(tmp_path):
    plan = light.plan(tmp_path, systems=("copy",), scorers=("bleu",))
    short = Faulty(math.nan)
    measure = short.measure
    short.measure = lambda examples, texts: measure(examples[1:], texts[1:])
    with pytest.raises(light.UserError, match="array of shape"):
        light.run_with(plan, {"bleu": short})
