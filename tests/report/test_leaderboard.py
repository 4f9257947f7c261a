"""Every format is read back by somebody else's reader: markdown-it-py, csv, pandas, json, rich."""

import csv
import io
import json
import math
import unicodedata
from dataclasses import replace

import pandas
import pytest
from hypothesis import given
from markdown_it import MarkdownIt
from rich.console import Console

from parabench.contracts import Column, UserError
from parabench.render.escape import csv_text, latex, markdown, markdown_code, visible
from parabench.report import board as boards
from parabench.report import cells
from parabench.report.board import board_from_json, board_to_json
from parabench.report.latex import to_latex
from parabench.report.leaderboard import board_to_csv, board_to_markdown
from parabench.report.notes import interval_note
from parabench.report.page import page_html
from parabench.report.terminal import print_board
from tests.support.boards import COLUMNS, HOSTILE, PATIENT, hostile_boards, small
from tests.support.pages import page

READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def shown(inline) -> str:
    """What a reader sees of an inline token; fails on anything that is not text."""
    assert {child.type for child in inline.children or []} <= {
        "text",
        "text_special",
        "code_inline",
        "strong_open",
        "strong_close",
    }
    return "".join(child.content for child in inline.children or [])


def tables(text: str) -> list[list[list[str]]]:
    found: list[list[list[str]]] = []
    for place, token in enumerate(tokens := READER.parse(text)):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type in ("th_open", "td_open"):
            found[-1][-1].append(shown(tokens[place + 1]))
    return found


def terminal(board, width: int = 200, force_terminal: bool = True) -> str:
    stream = io.StringIO()
    print_board(board, Console(file=stream, width=width, force_terminal=force_terminal))
    return stream.getvalue()


def test_rows_stand_best_first_and_partial_runs_last():
    assert [row.system for row in boards.ordered_rows(small())] == [
        "softprompt-111",
        "bart",
        "copy",
        "zeroshot",
    ]
    assert [row.system for row in boards.ordered_rows(small(headline="self-bleu"))][:2] == [
        "softprompt-111",
        "bart",
    ]


def test_undefined_headline_stands_after_every_defined_one():
    rows = [
        row.system
        for row in boards.ordered_rows(small(headline="length", rows=tuple(small().rows)))
    ]
    assert rows == ["bart", "softprompt-111", "copy", "zeroshot"]


def test_main_columns_begin_with_the_headline():
    assert [column.name for column in boards.main_columns(small())] == [
        "ibleu",
        "bleu",
        "self-bleu",
        "length",
    ]


def test_main_columns_are_those_named_and_one_of_each_scorer():
    alike = {"ibleu": "one", "self-bleu": "one", "bleu": "two", "length": "three"}
    board = small(main=("bleu",), signatures=alike)
    assert [column.name for column in boards.main_columns(board)] == ["ibleu", "bleu", "length"]


def test_every_scorer_has_a_main_column_before_any_has_two():
    names = [f"{scorer}{number}" for scorer in "abc" for number in range(6)]
    columns = tuple(Column(name, "up", "reference") for name in names)
    board = small(
        columns=columns, headline="c2", signatures={name: name[0] for name in names}, invalid={}
    )
    assert [c.name for c in boards.main_columns(board)] == [
        "c2",
        "a0",
        "a1",
        "a2",
        "a3",
        "a4",
        "b0",
        "c0",
    ]


def test_markdown_of_a_small_board():
    first, second = tables(board_to_markdown(small()))
    assert first[0] == [
        "rank",
        "system",
        "ibleu ↑ (source and references)",
        "bleu ↑ ⚠ (references)",
        "self-bleu ↓ (source)",
        "length (output alone)",
        "n",
    ]
    assert first[1] == [
        "1-2",
        "softprompt-111",
        "30.2 [29.2, 31.8]",
        "40.0 [39.0, 41.5]",
        "24.0 [23.0, 25.5]",
        "1.10 [0.10, 2.60]",
        "500",
    ]
    assert first[3][:2] == ["", "copy †"]
    assert first[4] == [
        "",
        "zeroshot",
        "99.0 [98.0, 100.5]",
        "1.0 [0.0, 2.5]",
        "2.0 [1.0, 3.5]",
        "–",
        "312/500",
    ]
    assert second[0] == ["rank", "system", "rouge1-p ↑ (references)", "n"]


