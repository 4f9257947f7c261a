"""The page is read back by html5lib, a parser that follows the HTML standard as browsers do."""

import base64
import hashlib
import json
import re
from dataclasses import replace

import html5lib
import pytest

from parabench.contracts import Column, Score
from parabench.render.escape import visible
from parabench.render.figures import PlanePoint, pareto_front
from parabench.report.page import page_html, pairwise_matrix, table_cell
from parabench.report.pagefigures import plane_axes
from tests.support.boards import cells, small
from tests.support.pages import PAYLOADS, page


def parsed(html: str):
    return html5lib.parse(html, namespaceHTMLElements=False)


def structure(html: str) -> list[tuple[str, tuple[str, ...]]]:
    """Every element with the names of its attributes: what foreign text must not change."""
    return [
        (str(element.tag), tuple(sorted(map(str, element.attrib))))
        for element in parsed(html).iter()
    ]


@pytest.fixture(scope="module")
def plain():
    return page_html(page())


def words_of(element) -> str:
    return " ".join(" ".join(element.itertext()).split())


@pytest.fixture(scope="module", params=PAYLOADS)
def hostile(request):
    return request.param, page_html(page(request.param))


def test_foreign_text_adds_no_element_and_no_attribute(plain, hostile):
    payload, html = hostile
    # Drawings depend on the width of names and differences on the words of texts, so that of
    # these only the kinds of element are compared.
    drawn = {"path", "g", "use", "text", "defs", "clipPath", "rect", "circle", "ins", "del"}
    kept = [
        [item for item in structure(each) if item[0].rpartition("}")[2] not in drawn]
        for each in (plain, html)
    ]
    assert kept[0] == kept[1]
    assert {item[0] for item in structure(html)} == {item[0] for item in structure(plain)}
    assert words_of(parsed(html).find(".//h1")) == " ".join(visible(f"A title{payload}").split())


def test_foreign_text_reaches_the_examples_as_it_is(hostile):
    payload, html = hostile
    (block,) = [e for e in parsed(html).iter("script") if e.get("type") == "application/json"]
    data = json.loads(block.text)
    assert data["examples"][1]["source"] == f"The cat 1 sat.{visible(payload)}"
    assert data["examples"][2]["id"] == f"e2{visible(payload)}"


