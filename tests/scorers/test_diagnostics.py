"""Side measures by hand-worked outputs."""

from __future__ import annotations

import pytest
from parabench.scorers import diagnostics

from parabench.contracts import Example
from tests.support.worlds import SETTING, check_contract, score

SCORER = diagnostics.build("", SETTING)
SOURCE = "The old man walked slowly to the market this morning."


def flags(text: str, source: str = SOURCE) -> set[str]:
    """The shares that are 100 % for one output."""
    got = score(SCORER, [Example("a", source, ())], [text])
    return {name for name, value in got.items() if value == 100 and not name.startswith("distinct")}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("This morning an elderly man went slowly to market.", set()),
        (SOURCE, {"copies", "near-copies"}),
        ("the OLD man  walked slowly to the market, this morning", {"copies", "near-copies"}),
        ("The old man walked slowly to the market this mornin.", {"near-copies"}),
        ("", {"empty", "failures", "length-off"}),
        (" ...!", {"empty", "failures", "length-off"}),
        (f"{SOURCE} {SOURCE}", {"echo", "run-on", "failures", "repetition", "near-copies"}),
        ("Paraphrase: An elderly man went to market.", {"instruction", "failures"}),
        ('"Paraphrased sentence: An elderly man went.', {"instruction", "failures"}),
        ("Sure, an elderly man went slowly to market.", {"instruction", "failures"}),
        ("Here is a paraphrase of it: A man went to market.", {"instruction", "failures"}),
        ("Answer the old man: he walked there this morning.", set()),
        ("An old man went to market this morning. He was slow.", set()),
        (
            "An old man went to market. He was slow. The cow he bought there died.",
            {"run-on", "failures"},
        ),
        (
            "This morning an old man went slowly to market, "
            "the market being a long way off, in fact.",
            set(),
        ),
        ("a man a man a man a man a man", {"repetition"}),
        ("Man walks.", {"length-off"}),
    ],
)
def test_what_is_wrong_with_an_output(text, expected):
    assert flags(text) == expected


def test_what_the_source_itself_does_is_no_failure():
    assert flags("He said: no. Then he left.", "No, he said. He left then.") == set()
    assert "instruction" not in flags("Answer: seven.", "Output: 7.")
    assert "echo" not in flags("Yes, I know that man.", "Yes.")


def test_length_and_distinctness():
    examples = [Example("a", "a b c d", ()), Example("b", "a b c d e f", ())]
    got = score(SCORER, examples, ["a a b b", "x"])
    assert got["length"] == pytest.approx(5 / 10)
    assert got["distinct1"] == pytest.approx(100 * (2 / 4 + 1) / 2)
    assert got["distinct2"] == pytest.approx(100 * (3 / 3 + 1) / 2)


def test_nothing_here_ranks():
    assert {column.better for column in SCORER.columns} == {"none"}


def test_contract():
    check_contract(SCORER)
