"""Who may rank, on small boards: each demand of the rule fails by itself and says so."""

from __future__ import annotations

import numpy as np
import pytest

from parabench.contracts import Column, Example, Score
from parabench.report import board, cautions, notes, rules, verdict
from parabench.report.output_columns import OUTPUT_SCORER, OutputScorer, output_statistics
from parabench.report.results import ScorerResults
from tests.report.test_assemble import COUNT, control_outputs, draws, made, rows, run_results
from tests.support.boards import small


def board_of(systems: dict[str, np.ndarray], *controls: str, **changes) -> board.Leaderboard:
    """A board of rows whose values are given; ``controls`` of them are human and sentinels."""
    statistics = {name: rows(values) for name, values in systems.items()}
    return made(run_results(statistics, outputs=control_outputs(*controls), **changes))


def ranks(found: board.Leaderboard) -> dict[str, tuple[int, int] | None]:
    return {row.system: row.rank for row in found.rows}


HUMAN, LOW = draws(1, 10), draws(2, -10)


# ---- columns


def test_a_distance_that_may_be_none_is_not_valid():
    """Means of 120 values of deviation 1, 0.05 apart: the point is above, the interval is not."""
    close = HUMAN - 0.05 + draws(3)
    found = board_of({"human": HUMAN, "copy": close, "a": draws(4)}, "human", "copy")
    assert close.mean() < HUMAN.mean()
    assert "is not surely below human" in found.invalid["quality"]
    assert ranks(found)["a"] is None


def test_too_little_room_for_systems_is_not_valid():
    """A distance of 0.5 +- 0.18 is real, and less than three widths of 0.36."""
    near = HUMAN - 0.5 + (draws(3) - draws(3).mean())
    found = board_of({"human": HUMAN, "copy": near, "a": draws(4)}, "human", "copy")
    assert "less than 3 times the interval" in found.invalid["quality"]
    wide = board_of({"human": HUMAN, "copy": HUMAN - 5 + draws(3), "a": draws(4)}, "human", "copy")
    assert not wide.invalid


def test_half_of_people_must_be_above_every_sentinel():
    """Half people (10) and half empty (-10) is 0, and a sentinel has 2."""
    systems = {"human": HUMAN, "empty": LOW, "generic": draws(3, 2), "a": draws(4, 5)}
    found = board_of(systems, "human", "empty", "generic")
    assert "half of their answers replaced by empty" in found.invalid["quality"]
    assert "not above generic" in found.invalid["quality"]


def test_a_column_without_human_is_not_checked_and_ranks_nobody():
    found = board_of({"copy": LOW, "a": draws(4), "b": draws(5, 3)}, "copy")
    assert not found.invalid
    assert ranks(found) == {"copy": None, "a": None, "b": None}
    (line, *_) = verdict.verdict(found)
    assert "No winner can be named: no text of people is in the table" in line
    assert "--min-references 2" in line


# ---- systems


@pytest.mark.parametrize("gates", [(), ("change",), ("change", "not-measured")])
def test_a_gate_must_be_passed_beside_the_headline(gates):
    """One system is far above the control in the headline, and beside it in the gate."""
    ones = np.ones(COUNT)
    statistics = {
        "human": np.column_stack([HUMAN, HUMAN, ones]),
        "copy": np.column_stack([LOW, LOW, ones]),
        "both": np.column_stack([draws(3, 5), draws(4, 5), ones]),
        "one": np.column_stack([draws(5, 7), LOW + 0.01 * draws(6), ones]),
    }
    suite = {"title": "T", "note": "", "headline": "quality", "gates": list(gates)}
    found = made(run_results(statistics, outputs=control_outputs("human", "copy"), suite=suite))
    told = "a system must be above every control in change, too" in notes.reader_notes(found)[0]
    assert told == bool(gates)
    if not gates:
        assert ranks(found)["one"] == (1, 1)
        assert ranks(found)["both"] == (2, 2)
        return
    assert ranks(found)["one"] is None
    assert ranks(found)["both"] == (1, 1)
    assert "change is not significantly better than the control copy" in found.unranked["one"]


@pytest.mark.parametrize(
    ("gates", "expected"), [(["change"], "change"), (["absent"], "quality"), ([], "quality")]
)
def test_without_the_headline_a_gate_ranks(gates, expected):
    """Scorers were chosen by hand: the suite's gate says more than the first column does."""
    statistics = {"human": rows(HUMAN), "copy": rows(LOW), "a": rows(draws(3, 5))}
    suite = {"title": "T", "note": "", "headline": "not-measured", "gates": gates}
    found = made(run_results(statistics, outputs=control_outputs("human", "copy"), suite=suite))
    assert found.headline == expected


