"""Rating sheets: blind, safe in a spreadsheet, refused where edited, and back as judgments to test
scorers on.
"""

import csv
import io
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from parabench.contracts import Example, UserError
from parabench.metaeval import rating, rating_sheets
from parabench.metaeval.judgment_files import JudgmentFile
from parabench.metaeval.judgments import RatedText
from parabench.report.results import RunResults, SystemOutput
from tests.support.pages import PAYLOADS

SYSTEMS = ("bart", "human", "softprompt-111")


def run_results(text: str = "", count: int = 6) -> RunResults:
    """Six examples; all systems answer all but the last, and two of them say the same to e1."""
    examples = tuple(
        Example(f"e{n}", f"Source {n}.{text}", (f"Reference {n}.",)) for n in range(count)
    )
    outputs = {}
    for name in SYSTEMS:
        texts = {
            e.id: [f"Text {place} of {len(name)} letters.{text}"]
            for place, e in enumerate(examples)
        }
        texts["e1"] = ["=HYPERLINK(1)"] if name != "human" else ["-2"]
        if name == "bart":
            del texts["e5"]
        outputs[name] = SystemOutput(texts, frozenset(), "system", name)
    return RunResults({}, examples, outputs, {})


def written(folder, text: str = ""):
    items = rating.draw_rating_items(run_results(text), SYSTEMS, 50, seed=3)
    (folder / "key.json").write_text(
        rating.rating_key(items, {"run": "r", "seed": 3}), encoding="utf-8"
    )
    return items, rating.rating_sheet(items)


def filled(content: str, rate) -> str:
    """The sheet as a rater saves it."""
    head, *rows = csv.reader(io.StringIO(content.removeprefix("\ufeff")))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(head)
    writer.writerows([*row[:4], rate(row), "a remark"] for row in rows)
    return file.getvalue()


def test_the_sheet_is_blind_and_in_random_order(tmp_path):
    items, content = written(tmp_path)
    assert not any(name in content for name in SYSTEMS)
    assert {item.example.id for item in items} == {"e0", "e1", "e2", "e3", "e4"}
    orders = {tuple(one.systems[0] for one in item.texts) for item in items if len(item.texts) == 3}
    assert len(orders) > 1
    assert (
        rating.rating_sheet(rating.draw_rating_items(run_results(), SYSTEMS, 50, seed=3)) == content
    )
    assert (
        rating.rating_sheet(rating.draw_rating_items(run_results(), SYSTEMS, 50, seed=4)) != content
    )


def test_a_shared_text_is_shown_once_and_no_cell_is_a_formula(tmp_path):
    items, content = written(tmp_path)
    (shared,) = [item for item in items if item.example.id == "e1"]
    assert sorted(len(one.systems) for one in shared.texts) == [1, 2]
    cells = [cell for row in csv.reader(io.StringIO(content)) for cell in row]
    assert "'=HYPERLINK(1)" in cells
    assert not any(cell.startswith(("=", "-", "+", "@")) for cell in cells)


@pytest.mark.parametrize("text", ["", *PAYLOADS])
def test_there_and_back(tmp_path, text):
    items, content = written(tmp_path, text)
    for number, name in enumerate(("one.csv", "two.csv")):
        (tmp_path / name).write_text(
            filled(content, lambda row, n=number: "ABC".index(row[1]) + 1 + n), "utf-8"
        )
    rated = rating_sheets.read_sheets(
        [tmp_path / "one.csv", tmp_path / "two.csv"], rating.read_key(tmp_path / "key.json")
    )
    (tmp_path / "people.jsonl").write_text(rating.judgments_jsonl(rated), encoding="utf-8")
    judged = list(JudgmentFile(tmp_path / "people.jsonl"))
    assert len(judged) == sum(len(item.texts) for item in items)
    wanted = {
        (i.example.source, one.text): "ABC".index(one.letter) + 1 for i in items for one in i.texts
    }
    for item in judged:
        assert isinstance(item, RatedText)
        first = wanted[item.example.source, item.text]
        assert item.ratings == (first, first + 1)
        assert item.cluster == item.example.source
        assert item.example.references[0].startswith("Reference")


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_what_spreadsheets_make_of_it_is_read(tmp_path, delimiter):
    _, content = written(tmp_path)
    rows = list(csv.reader(io.StringIO(filled(content, lambda row: "3,5"))))
    file = io.StringIO()
    csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows(rows)
    (tmp_path / "sheet.csv").write_text("\ufeff" + file.getvalue(), encoding="utf-8")
    rated = rating_sheets.read_sheets(
        [tmp_path / "sheet.csv"], rating.read_key(tmp_path / "key.json")
    )
    assert {one.ratings for one in rated} == {(3.5,)}


