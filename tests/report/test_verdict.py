"""The verdict says what the tests say, on boards of every kind."""

from __future__ import annotations

import io
import math

import pytest
from rich.console import Console

from parabench.contracts import Column, Score
from parabench.report.board import Comparison, Leaderboard, LeaderboardRow
from parabench.report.cautions import cautions
from parabench.report.leaderboard import board_to_markdown
from parabench.report.terminal import print_board
from parabench.report.verdict import verdict

COLUMNS = (
    Column("ibleu", "up", "both", 1),
    Column("copies", "none", "source", 1),
    Column("failures", "none", "source", 1),
    Column("bleu", "up", "reference", 1),
)


def row(system, value, rank=None, control=False, copies=0.0, failures=0.0, scored=100, **facts):
    numbers = {"ibleu": value, "copies": copies, "failures": failures, "bleu": 40.0}
    scores = {name: Score(v, v - 1, v + 1, name) for name, v in numbers.items()}
    return LeaderboardRow(system, rank, scores, scored, 100, control, **facts)


def compared(first, second, difference, p, column="ibleu"):
    return Comparison(first, second, difference, difference - 1, difference + 1, p, column)


HUMAN = row("human", 50.0, control=True)


def board(*rows, comparisons=(), **changes) -> Leaderboard:
    content = {
        "title": "T",
        "note": "",
        "headline": "ibleu",
        "columns": COLUMNS,
        "rows": rows,
        "invalid": {},
        "signatures": {},
        "provenance": {},
        "comparisons": tuple(comparisons),
    }
    return Leaderboard(**{**content, **changes})


def said(found: Leaderboard) -> str:
    return " ".join([*verdict(found), *cautions(found)])


def test_one_system_leads():
    found = board(
        row("a", 30.0, (1, 1)),
        row("b", 20.0, (2, 2)),
        HUMAN,
        comparisons=[compared("a", "b", 10.0, 0.004), compared("a", "human", -20.0, 0.0001)],
    )
    assert verdict(found) == [
        "a leads with 30.0 ibleu, ahead of the other system (p = 0.004).",
        "People reach 50.0, 20.0 better (p < 0.001).",
    ]


def test_a_leader_that_is_not_told_from_all_others():
    """a beats nobody for certain, b is beaten by none but c is by b: a alone may be first."""
    found = board(
        row("a", 30.0, (1, 3)),
        row("b", 29.0, (2, 3)),
        row("c", 20.0, (2, 3)),
        comparisons=[compared("a", "b", 3.0, 0.01), compared("a", "c", 10.0, 0.2)],
    )
    assert "but these examples do not tell it from c." in verdict(found)[0]


def test_a_difference_whose_interval_holds_zero_is_none():
    found = board(
        row("a", 30.0, (1, 2)),
        row("b", 29.5, (1, 2)),
        comparisons=[Comparison("a", "b", 0.5, -0.1, 1.1, 0.01, "ibleu")],
    )
    assert "do not tell the two systems apart: a and b (30.0 to 29.5 ibleu)" in said(found)


def test_some_share_the_lead():
    found = board(row("a", 30.0, (1, 2)), row("b", 29.0, (1, 2)), row("c", 20.0, (3, 3)))
    assert verdict(found)[0] == (
        "a and b share the lead (30.0 to 29.0 ibleu): these examples do not tell them apart."
    )


def test_many_names_are_counted():
    found = board(*(row(f"s{n}", 30.0 - n, (1, 9)) for n in range(9)))
    assert "the 9 systems apart: s0, s1, s2, s3 and 5 more (30.0 to 22.0 ibleu)" in said(found)


def test_one_system_alone():
    assert verdict(board(row("a", 30.0, (1, 1)), HUMAN))[0] == (
        "a reaches 30.0 ibleu; there is no second system to compare it with."
    )


def test_only_controls():
    assert verdict(board(HUMAN)) == ["No system is compared here, only controls."]


def test_nothing_ranks_where_the_headline_is_not_valid():
    found = board(row("a", 30.0), HUMAN, invalid={"ibleu": "copy 60.0 is not below human 50.0"})
    assert verdict(found) == [
        "No winner can be named: ibleu does not rank here, since copy 60.0 is not below human 50.0."
    ]


def test_no_direction_and_no_headline():
    undirected = (Column("ibleu", "none", "both", 1), *COLUMNS[1:])
    assert "neither direction of ibleu" in said(board(row("a", 30.0), columns=undirected))
    assert "Nothing was measured" in said(board(row("a", 30.0), columns=COLUMNS[1:]))


def test_partial_rows_do_not_win():
    found = board(row("a", 99.0, scored=12), HUMAN)
    assert "no system has a score on all examples" in verdict(found)[0]
    assert "a has answers to 12 of 100 examples only." in cautions(found)


