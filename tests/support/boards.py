"""Boards for the tests of this folder: one small and readable, and any that hypothesis can think
of.
"""

import math

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from parabench.contracts import Column, Score
from parabench.report.board import Leaderboard, LeaderboardRow

PATIENT = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
COLUMNS = (
    Column("ibleu", "up", "both", 1),
    Column("bleu", "up", "reference", 1),
    Column("self-bleu", "down", "source", 1),
    Column("rouge1-p", "up", "reference", 3),
    Column("length", "none", "output", 2),
)


def cells(*values: float) -> dict[str, Score]:
    pairs = zip(COLUMNS, values, strict=True)
    return {
        column.name: Score(value, value - 1, value + 1.5, f"{column.name}|seed:0")
        for column, value in pairs
    }


def small(**changes: object) -> Leaderboard:
    rows = (
        LeaderboardRow("copy", None, cells(20.5, 50.25, 100, 0.75, 1), 500, 500, True),
        LeaderboardRow("softprompt-111", (1, 2), cells(30.25, 40, 24, 0.5, 1.1), 500, 500, False),
        LeaderboardRow("bart", (1, 2), cells(29.5, 41, 27, 0.5, 1.2), 500, 500, False),
        LeaderboardRow("zeroshot", None, cells(99, 1, 2, 0.1, math.nan), 312, 500, False),
    )
    content = {
        "title": "parabench mini",
        "note": "Proves the pipeline.",
        "headline": "ibleu",
        "columns": COLUMNS,
        "rows": rows,
        "invalid": {"bleu": "copy beats human"},
        "signatures": {"bleu": "bleu|refs:4|tok:13a", "ibleu": "ibleu|alpha:0.8"},
        "provenance": {
            "versions": {"torch": "2.13.0"},
            "seed": 0,
            "command": "parabench run --suite mini",
        },
    }
    return Leaderboard(**{**content, **changes})


HOSTILE = st.one_of(
    st.text(st.characters(), max_size=24),
    st.lists(
        st.sampled_from("|`*_<>[]()\\!#&$~=+-@:.\n\r\t\x00\x1b\u202e\u2028 a1www:/;"), max_size=24
    ).map("".join),
    st.sampled_from(
        [
            "a|b",
            "[bold red]x[/]",
            "[/]",
            "\\",
            "\\|",
            "`a|b`",
            "<script>alert(1)</script>",
            "![x](http://x.y/z)",
            "=1+1",
            "\x1b[31mred",
            "&lt;",
            "1. item",
            "# heading",
            "www.example.com",
            "https://example.com",
            "someone@example.com",
            "~~gone~~",
            "| --- |",
            "***",
        ]
    ),
)
NUMBERS = st.one_of(st.floats(), st.floats(-200, 200))


@st.composite
def hostile_boards(draw: st.DrawFn) -> Leaderboard:
    names = draw(st.lists(HOSTILE.filter(str.strip), min_size=1, max_size=4, unique=True))
    kinds = [
        (
            draw(st.sampled_from(["up", "down", "none"])),
            draw(st.sampled_from(["reference", "source"])),
        )
        for _ in names
    ]
    columns = tuple(
        Column(name, better, against) for name, (better, against) in zip(names, kinds, strict=True)
    )
    systems = draw(st.lists(HOSTILE, min_size=1, max_size=4, unique=True))
    rows = tuple(_row(draw, system, names) for system in systems)
    text = draw(HOSTILE)
    return Leaderboard(
        title=draw(HOSTILE),
        note=text,
        headline=names[0],
        columns=columns,
        rows=rows,
        invalid={names[-1]: text},
        signatures={names[0]: text},
        provenance={"versions": {text: draw(NUMBERS)}, "command": draw(HOSTILE)},
    )


def _row(draw: st.DrawFn, system: str, names: list[str]) -> LeaderboardRow:
    scores = {
        name: Score(draw(NUMBERS), draw(NUMBERS), draw(NUMBERS), draw(HOSTILE)) for name in names
    }
    scored = draw(st.integers(0, 5))
    return LeaderboardRow(
        system,
        draw(st.sampled_from([None, (1, 1), (2, 5)])),
        scores,
        scored,
        5,
        draw(st.booleans()),
    )
