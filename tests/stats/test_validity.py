"""The rule, on the values that real people and sentinels have on real news (498 sentences)."""

from __future__ import annotations

from math import nan

import numpy as np
import pytest

from parabench.contracts import Column, additive
from parabench.stats.validity import (
    ControlValues,
    column_faults,
    columns_beaten_by_sentinels,
    invalid_reason,
    mixtures,
)

COLUMNS = (
    Column("bleu", "up", "reference", 1),
    Column("ibleu", "up", "both", 1),
    Column("ter", "down", "reference", 1),
    Column("length", "none", "source"),
)
HUMAN = [40.0, 27.2, 55.6, 1.0]
SENTINELS = {
    "first-half": [18.3, 8.5, 65.4, 0.5],
    "drop-last": [46.0, 19.2, 51.3, 0.9],
    "copy": [50.3, 20.3, 50.1, 1.0],
}


def test_an_invalid_column_names_the_sentinel_it_prefers():
    assert columns_beaten_by_sentinels(COLUMNS, HUMAN, SENTINELS) == {
        "bleu": ("copy", "drop-last"),
        "ter": ("copy", "drop-last"),
    }


@pytest.mark.parametrize(
    ("human", "sentinel", "broken"),
    [(1.0, 1.0, True), (1.0, 0.9, False), (nan, 0.1, True), (1.0, nan, False)],
)
def test_ties_break_and_the_undefined_breaks_only_as_human(human, sentinel, broken):
    assert bool(columns_beaten_by_sentinels(COLUMNS[:1], [human], {"copy": [sentinel]})) is broken


def test_the_reason_is_one_readable_line():
    assert invalid_reason(
        COLUMNS[0], 40.0, {"copy": 50.3, "drop-last": 46.0}, ("copy", "drop-last")
    ) == ("copy 50.3, drop-last 46.0 are not below human 40.0")
    assert (
        invalid_reason(COLUMNS[2], 55.6, {"copy": 50.1}, ("copy",))
        == "copy 50.1 is not above human 55.6"
    )


# ---- mixtures


class Ratio:
    """A ratio of sums, additive or not."""

    @staticmethod
    def combine(statistics):
        sums = statistics.sum(axis=-2)
        return sums[..., :1] / sums[..., 1:]


def two_sets(count: int = 400):
    generator = np.random.default_rng(0)
    people = np.stack([generator.uniform(5, 9, count), generator.uniform(9, 10, count)], axis=-1)
    others = np.stack([generator.uniform(0, 1, count), generator.uniform(3, 4, count)], axis=-1)
    return people, others


def test_a_mixture_is_that_of_rows_replaced_at_random():
    """Expected sums against the mean over many random choices of the replaced rows."""
    people, others = two_sets()
    found = mixtures(additive(Ratio().combine), people, others, (0.25, 0.5, 0.75, 0, 1))[:, 0]
    generator = np.random.default_rng(1)
    drawn = []
    for _ in range(300):
        order = generator.permutation(len(people))
        drawn.append(
            [
                Ratio.combine(np.where((order < share * 400)[:, None], others, people))[0]
                for share in (0.25, 0.5, 0.75, 0, 1)
            ]
        )
    assert found == pytest.approx(np.mean(drawn, axis=0), abs=0.003)


def test_where_sums_do_not_do_rows_are_replaced():
    people, others = two_sets()
    found = mixtures(lambda rows: np.median(rows, axis=-2), people, others, (0.0, 0.5, 1.0))
    assert found[0] == pytest.approx(np.median(people, axis=0))
    assert found[2] == pytest.approx(np.median(others, axis=0))
    assert (found[0] > found[1]).all()
    assert (found[1] > found[2]).all()


def control(value: float, spread: float = 0.01) -> ControlValues:
    """One column, and draws around it."""
    noise = np.random.default_rng(0).normal(size=(2000, 1))
    return ControlValues(np.array([float(value)]), value + spread * noise)


def steps(*values: float):
    return {"copy": np.array(values, dtype=float)[:, None]}


@pytest.mark.parametrize(
    ("human", "copy", "mixed", "reason"),
    [
        (100, 0, (75, 50, 25), ""),
        (100, 0, (75, 80, 25), "does not fall steadily as copy replaces people"),
        (100, 0, (75, 75, 25), "does not fall steadily"),
        (100, 0, (75, 50, -1), "does not fall steadily"),
        (100, 0, (75, nan, 25), ""),
        (0, 100, (75, 50, 25), "is not below human"),
        (nan, 0, (75, 50, 25), "is not below human"),
    ],
)
def test_replacing_people_must_lower_a_column_step_by_step(human, copy, mixed, reason):
    found = column_faults(COLUMNS[:1], control(human), {"copy": control(copy)}, steps(*mixed))
    assert reason in found.get("bleu", "" if not reason else "no fault")
    assert bool(found) is bool(reason)


def test_where_less_is_better_all_demands_turn_round():
    down = (COLUMNS[2],)
    rising = column_faults(down, control(0), {"copy": control(100)}, steps(25, 50, 75))
    assert not rising
    falling = column_faults(down, control(0), {"copy": control(100)}, steps(25, 20, 75))
    assert "does not fall steadily" in falling["ter"]
    above = {"copy": control(100), "x": control(40)}
    assert "not below x 40.0" in column_faults(down, control(0), above, steps(25, 50, 75))["ter"]


def test_room_is_counted_in_intervals_of_the_distance():
    """The draws of the second row are its value and twice the noise: a width of 3.92."""
    unsure = {"copy": control(0, 1.0)}
    enough = column_faults(COLUMNS[:1], control(12), unsure, {})
    assert not enough
    short = column_faults(COLUMNS[:1], control(11), unsure, {})
    assert "less than 3 times the interval" in short["bleu"]


def test_undirected_columns_and_no_sentinels_pass():
    assert not column_faults(COLUMNS[3:], control(1), {"copy": control(2)}, {})
    assert not column_faults(COLUMNS[:1], control(1), {}, {})