def test_noise_that_is_not_above_the_best_sentinel_has_no_rank():
    systems = {
        "human": HUMAN,
        "copy": LOW,
        "shuffled": draws(6, 0),
        "noise": draws(7, 0.02),
        "good": draws(8, 5),
    }
    found = board_of(systems, "human", "copy", "shuffled")
    assert ranks(found) | {"human": None} == {
        "human": None,
        "copy": None,
        "shuffled": None,
        "noise": None,
        "good": (1, 1),
    }
    assert "not significantly better than the control shuffled" in found.unranked["noise"]
    assert any("noise has no rank" in line for line in cautions.cautions(found))


def test_a_system_below_the_best_sentinel_has_no_rank():
    systems = {"human": HUMAN, "copy": draws(6, 0), "bad": draws(7, -5), "good": draws(8, 5)}
    found = board_of(systems, "human", "copy")
    assert ranks(found)["bad"] is None
    assert ranks(found)["good"] == (1, 1)


def test_a_board_with_reasons_reads_back_as_it_was():
    found = board_of({"copy": LOW, "a": draws(4)}, "copy")
    assert found.unranked
    assert board.board_from_json(board.board_to_json(found)).unranked == found.unranked


# ---- outputs

WORDS = [f"w{number}" for number in range(5000)]
SOURCES = tuple(Example(str(n), f"s{n}", (f"r{n} x y z",)) for n in range(COUNT))


def own_words(n: int) -> str:
    return " ".join(WORDS[10 * n : 10 * n + 10])


def recycled(texts: list[str]) -> float:
    rows_of_texts = output_statistics(SOURCES, [[text] for text in texts])
    return float(OutputScorer().combine(rows_of_texts)[0])


def test_recycled_counts_new_fourgrams_that_other_outputs_hold():
    """Ten own words have 7 4-grams; six shared ones before them 3 shared and 3 mixed ones."""
    assert recycled([own_words(n) for n in range(COUNT)]) == 0
    stuffed = [f"a b c d e f {own_words(n)}" for n in range(COUNT)]
    assert recycled(stuffed) == pytest.approx(100 * 3 / 13)
    repeats = [f"{own_words(n)} {own_words(n)}" for n in range(COUNT)]
    assert recycled(repeats) == 0  # of itself only
    assert recycled(["", *[own_words(n) for n in range(1, COUNT)]]) == 0


def test_what_the_source_has_is_not_recycled():
    examples = [Example(str(n), "a b c d e", ("r",)) for n in range(4)]
    found = output_statistics(examples, [["A b c, d e!"]] * 4)
    assert found[:, :2].tolist() == [[0, 0]] * 4


def test_people_are_compared_turn_by_turn():
    """Both turns of an example may be alike: that is one person quoting nobody."""
    found = output_statistics(SOURCES[:2], [["a b c d", "a b c d"], ["e f g h", "a b c d"]])
    assert found[:, :2].tolist() == [[0.5, 1], [0.5, 1]]


def test_a_system_that_repeats_phrases_has_no_rank():
    texts = {
        "human": [own_words(n) for n in range(COUNT)],
        "stuffer": [f"a b c d e f {own_words(n)}" for n in range(COUNT)],
        "good": [own_words(n + 200) for n in range(COUNT)],
    }
    values = {"human": HUMAN, "copy": LOW, "stuffer": draws(4, 6), "good": draws(5, 5)}
    results = run_results(
        {name: rows(one) for name, one in values.items()}, outputs=control_outputs("human", "copy")
    )
    of_outputs = {
        name: output_statistics(SOURCES, [[text] for text in several])
        for name, several in texts.items()
    }
    scorer = OutputScorer()
    results.measured[OUTPUT_SCORER] = ScorerResults(scorer, str(scorer.signature), of_outputs)
    found = made(results)
    assert ranks(found)["stuffer"] is None
    assert ranks(found)["good"] == (1, 1)
    assert "23 % of the new 4-grams" in found.unranked["stuffer"]
    assert rules.invalid_columns(results) == {}


def test_outputs_equal_to_a_reference_are_counted_and_told():
    found = output_statistics(SOURCES[:3], [["R0, x y z."], ["r0 x y z"], [""]])
    assert OutputScorer().combine(found)[1] == pytest.approx(100 / 3)
    plain = small()
    column = Column("ref-copies", "none", "reference", 1)
    told = [
        board.replace(row, scores={**row.scores, "ref-copies": Score(41.0, 35.0, 47.0, "")})
        for row in plain.rows
        if row.system == "bart"
    ]
    marked = board.replace(plain, rows=tuple(told), columns=(*plain.columns, column))
    (line,) = [one for one in cautions.cautions(marked) if "ref-copies" in one]
    assert line.startswith("bart wrote a reference itself in 41 % of its outputs")
