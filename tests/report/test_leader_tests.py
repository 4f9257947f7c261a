"""The tests of the first system, as lines under the table of the terminal."""

import io

from rich.console import Console

from parabench.report.board import Comparison
from parabench.report.leader_tests import leader_test_lines
from parabench.report.terminal import print_board
from tests.support.boards import small

TESTS = (
    # Named the other way round: seen from the first system signs and ends change.
    Comparison("bart", "softprompt-111", -0.75, -2.0, 0.5, 0.2, "ibleu"),
    Comparison("copy", "softprompt-111", -9.75, -12.0, -7.5, 0.00001, "ibleu"),
    Comparison("softprompt-111", "bart", 5.0, 4.0, 6.0, 0.001, "bleu"),
    Comparison("bart", "copy", 9.0, 8.0, 10.0, 0.001, "ibleu"),
)


def test_the_first_system_against_the_next_and_controls():
    assert leader_test_lines(small(comparisons=TESTS)) == [
        "softprompt-111 - copy  +9.8 [+7.5, +12.0]  p < 0.0001",
        "softprompt-111 - bart  +0.8 [-0.5, +2.0]  p 0.2000",
    ]


def test_without_tests_or_ranks_there_is_no_line():
    undefined = Comparison("bart", "softprompt-111", 0.0, 0.0, 0.0, float("nan"), "ibleu")
    assert leader_test_lines(small()) == []
    assert leader_test_lines(small(comparisons=(undefined,))) == []
    assert leader_test_lines(small(comparisons=TESTS, headline="gone")) == []


def test_on_a_pipe_lines_fit_and_end_in_no_blank():
    for width in (80, 100, 160):
        stream = io.StringIO()
        print_board(small(comparisons=TESTS), Console(file=stream, width=width))
        text = stream.getvalue()
        assert "\x1b" not in text
        assert "adjusted p" in text
        assert "30.2 [29.2, 31.8]" in text
        for line in text.splitlines():
            assert len(line) <= width
            assert line == line.rstrip()
