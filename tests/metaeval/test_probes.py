"""Probes: the effect on a column against sums done by hand, and the command's tables."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from typer.testing import CliRunner

from parabench.cli import app
from parabench.commands.probe import probes_to_markdown
from parabench.contracts import Column, Example, Signature, UserError
from parabench.data.normalise import Normaliser
from parabench.metaeval import probes


class Letters:
    """Two columns that a person can count: letters of the text, more being better and fewer being
    better.
    """

    columns = (
        Column("long", "up", "output"),
        Column("short", "down", "output"),
        Column("odd", "none", "output"),
    )
    signature = Signature("letters")

    def measure(self, examples, texts):
        return np.array([[float(len(text))] * 3 for text in texts])

    def combine(self, statistics):
        return statistics.mean(axis=-2)


EXAMPLES = [
    Example("1", "s", ("The shop is open.", "The shop is open.")),  # with a not: 4 letters longer
    Example("2", "s", ("It isn't late.", "It isn't late.")),  # without: 3 shorter
    Example("3", "s", ("Bees dance!", "Bees dance!")),  # nothing to deny, no full stop
]


def found(seed=0):
    made = probes.make_probes(EXAMPLES, seed)
    return {
        (f.column.name, f.perturbation.name): f
        for f in probes.probe_scorer(Letters(), made, seed, Normaliser())
    }


def test_the_effect_is_that_of_the_edits_it_applies_to():
    results = found()
    long, short = results["long", "negation"], results["short", "negation"]
    assert (long.count, long.total) == (2, 3)
    assert long.effect == pytest.approx((4 - 3) / 2)
    assert np.isnan([long.low, long.high]).all()  # of two texts no interval
    assert long.lowered == 0.5  # the second, which got shorter
    assert short.lowered == 0.5  # the first, which got longer
    stop = results["long", "full-stop"]
    assert (stop.count, stop.effect, stop.lowered) == (2, pytest.approx(-1), 1.0)
    assert results["short", "full-stop"].lowered == 0.0


def test_undirected_columns_and_unused_edits_are_left_out():
    assert {column for column, _ in found()} == {"long", "short"}
    assert ("long", "number") not in found()


def test_a_reference_is_judged_by_the_others_alone():
    made = probes.make_probes([Example("1", "s", ("a", "b", "c"))], 0)[0]
    assert sorted((made.text, *made.example.references)) == ["a", "b", "c"]
    with pytest.raises(UserError, match="two or more"):
        probes.make_probes([Example("1", "s", ("a",))], 0)


def test_the_command_prints_a_table_and_writes_it(tmp_path):
    file = tmp_path / "probes.csv"
    options = ["metric", "probe", "--scorers", "divergence", "--limit", "6", "--output", str(file)]
    made = CliRunner().invoke(app, options, catch_exceptions=False)
    assert made.exit_code == 0
    assert "pinc ↑" in made.stdout
    rows = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
    assert {row["column"] for row in rows} >= {"pinc", "ned"}
    for row in rows:
        assert (row["low"], row["high"]) == ("", "")  # six texts
        assert int(row["n"]) <= int(row["of"]) == 6


def test_markdown_says_share_effect_interval_and_count():
    table = probes_to_markdown([one for one in found().values() if one.column.name == "long"])
    assert "negation (2 of 3)" in table
    assert "| long ↑   | 50% +0.50 " in table  # two texts are too few for an interval


def test_the_interval_of_an_effect_is_over_texts():
    """20 texts grow by 4 letters, 20 shrink by 3: mean 1/2, standard error 3.5 / sqrt(40)."""
    texts = [("The shop is open." if n % 2 else "It isn't late.") for n in range(40)]
    examples = [Example(str(n), "s", (text, text)) for n, text in enumerate(texts)]
    made = probes.make_probes(examples, 0)
    results = probes.probe_scorer(Letters(), made, 0, Normaliser())
    (long,) = [
        one for one in results if (one.column.name, one.perturbation.name) == ("long", "negation")
    ]
    assert long.effect == pytest.approx(0.5)
    margin = 1.96 * 3.5 / np.sqrt(40)
    assert (long.low, long.high) == pytest.approx((0.5 - margin, 0.5 + margin), abs=0.15)


def test_an_ending_that_is_no_table_is_refused(tmp_path):
    with pytest.raises(UserError, match="ending"):
        CliRunner().invoke(
            app, ["metric", "probe", "--output", str(tmp_path / "a.pdf")], catch_exceptions=False
        )
