"""Foreign text at every place where it is written, read back by the readers that people use.

markdown-it-py with GitHub's tables and strikethrough, csv and pandas, html5lib, and the bytes that
a terminal gets.
"""

import csv
import io
import json
import re
from random import Random

import html5lib
import pandas
import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from parabench.contracts import Column, Example, Score
from parabench.render.escape import csv_text, markdown, markdown_code, visible
from parabench.report.board import Leaderboard, LeaderboardRow, board_to_json
from parabench.report.leaderboard import board_to_csv, board_to_markdown
from parabench.report.page import page_html
from parabench.report.pagedata import PageData
from parabench.report.terminal import print_board

PIECES = (
    "|", "||", "\\", "\\|", "`", "``", "*", "**", "_", "~~", "<b>", "</td>",
    "<script>alert(1)</script>", "<!--", "-->",
    "<img src=x onerror=alert(1)>", "]]>", "</script>", "</style>", "<svg onload=alert(1)>",
    "&lt;", "&#60;", "&", "'", '"', "' onx='", '" onx="', "[a](http://x.y)", "![a](http://x.y)",
    "<http://x.y>", "https://x.y", "www.x.y", "a@x.y",
    "# ", "- ", "1. ", "> ", "---", "| --- |", "```", "$x$", "{{ 7*7 }}", "{% raw %}",
    "=1+1", "+1", "-1", "@SUM(A1)",
    "=cmd|' /C calc'!A0", "\t=1", "＝1", ",", ";", '""',
    "\n", "\r", "\r\n", "\n\n", "\t", "\x00", "\x07", "\x08", "\x0b", "\x0c",
    "\x1b[31m", "\x1b]0;t\x07", "\x9b31m", "\x7f", "\x85",
    "\u2028", "\u2029", "\u202e", "\u2066", "\u200f", "\ud800", "\ufeff",
    "e\u0301\u0302\u0303", "\U0001f600", "a", "b c", " ", "[/]", "[bold red]",
    "javascript:alert(1)",
)  # fmt: skip
READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
TEXTS = {"text", "text_special", "code_inline"}
CONTROLS = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def payloads(number: int, seed: int = 0) -> list[str]:
    """Texts of one to six nasty pieces, each piece alone among them."""
    random = Random(seed)
    made = [
        "".join(random.choices(PIECES, k=random.randint(1, 6))) for _ in range(number - len(PIECES))
    ]
    return [*PIECES, *made]


def inline_text(token) -> str:
    assert {child.type for child in token.children or []} <= TEXTS
    return "".join(child.content for child in token.children or [])


def cells(document: str) -> list[str]:
    """The texts of a document's table cells; fails if it holds anything but tables of text."""
    tokens = READER.parse(document)
    kinds = {"table_open", "thead_open", "tbody_open", "tr_open", "th_open", "td_open", "inline"}
    assert {t.type for t in tokens if not t.type.endswith("_close")} <= kinds
    return [inline_text(token) for token in tokens if token.type == "inline"]


def markdown_escapes(text: str, escape=markdown) -> bool:
    """Whether a table with the text in a cell shows anything but the text in that cell."""
    try:
        shown = cells(f"| a | b |\n| --- | --- |\n| {escape(text)} | x |\n| y | {escape(text)} |\n")
    except AssertionError:
        return True
    said = visible(text).strip()
    return [cell.strip() for cell in shown] != ["a", "b", said, "x", "y", said]


def code_escapes(text: str, escape=markdown_code) -> bool:
    inlines = [token for token in READER.parse(f"- x {escape(text)} y") if token.type == "inline"]
    return len(inlines) != 1 or [
        child.content for child in inlines[0].children if child.type == "code_inline"
    ] != [visible(text)]


