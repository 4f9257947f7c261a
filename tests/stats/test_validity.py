"""The rule, on the values that real people and sentinels have on real news (498 sentences)."""

from __future__ import annotations

from math import nan

import pytest

from parabench.contracts import Column
from parabench.stats.validity import columns_beaten_by_sentinels, invalid_reason

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
