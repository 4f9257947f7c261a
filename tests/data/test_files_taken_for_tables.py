"""Files that are no table, or another than their name says, and texts that stand for none."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path

import pandas
import pytest

from parabench.contracts import UserError
from parabench.data.headers import looks_like_header
from parabench.data.predictions import read_predictions
from parabench.data.test_sets import read_test_set

ROWS = [
    ("The old man slept at last.", "He slept.", "At last the old man slept."),
    ("She said no to all of them.", "She refused.", "To all of them she said no."),
    ("It rained for the whole day.", "Rain fell.", "The whole day it rained."),
]


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def table(header: tuple[str, ...], separator: str = "\t") -> str:
    lines = [header, *ROWS] if header else ROWS
    return "".join(separator.join(line) + "\n" for line in lines)


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_predictions(path)
    return str(caught.value)


def workbook() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return packed.getvalue()


def parquet() -> bytes:
    packed = io.BytesIO()
    pandas.DataFrame(ROWS, columns=["source", "prediction", "reference"]).to_parquet(packed)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("mine.xlsx", workbook(), "as workbooks of Excel"),
        ("mine.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "older Office"),
        ("mine.tsv", gzip.compress(table(()).encode(), mtime=0), "mine.tsv.gz"),
        ("mine.jsonl", gzip.compress(b"{}", mtime=0), "mine.jsonl.gz"),
        ("mine.csv", parquet(), "mine.csv.parquet"),
        ("mine.tsv", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF document"),
    ],
)
def test_files_that_are_no_text_are_named(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    said = refusal(write(tmp_path, name, content))
    assert "it is no text, but" in said
    assert says in said


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("mine.txt", table(("source", "prediction", "reference"), ","), "ends in .csv"),
        ("mine.tsv", table(("source", "prediction", "reference"), ";"), "ends in .csv"),
        ("mine.csv", "sep=;\n" + table(("source", "prediction", "reference"), ";"), "delete line"),
        ("mine.csv", "| source | prediction |\n|---|---|\n| One. | Two. |\n", "Markdown"),
        ("mine.tsv", "| source | prediction |\n|---|---|\n| One. | Two. |\n", "Markdown"),
    ],
)
def test_tables_of_another_form_have_a_cure(
    tmp_path: Path, name: str, content: str, says: str
) -> None:
    assert says in refusal(write(tmp_path, name, content))


def test_a_table_of_json_columns_is_none_of_records(tmp_path: Path) -> None:
    """pandas' own ``to_json`` in its default form and as lists, and records within an object."""
    frame = pandas.DataFrame(ROWS, columns=["source", "prediction", "reference"])
    by_columns = [frame.to_json(), json.dumps(frame.to_dict("list"))]
    for content in by_columns:
        assert "a table by columns" in refusal(write(tmp_path, "mine.json", content))
    within = json.dumps({"data": frame.to_dict("records")})
    assert "'data' holds all records" in refusal(write(tmp_path, "mine.json", within))
    lines = frame.to_json(orient="records", lines=True)
    assert len(read_predictions(write(tmp_path, "mine.jsonl", lines))) == len(ROWS)


@pytest.mark.parametrize(
    "header",
    [
        ("Quelle", "Vorhersage", "Referenz 1", "Referenz 2"),
        ("Источник", "Ответ", "Эталон1", "Эталон2"),
        ("frase", "salida", "referencia_0", "referencia_1"),
    ],
)
def test_numbered_names_of_any_language_are_a_header(
    tmp_path: Path, header: tuple[str, ...]
) -> None:
    rows = "".join("\t".join((*row, row[2])) + "\n" for row in ROWS)
    said = refusal(write(tmp_path, "mine.tsv", "\t".join(header) + "\n" + rows))
    assert "line 1, as predictions" in said
    assert "rename the columns" in said


def test_sentences_with_numbers_are_no_header(tmp_path: Path) -> None:
    rows = "We leave at 1\tWe go at 1\tWe leave at 2\nIt is 1\tIt was 1\tIt is, 2\n"
    assert len(read_predictions(write(tmp_path, "mine.tsv", rows))) == 2


def test_a_first_line_that_may_be_a_header_is_told(tmp_path: Path) -> None:
    notices = list[str]()
    rows = table(("Quelle", "Vorhersage", "Referenz"))
    path = write(tmp_path, "mine.tsv", rows.replace("Rain fell.", "Rain fell all day long."))
    longer = path.read_text().replace("He slept.", "He slept for a very long time.")
    path.write_text(longer)
    assert len(read_predictions(path, notice=notices.append)) == 4
    assert "line 1 is read as an example: 'Quelle', 'Vorhersage', 'Referenz'" in notices[0]
    notices.clear()
    test_set = write(tmp_path, "test.tsv", "Quelle\tReferenz\n" + f"{ROWS[0][0]}\t{ROWS[0][2]}\n")
    read_test_set(test_set, notices.append)
    assert "line 1 is read as an example" in notices[0]
    notices.clear()
    read_predictions(write(tmp_path, "plain.tsv", table(())), notice=notices.append)
    assert notices == []


@pytest.mark.parametrize("name", ["mine.tsv", "mine.csv"])
def test_references_joined_in_one_cell_are_refused(tmp_path: Path, name: str) -> None:
    header = ("source", "prediction", "references") if name == "mine.csv" else ()
    separator = "," if name == "mine.csv" else "\t"
    joined = table(header, separator).replace("slept.\n", "slept. ||| He slept at last.\n")
    assert "several references in one cell" in refusal(write(tmp_path, name, joined))


def test_references_that_may_be_missing_are_told(tmp_path: Path) -> None:
    """``str`` of a value that is missing, in Python and in pandas."""
    frame = pandas.DataFrame(ROWS, columns=["source", "prediction", "reference"])
    frame["reference_2"] = [ROWS[0][2], str(None), ROWS[2][2]]
    frame.to_csv(tmp_path / "mine.csv", index=False)
    notices = list[str]()
    read_predictions(tmp_path / "mine.csv", notice=notices.append)
    assert any("references such as 'None'" in one and one.endswith(": 1") for one in notices)
    frame.drop(columns="prediction").to_csv(tmp_path / "test.csv", index=False)
    notices.clear()
    read_test_set(tmp_path / "test.csv", notices.append)
    assert any("references such as 'None'" in one for one in notices)


def test_one_output_for_many_sources_is_told(tmp_path: Path) -> None:
    """As an error or a refusal that a program wrote down instead of an answer."""
    rows = [(source, "Error: rate limit reached", reference) for source, _, reference in ROWS]
    path = write(tmp_path, "mine.tsv", "".join("\t".join(row) + "\n" for row in rows))
    notices = list[str]()
    read_predictions(path, notice=notices.append)
    assert "3 outputs are one text, 'Error: rate limit reached'" in notices[0]


def test_a_long_word_is_told_from_a_name_in_linear_time():
    """Ten thousand letters: with a pattern that has two ways for each, no time would do."""
    words = ["a" * 10_000 + "!", "b" * 10_000 + "?"]
    assert not looks_like_header(words, "pairs")
    assert looks_like_header(["sentence_a", "x" * 10_000], "pairs")