def csv_escapes(text: str, escape=csv_text) -> bool:
    """Whether the cell is a formula, or another text, or moves its neighbours."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([["a", "b"], [escape(text), "x"]])
    try:
        read = list(csv.reader(io.StringIO(stream.getvalue(), newline="")))
        options = {"dtype": str, "keep_default_na": False, "skip_blank_lines": False}
        frame = pandas.read_csv(io.StringIO(stream.getvalue(), newline=""), **options)
    except (csv.Error, ValueError):
        return True
    if len(read) != 2 or len(read[1]) != 2 or frame.shape != (1, 2) or frame.iloc[0, 1] != "x":
        return True
    cell = read[1][0]
    formula = cell.lstrip().startswith(
        ("=", "+", "-", "@", "\t", "\r", "\0", "＝", "＋", "－", "＠")
    )
    return (
        formula
        or cell.removeprefix("'") != visible(text).removeprefix("'")
        or frame.iloc[0, 0] != cell
    )


def terminal_escapes(text: str, escape=visible) -> bool:
    return bool(CONTROLS.search(escape(text))) or "\n" in escape(text)


ESCAPES = {
    "Markdown cell": markdown_escapes,
    "Markdown code": code_escapes,
    "CSV": csv_escapes,
    "terminal": terminal_escapes,
}


def plain(text: str) -> str:
    return text


@pytest.mark.parametrize("sink", ESCAPES)
def test_nothing_escapes(sink):
    assert [text for text in payloads(300) if ESCAPES[sink](text)] == []


@pytest.mark.slow
@pytest.mark.parametrize("sink", ESCAPES)
def test_nothing_escapes_of_five_thousand(sink):
    assert [text for text in payloads(5_000, seed=1) if ESCAPES[sink](text)] == []


@pytest.mark.parametrize("sink", ESCAPES)
def test_without_its_escaping_something_does(sink):
    assert sum(ESCAPES[sink](text, plain) for text in payloads(200)) > 20


def page(texts: list[str]) -> PageData:
    """A page on which the first ten texts are names and notes, and all others examples and
    outputs.
    """
    title, note, one, two, column, describe, why, signature, fact, reason, *rest = texts
    columns = (
        Column(f"q{column}", "up", "reference", 1, describe),
        Column("change", "down", "source"),
    )
    scores = {c.name: Score(1.0, 0.5, 1.5, signature) for c in columns}
    rows = (
        LeaderboardRow(f"1{one}", (1, 2), scores, 3, 3, False),
        LeaderboardRow(f"2{two}", None, scores, 2, 3, True),
    )
    facts = {"command": fact, "packages": {f"torch{fact}": why}}
    board = Leaderboard(
        title,
        note,
        columns[0].name,
        columns,
        rows,
        {columns[0].name: reason},
        {"change": signature},
        facts,
    )
    examples = tuple(
        Example(f"{n}{text}", f"s {text}", (f"r {text}",)) for n, text in enumerate(rest)
    )
    outputs = {row.system: [f"o {text}" for text in rest] for row in rows}
    values = {row.system: {c.name: [1.0] * len(rest) for c in columns} for row in rows}
    return PageData(board, examples, outputs, values)


DRAWN = {"path", "g", "use", "text", "defs", "clipPath", "rect", "circle", "style", "metadata"}
DIFFERENCES = {("ins", ()), ("del", ())}


def structure(html: str) -> list[tuple[str, tuple[str, ...]]]:
    """Every element with its attributes' names, but those inside drawings, which depend on the
    width of names, and bare marks of differences, which depend on the words of the texts.
    """
    tree = html5lib.parse(html, namespaceHTMLElements=False)
    found = [(str(element.tag), tuple(sorted(map(str, element.attrib)))) for element in tree.iter()]
    return [
        item
        for item in found
        if item[0].rpartition("}")[2] not in DRAWN and item not in DIFFERENCES
    ]


def pages(number: int, size: int, seed: int = 0):
    """Hostile pages that hold so many payloads together, each with the structure of a harmless
    one.
    """
    expected = structure(page_html(page([f"w{n}" for n in range(size)])))
    texts = payloads(number, seed)
    for start in range(0, len(texts) - size + 1, size):
        yield texts[start : start + size], expected


def check_page(texts: list[str], expected) -> None:
    html = page_html(page(texts))
    assert structure(html) == expected
    (block,) = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', html, re.DOTALL)
    assert [example["source"] for example in json.loads(block)["examples"]] == [
        f"s {visible(text)}" for text in texts[10:]
    ]
    assert not CONTROLS.search(html.replace("\t", " "))


def test_a_hostile_page_has_the_elements_of_a_harmless_one():
    for texts, expected in pages(100, 50):
        check_page(texts, expected)


@pytest.mark.slow
def test_pages_of_five_thousand_foreign_texts():
    for texts, expected in pages(5_000, 50, seed=2):
        check_page(texts, expected)


def test_a_page_that_does_not_escape_is_caught(monkeypatch):
    monkeypatch.setattr("parabench.report.page.script_json", json.dumps)
    with pytest.raises((AssertionError, ValueError)):
        check_page([*["w"] * 10, "</script><b>x</b>"], next(pages(200, 11))[1])


def test_whole_tables_keep_their_cells():
    for texts, _ in [*pages(100, 20)][:3]:
        board = page(texts).board
        tables = [
            token
            for token in READER.parse(board_to_markdown(board))
            if token.type in ("th_open", "td_open")
        ]
        assert len(tables) == 3 * 5
        assert {len(line) for line in csv.reader(io.StringIO(board_to_csv(board)))} == {8 + 5 * 2}
        assert json.loads(board_to_json(board))["title"] == board.title
        stream = io.StringIO()
        print_board(board, Console(file=stream, width=300))
        assert not CONTROLS.search(stream.getvalue())