def test_markdown_names_what_does_not_rank_and_how_it_was_made():
    text = board_to_markdown(small())
    assert "> Proves the pipeline." in text
    assert "**bleu does not rank here:** copy beats human" in text
    assert "- bleu: `bleu|refs:4|tok:13a`" in text
    assert "- versions.torch: `2.13.0`" in text


@PATIENT
@given(hostile_boards())
def test_markdown_shows_foreign_text_and_nothing_else(board):
    text = board_to_markdown(board)
    inlines = [token for token in READER.parse(text) if token.type == "inline"]
    texts = [shown(token) for token in inlines]
    assert texts[0] == visible(board.title).strip()
    systems = [row[1] for row in tables(text)[0][1:]]
    expected = [
        visible(row.system).strip() + (" †" if row.control else "")
        for row in boards.ordered_rows(board)
    ]
    assert systems == [name.strip() for name in expected]
    assert all(len(row) == len(table[0]) for table in tables(text) for row in table)
    for column in board.columns:
        assert any(
            visible(cells.column_label(board, column)).strip() in head
            for table in tables(text)
            for head in table[0]
        )


@PATIENT
@given(HOSTILE)
def test_markdown_text_renders_as_itself(text):
    for before, after in (("", ""), ("# ", ""), ("- ", ""), ("> ", ""), ("a ", " b")):
        inlines = [
            token
            for token in READER.parse(before + markdown(text) + after)
            if token.type == "inline"
        ]
        outside = ("a ", " b") if before == "a " else ("", "")
        expected = (outside[0] + visible(text).strip() + outside[1]).strip()
        assert " ".join(shown(token) for token in inlines) == (expected.replace("a  b", "a  b"))


@PATIENT
@given(HOSTILE)
def test_markdown_code_renders_as_itself(text):
    (inline,) = (
        token for token in READER.parse("x " + markdown_code(text) + " y") if token.type == "inline"
    )
    codes = [child.content for child in inline.children if child.type == "code_inline"]
    assert codes == ([visible(text)] if visible(text) else [])


def test_addresses_do_not_become_links_on_github():
    assert (
        markdown("see https://x.y or www.x.y or a@x.y") == r"see https\://x.y or www\.x.y or a\@x.y"
    )


def test_csv_reads_back_equal_in_pandas_without_options():
    frame = pandas.read_csv(io.StringIO(board_to_csv(small()))).set_index("system")
    for row in small().rows:
        for name, score in row.scores.items():
            got = frame.loc[row.system, [name, f"{name}.low", f"{name}.high"]].tolist()
            assert got == pytest.approx(
                [score.value, score.low, score.high], abs=0, rel=0, nan_ok=True
            )
            assert frame.loc[row.system, f"{name}.signature"] == score.signature
    assert frame["rank.high"].tolist()[:2] == [2, 2]
    assert frame["control"].tolist() == [False, False, True, False]


@PATIENT
@given(hostile_boards())
def test_csv_keeps_numbers_and_protects_text(board):
    header, *lines = csv.reader(io.StringIO(board_to_csv(board)))
    frame = pandas.read_csv(
        io.StringIO(board_to_csv(board)), header=None, skiprows=1, skip_blank_lines=False
    )
    assert frame.shape == (len(board.rows), len(header))
    for line, row in zip(lines, boards.ordered_rows(board), strict=True):
        numbers = line[6 : 6 + 3 * len(board.columns)]
        scores = [row.scores[column.name] for column in board.columns]
        expected = [number for score in scores for number in (score.value, score.low, score.high)]
        assert [float(cell) if cell else None for cell in numbers] == [
            n if math.isfinite(n) else None for n in expected
        ]
        texts = [line[0], *line[6 + 3 * len(board.columns) :]]
        assert not any(
            cell.lstrip().startswith(("=", "+", "-", "@", "\t", "\r", "\0")) for cell in texts
        )
    assert not any(cell.lstrip().startswith(("=", "+", "-", "@")) for cell in header)