EDITS = {
    "line 3: another text": lambda lines: [
        *lines[:2],
        lines[2].replace(",3,a remark", "x,3,"),
        *lines[3:],
    ],
    "line 2: another source": lambda lines: [
        lines[0],
        lines[1].replace("Source", "source"),
        *lines[2:],
    ],
    "line 4: item '1', letter 'Q'": lambda lines: [*lines[:3], "1,Q,Source 0.,x,3,", *lines[3:]],
    "it is in line 2 too": lambda lines: [*lines[:3], lines[1], *lines[3:]],
    "no row of item": lambda lines: lines[:-1],
    "line 2: the rating '6'": lambda lines: [lines[0], lines[1].replace(",3,", ",6,"), *lines[2:]],
    "line 2: the rating 'good'": lambda lines: [
        lines[0],
        lines[1].replace(",3,", ",good,"),
        *lines[2:],
    ],
    "line 2: the rating '2.7'": lambda lines: [
        lines[0],
        lines[1].replace(",3,", ",2.7,"),
        *lines[2:],
    ],
    "line 2: the rating 'nan'": lambda lines: [
        lines[0],
        lines[1].replace(",3,", ",nan,"),
        *lines[2:],
    ],
    "the columns": lambda lines: ["a,b,c", *lines[1:]],
    "not one rating": lambda lines: [line.replace(",3,a remark", ",,") for line in lines],
}


@pytest.mark.parametrize("found", EDITS)
def test_an_edited_sheet_is_refused_with_its_line(tmp_path, found):
    _, content = written(tmp_path)
    lines = filled(content, lambda row: 3).splitlines()
    (tmp_path / "sheet.csv").write_text("\n".join(EDITS[found](lines)) + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=found):
        rating_sheets.read_sheets([tmp_path / "sheet.csv"], rating.read_key(tmp_path / "key.json"))


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"format": "other"}', '{"format": "parabench rating key 1"}', "[" * 9999],
)
def test_what_is_no_key_is_refused(tmp_path, content):
    (tmp_path / "key.json").write_text(content)
    with pytest.raises(UserError, match="read the key"):
        rating.read_key(tmp_path / "key.json")


def test_what_people_wrote_is_no_reference_beside_it():
    """With a human text for each turn, one turn is shown and the others stay references, as in the
    leaderboard.
    """
    example = Example("e", "S.", ("one", "two", "three"))
    outputs = {"human": SystemOutput({"e": ["one", "two", "three"]}, frozenset(), "human", "human"),
               "bart": SystemOutput({"e": ["two"]}, frozenset(), "system", "bart")}  # fmt: skip
    turns = set()
    for seed in range(12):
        (item,) = rating.draw_rating_items(
            RunResults({}, (example,), outputs, {}), ["human", "bart"], 1, seed
        )
        (human,) = [one.text for one in item.texts if "human" in one.systems]
        assert set(item.example.references) == {"one", "two", "three"} - {human}
        turns.add(human)
    assert turns == {"one", "two", "three"}


def test_requests_that_cannot_be_met():
    for systems, count in ((["nobody"], 5), ([], 5), (["bart"], 0)):
        with pytest.raises(UserError):
            rating.draw_rating_items(run_results(), systems, count, 0)


def test_means_are_of_whole_sources(tmp_path):
    """By hand: ratings 1, 2, 3 by letter; every text's mean belongs to all systems that wrote
    it.
    """
    items, content = written(tmp_path)
    (tmp_path / "sheet.csv").write_text(
        filled(content, lambda row: "ABC".index(row[1]) + 1), "utf-8"
    )
    rated = rating_sheets.read_sheets([tmp_path / "sheet.csv"], items)
    found = {one.system: one for one in rating.mean_ratings(rated, 0)}
    for name in SYSTEMS:
        own = ["ABC".index(t.letter) + 1 for item in items for t in item.texts if name in t.systems]
        assert found[name].mean == pytest.approx(sum(own) / 5)
        assert np.isnan([found[name].low, found[name].high]).all()  # of five texts no interval
        assert found[name].count == 5


def test_the_commands_from_sheet_to_meta(tmp_path, monkeypatch):
    from parabench import cli
    from parabench.report import run_reader as reading

    monkeypatch.setattr(reading, "load_results", lambda run: run_results())
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    done = runner.invoke(
        cli.app, ["metric", "sheet", ".", "--systems", ",".join(SYSTEMS), "--output", "sheet.csv"]
    )
    assert done.exit_code == 0, done.output
    assert {path.name for path in tmp_path.iterdir()} == {
        "sheet.csv",
        "sheet.key.json",
        "sheet.txt",
    }
    (tmp_path / "ann.csv").write_text(
        filled((tmp_path / "sheet.csv").read_text("utf-8"), lambda row: len(row[3]) % 5 + 1)
    )
    done = runner.invoke(cli.app, ["metric", "ratings", "ann.csv", "--key", "sheet.key.json"])
    assert done.exit_code == 0, done.output
    assert "softprompt-111" in done.output
    done = runner.invoke(
        cli.app, ["metric", "agreement", "judgments.jsonl", "--scorers", "divergence"]
    )
    assert done.exit_code == 0, done.output
    assert "pinc" in done.output
    assert json.loads((tmp_path / "sheet.key.json").read_text())["seed"] == 0