def test_the_page_loads_nothing_and_runs_only_its_own_script(plain):
    document = parsed(plain)
    policy = next(
        e.get("content")
        for e in document.iter("meta")
        if e.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; ")
    for kind in ("style", "script"):
        for element in document.iter(kind):
            if element.get("type") != "application/json":
                hashed = base64.b64encode(hashlib.sha256(element.text.encode()).digest()).decode()
                assert f"{kind}-src 'sha256-{hashed}'" in policy
    for element in document.iter():
        assert not {"src", "style", "srcset", "data"} & set(element.attrib)
        assert not any(str(name).startswith("on") for name in element.attrib)
        assert str(element.get("href", "#")).startswith("#")
    assert not re.search(r"url\((?!#)|@import|https?://(?!www\.w3\.org/)", plain)


def test_a_run_without_a_single_score_has_a_page():
    data = page()
    board = replace(
        data.board,
        columns=(),
        rows=tuple(replace(row, scores={}) for row in data.board.rows),
        invalid={},
    )
    document = parsed(page_html(replace(data, board=board, values={}, comparisons=())))
    assert words_of(document.find(".//h1")) == "A title"
    assert "Nothing is drawn here: no column" in words_of(document.find(".//*[@id='plane']"))


def test_the_same_data_give_the_same_bytes(plain):
    assert page_html(page()) == plain


def test_the_leaderboard_shows_order_intervals_and_unranked(plain):
    table = next(t for t in parsed(plain).iter("table") if t.get("class") == "board")
    rows = [[words_of(cell) for cell in row] for row in table.find("tbody")]
    names = [words_of(row.find("th/span")) for row in table.find("tbody")]
    assert names == ["softprompt-111", "bart", "copy", "zeroshot"]
    assert (rows[0][0], rows[0][2]) == ("1-2", "30.2 [29.2, 31.8]")
    assert "(control)" in rows[2][1]
    assert [words_of(row.find("th/small")) for row in table.find("tbody")] == [
        "n 500",
        "n 500",
        "n 500",
        "n 312/500",
    ]
    assert "bleu does not rank here: copy beats human" in words_of(parsed(plain)).replace("⚠ ", "")


def test_whiskers_have_the_scale_of_systems_and_people():
    rows = [*small().rows, replace(small().rows[0], system="human", scores=cells(40, 1, 2, 3, 1))]
    board = small(rows=tuple(rows))
    column = board.columns[0]
    whiskers = {row.system: table_cell(board, row, column)["whisker"] for row in rows}
    # Scores are from one below the value to one and a half above it: 28.5 to 100.5 here.
    assert whiskers["bart"][0] == 2.0
    assert whiskers["zeroshot"][2] == 98.0
    assert 0 < whiskers["human"][0] < whiskers["human"][2] < 98
    assert whiskers["copy"][2] < 0  # a control beyond the scale is an arrow
    assert 'd="M3 0L0 5L3 10"' in page_html(replace(page(), board=board))


def test_a_difference_whose_interval_holds_zero_is_even():
    (pair, other) = page().comparisons
    seeds_differ = replace(other, low=-10.0, high=0.5)
    matrix = dict(pairwise_matrix(replace(page(), comparisons=(pair, seeds_differ))))
    assert [cell and cell["verdict"] for cell in matrix["bart"]] == ["even", None, "even"]


def test_controls_made_to_fail_are_folded_and_reasons_told():
    board = small(unranked={"zeroshot": "it repeats phrases"})
    html = page_html(replace(page(), board=board, anchors=[]))
    table = next(t for t in parsed(html).iter("table") if t.get("class") == "board")
    kinds = {words_of(row.find("th/span")): row.get("class") for row in table.find("tbody")}
    assert kinds == {
        "softprompt-111": None,
        "bart": None,
        "copy": "control attacker",
        "zeroshot": None,
    }
    assert "No rank: it repeats phrases." in words_of(table)
    assert next(e for e in parsed(html).iter("input") if e.get("id") == "attackers") is not None


def test_every_control_and_region_has_a_name(plain):
    document = parsed(plain)
    identifiers = [element.get("id") for element in document.iter() if element.get("id")]
    assert len(identifiers) == len(set(identifiers))
    for element in document.iter():
        for attribute in ("aria-labelledby", "aria-describedby"):
            assert set((element.get(attribute) or "").split()) <= set(identifiers)
        if element.tag == "button":
            assert words_of(element)
    labelled = [child for label in document.iter("label") for child in label]
    assert all(field in labelled for kind in ("input", "select") for field in document.iter(kind))
    assert document.get("lang") == "en"
    assert [e.tag for e in document.iter() if e.tag in ("h1", "h2", "main")][:2] == ["h1", "main"]


def test_examples_carry_differences_flags_and_values(plain):
    data = json.loads(next(e.text for e in parsed(plain).iter("script") if e.get("type")))
    assert [system["name"] for system in data["systems"]] == [
        "softprompt-111",
        "bart",
        "copy",
        "zeroshot",
    ]
    flags = [[output["flag"] for output in example["outputs"]] for example in data["examples"]]
    assert flags == [
        ["copy", "empty", "copy", "copy"],
        ["", "", "", ""],
        ["missing", "cut", "missing", "missing"],
    ]
    assert data["examples"][1]["outputs"][1]["texts"][0][0][0] in " +-"
    assert data["values"][0][0] == [2.0, 3.0, None]


def test_the_pairs_are_told_from_both_sides(plain):
    table = next(t for t in parsed(plain).iter("table") if t.get("class") == "pairs")
    rows = {words_of(row[0]): [words_of(cell) for cell in row[1:]] for row in table.find("tbody")}
    assert rows["bart"][2] == "▲ ahead +9.0 [8.0, 10.0] p 0.001"
    assert rows["copy"][1] == "▼ behind -9.0 [-10.0, -8.0] p 0.001"
    assert rows["bart"][0] == "· even -0.8 [-2.0, 0.5] p 0.2"


def test_figures_leave_out_controls_that_are_no_anchors(plain):
    html = page_html(replace(page(), anchors=["human"]))
    assert parts(plain, "text").count("copy") > 2
    # The plane alone, which is drawn wide and narrow, shows it, as an attacker.
    assert parts(html, "text").count("copy") == 2
    table = next(t for t in parsed(html).iter("table") if t.get("class") == "board")
    assert "copy (control)" in words_of(table)


def parts(html: str, tag: str) -> list[str]:
    return [
        words_of(element)
        for element in parsed(html).iter()
        if str(element.tag).rpartition("}")[2] == tag
    ]


def test_axes_are_the_first_columns_of_each_kind_or_those_named():
    change, quality = plane_axes(page())
    assert (change.name, quality.name) == ("self-bleu", "bleu")


def test_the_front_holds_the_points_that_nothing_beats():
    def point(name: str, change: float, quality: float) -> PlanePoint:
        return PlanePoint(
            name, Score(change, change, change, ""), Score(quality, quality, quality, ""), False
        )

    points = [
        point("a", 10, 30),
        point("b", 20, 40),
        point("c", 20, 35),
        point("d", 50, 50),
        point("e", 60, 50),
    ]
    front = pareto_front(
        points, Column("overlap", "down", "source"), Column("bleu", "up", "reference")
    )
    assert [each.name for each in front] == ["a", "b", "d"]
