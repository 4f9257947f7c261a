"""The one line of progress: what counts as done, and the time left."""

import re
import subprocess
import sys

from parabench.render.progress import OverallLines, OverallProgress

STAGES = [{"bart": 1.0}, {"copy": 1.0}, {"bleu of bart": 1.0, "bleu of copy": 1.0}]


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_each_kind_of_work_counts_as_much_as_any():
    clock = Clock()
    overall = OverallProgress(STAGES, clock)
    assert overall.seconds_left() is None
    assert overall.advance("bart", 0, 40) == "1/3 bart 0/40"
    assert (overall.share, overall.seconds_left()) == (0, None)
    clock.now = 10.0
    overall.advance("bart", 20, 40)
    assert overall.share == 0.125
    assert overall.seconds_left() == 70.0
    overall.advance("bart", 40, 40)
    overall.advance("bleu of bart", 10, 40)
    assert overall.share == (2 + 0.25) / 4
    overall.advance("bleu of bart", 40, 40)
    overall.advance("bleu of copy", 40, 40)
    assert (overall.share, overall.seconds_left()) == (1.0, 0.0)


def test_what_an_earlier_run_did_does_not_shorten_the_estimate():
    clock = Clock()
    overall = OverallProgress(STAGES, clock)
    overall.advance("copy", 20, 40)
    assert overall.share == 1.5 / 4
    assert overall.seconds_left() is None
    clock.now = 4.0
    overall.advance("copy", 40, 40)
    assert overall.seconds_left() == 4.0 * 0.5 / 0.125


def test_a_kind_counts_by_its_weight():
    overall = OverallProgress([{"bart": 3.0}, {"copy": 0.5}, {"bleu of bart": 1.0}], Clock())
    overall.advance("bart", 20, 40)
    assert overall.share == 1.5 / 4.5
    overall.advance("bleu of bart", 20, 40)
    assert overall.share == (3 + 0.5 + 0.5) / 4.5


def test_going_through_the_stages_again_takes_nothing_back():
    overall = OverallProgress(STAGES, Clock())
    overall.advance("copy", 40, 40)
    overall.advance("bart", 40, 40)
    assert overall.share == 0.5
    assert overall.advance("unheard", 1, 0).startswith("1/3 unheard")


def test_without_a_terminal_a_line_is_printed_every_30_seconds(capsys):
    clock = Clock()
    lines = OverallLines(OverallProgress(STAGES, clock))
    for clock.now in (1.0, 20.0, 31.0, 45.0, 61.0):
        lines("bart", int(clock.now), 100)
    printed = capsys.readouterr().err.splitlines()
    assert [line.partition(", about")[0] for line in printed] == [
        "8%, 1/3 bart 31/100",
        "15%, 1/3 bart 61/100",
    ]
    # from 1 to 61 % of the first of four kinds in 60 s: 339 more at that rate
    assert printed[1].endswith(", about 0:05:39 left")


def test_one_line_fits_80_columns_and_short_work_pipes_nothing():
    program = (
        "from rich.console import Console; import parabench.render.progress as p, sys\n"
        "real = p.Console\n"
        "p.Console = lambda **k: real(**k, width=80, force_terminal=sys.argv[1] == 'tty')\n"
        "long = 'a-system-with-a-very-long-name-indeed' * 2\n"
        "with p.overall_progress([{long: 1}, {'b': 1}]) as done:\n"
        "    done(long, 1, 4)\n"
        "    done('b', 4, 4)\n"
    )
    outputs = {}
    for kind in ("tty", "pipe"):
        made = subprocess.run(
            [sys.executable, "-c", program, kind], capture_output=True, text=True, check=True
        )
        assert made.stdout == ""
        outputs[kind] = made.stderr
    assert outputs["pipe"] == ""
    assert "100 %" in outputs["tty"]
    assert "2/2 b 4/4" in outputs["tty"]
    lines = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", outputs["tty"]).replace("\r", "\n").splitlines()
    assert max(map(len, lines)) <= 80