def test_people_may_be_as_good_or_worse():
    tied = [compared("human", "a", 0.5, 0.4)]
    found = board(row("a", 49.5, (1, 1)), HUMAN, comparisons=tied)
    assert verdict(found)[1] == "People reach 50.0: a cannot be told from them (p = 0.4)."
    beaten = [compared("a", "human", 10.0, 0.0002)]
    found = board(row("a", 60.0, (1, 1)), HUMAN, comparisons=beaten)
    assert "People reach 50.0, 10.0 worse than a (p < 0.001): look at" in verdict(found)[1]


def test_lower_is_better():
    columns = (Column("ibleu", "down", "both", 1), *COLUMNS[1:])
    tests = [compared("a", "b", -10.0, 0.001), compared("a", "human", 5.0, 0.001)]
    rows = row("a", 55.0, (1, 1)), row("b", 65.0, (2, 2)), HUMAN
    found = board(*rows, comparisons=tests, columns=columns)
    assert verdict(found)[0].startswith("a leads with 55.0 ibleu")
    assert verdict(found)[1] == "People reach 50.0, 5.0 better (p = 0.001)."


def test_without_people_no_column_is_checked():
    assert "no column could be checked" in said(board(row("a", 30.0, (1, 1))))


def test_a_control_above_all_systems():
    found = board(row("a", 30.0, (1, 1)), row("copy", 40.0, control=True), HUMAN)
    assert "The control copy does as well as every system, without paraphrasing." in said(found)
    below = board(row("a", 30.0, (1, 1)), row("copy", 20.0, control=True), HUMAN)
    assert "without paraphrasing" not in said(below)


def test_seeds_leaks_copies_and_invalid_columns():
    found = board(
        row("a", 30.0, (1, 2), copies=12.0, failures=3.0, seeds=1, seen="7/100"),
        row("b", 29.0, (1, 2), seeds=3, seen="clean"),
        HUMAN,
        invalid={"bleu": "copy beats human"},
        main=("ibleu", "bleu"),
    )
    assert cautions(found) == [
        "a was trained on some of these examples: seen 7/100.",
        "Of the outputs of a, 12 % copy the source and 3 % fail "
        "(empty, echo, talk about the task, run on).",
        "Not valid here, as some control does as well as people: bleu (⚠).",
        "a: one training seed, another may change the order.",
    ]


def test_clean_outputs_are_said_to_be_clean():
    assert "Its outputs are hardly ever copies or failures" in said(board(row("a", 30.0, (1, 1))))


def test_undefined_values_say_nothing():
    found = board(row("a", math.nan, (1, 1)), row("human", math.nan, control=True))
    assert "People reach" not in said(found)


@pytest.mark.parametrize("width", [40, 80, 160])
def test_the_verdict_is_first_and_the_headline_fits(width):
    rows = [row(f"softprompt-{n}", 30.0 - n, (1, 9), seeds=1, seen="clean") for n in range(9)]
    found = board(*rows, HUMAN, main=("ibleu", "bleu", "copies", "failures"))
    stream = io.StringIO()
    print_board(found, Console(file=stream, width=width))
    lines = stream.getvalue().splitlines()
    text = " ".join(lines)
    assert max(map(len, lines)) <= width
    assert all(line == line.rstrip() for line in lines)
    assert text.index("These examples do not tell") < text.index("rank")
    assert "30.0 [29.0, 31.0]" in text
    assert "\x1b" not in stream.getvalue()


def test_facts_that_all_rows_share_are_one_line():
    rows = [row(f"s{n}", 30.0 - n, (1, 9), seeds=1, seen="clean") for n in range(3)]
    stream = io.StringIO()
    print_board(board(*rows, HUMAN), Console(file=stream, width=100))
    assert "All rows: n 100, seeds 1*, seen clean." in stream.getvalue()


def test_texts_from_a_file_are_described_by_the_file():
    facts = {
        "decoding": {"max_new_tokens": 64, "num_beams": 1},
        "runtime": {"seed": 0},
        "system mine": "file|sha256:0123456789abcdef",
    }
    alone = board_to_markdown(board(row("mine", 30.0, (1, 1)), HUMAN, provenance=facts))
    assert "mine read from a file with the SHA\\-256 0123456789ab" in alone.replace("-", "\\-") or (
        "mine read from a file with the SHA-256 0123456789ab" in alone
    )
    assert "greedy" not in alone
    assert "max_new_tokens" not in alone.replace("\\", "")
    both = board(row("mine", 30.0, (1, 2)), row("bart", 29.0, (1, 2)), provenance=facts)
    assert "greedy, at most 64 new tokens" in board_to_markdown(both)
    controls = board(HUMAN, provenance=facts)
    assert "greedy" not in board_to_markdown(controls)