@PATIENT
@given(HOSTILE)
def test_csv_text_keeps_the_text(text):
    assert csv_text(text).removeprefix("'") == visible(text).removeprefix("'")


@PATIENT
@given(hostile_boards())
def test_json_reads_back_as_the_same_board(board):
    text = board_to_json(board)
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert text.endswith("\n")
    assert text.isascii()
    assert board_to_json(board_from_json(text)) == text


def test_json_does_not_depend_on_the_order_of_rows_or_keys():
    one = small()
    other = small(rows=one.rows[::-1], provenance=dict(reversed(one.provenance.items())))
    assert board_to_json(one) == board_to_json(other)
    back = board_from_json(board_to_json(one))
    assert back.columns == COLUMNS
    assert back.rows[:3] == boards.ordered_rows(one)[:3]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": "other"}', '{"format": "parabench leaderboard 1", "x": 1}']
)
def test_json_of_something_else_is_refused(text):
    with pytest.raises(UserError, match="read a leaderboard"):
        board_from_json(text)


def test_terminal_shows_what_fits_and_names_the_rest():
    wide, narrow = terminal(small()), terminal(small(), width=60)
    assert "length" in wide.split("Not shown")[0]
    assert "self-bleu" not in narrow.split("Not shown")[0]
    assert "self-bleu" in narrow
    assert all(cell in wide for cell in ("1-2", "312/500", "[29.2, 31.8]"))
    # Before a column goes, intervals go: the headline keeps its own.
    middle = terminal(small(), width=76)
    assert "self-bleu" in middle.split("Not shown")[0]
    assert "[29.2, 31.8]" in middle
    assert "[39.0, 41.5]" in wide
    assert "[39.0, 41.5]" not in middle


@PATIENT
@given(hostile_boards())
def test_terminal_leaks_no_control_character(board):
    plain = terminal(board, width=500, force_terminal=False)
    names = [row.system for row in board.rows] + [
        cells.column_label(board, column) for column in boards.main_columns(board)
    ]
    assert all(visible(name).strip() in plain for name in names)
    assert not any(unicodedata.category(c) == "Cc" and c != "\n" for c in plain)
    assert not any(
        c in "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029"
        for c in plain
    )


METHOD = "studentised bootstrap, Jeffreys|level:0.95|clusters:336"


@pytest.mark.parametrize(
    ("provenance", "seeds", "words"),
    [
        ({"interval": METHOD}, 1, "interval (studentised bootstrap, Jeffreys)."),
        (
            {"interval": METHOD},
            2,
            "interval (studentised bootstrap, Jeffreys; of rows of several training seeds "
            "percentile bootstrap).",
        ),
        ({"interval": "percentile bootstrap|level:0.95"}, 2, "interval (percentile bootstrap)."),
        ({}, 1, "Each value has its 95 % interval."),
    ],
)
def test_every_report_says_how_its_intervals_were_made(provenance, seeds, words):
    rows = tuple(replace(row, seeds=0 if row.control else seeds) for row in small().rows)
    found = small(rows=rows, provenance=provenance)
    assert words in interval_note(found)
    assert interval_note(found) in board_to_markdown(found)
    assert latex(interval_note(found)) in to_latex(found).replace(r"\,\%", r" \%")
    assert interval_note(found) in page_html(replace(page(), board=found)).replace("\u00a0%", " %")


def test_no_interval_is_spoken_of_where_there_is_none():
    rows = []
    for row in small().rows:
        bare = {n: replace(s, low=math.nan, high=math.nan) for n, s in row.scores.items()}
        rows.append(replace(row, scores=bare))
    found = small(rows=tuple(rows), provenance={"interval": "none below 30 examples|level:0.95"})
    assert interval_note(found) == ""
    for text in (board_to_markdown(found), to_latex(found)):
        assert "Each value has" not in text
        assert "too few for an interval" in text
