"""Files as other programs write them: what is read, what is said of it, and what is refused with
its cause and cure.
"""

from __future__ import annotations

import csv
import io
import json
import subprocess
from pathlib import Path

import pandas
import pytest

from parabench.contracts import Example, UserError
from parabench.data.lines import LONGEST_TEXT
from parabench.data.predictions import read_predictions
from parabench.data.test_sets import read_test_set

SOURCES = ["The old man slept, at last.", 'She said "no".', "It rained\tall day."]
REFERENCES = ["At last, the old man slept.", "“No”, she said.", "All day it rained."]
OUTPUTS = ["He slept; finally.", "She refused.", "Rain fell."]
EXAMPLES = [Example(str(n), text, (REFERENCES[n],)) for n, text in enumerate(SOURCES)]


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def frame(*columns: str) -> pandas.DataFrame:
    texts = {"source": SOURCES, "prediction": OUTPUTS, "reference": REFERENCES}
    return pandas.DataFrame({name: texts[name.partition("_")[0]] for name in columns})


def refusal(path: Path, predictions: bool = False) -> str:
    with pytest.raises(UserError) as caught:
        read_predictions(path) if predictions else read_test_set(path)
    return str(caught.value)


# What pandas writes is the authority for CSV and TSV with quotes.


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("ending", [".csv", ".tsv"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_tables_of_pandas_are_read(tmp_path: Path, index: bool, ending: str, line_end: str) -> None:
    path, notices = tmp_path / f"data{ending}", list[str]()
    separator = "," if ending == ".csv" else "\t"
    frame("source", "reference").to_csv(path, index=index, sep=separator, lineterminator=line_end)
    found = read_test_set(path, notices.append)
    assert [one.source for one in found] == SOURCES
    assert [one.references for one in found] == [(text,) for text in REFERENCES]
    (said,) = notices
    assert "source from 'source'; references from 'reference'" in said


@pytest.mark.parametrize("index_label", [None, "index", "Unnamed: 0", "level_0"])
def test_the_row_numbers_of_pandas_are_no_text(tmp_path: Path, index_label: str | None) -> None:
    path = tmp_path / "mine.csv"
    frame("source", "prediction", "reference").to_csv(path, index_label=index_label)
    found = read_predictions(path)
    assert found.texts == OUTPUTS
    assert [one.source for one in found.examples] == SOURCES


def test_a_table_with_quotes_everywhere_is_read(tmp_path: Path) -> None:
    path = tmp_path / "quoted.tsv"
    table = frame("source", "reference")
    table.to_csv(path, index=False, sep="\t", quoting=csv.QUOTE_ALL)
    assert [one.source for one in read_test_set(path)] == SOURCES


@pytest.mark.parametrize(
    ("separator", "said"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")]
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_csv_as_excel_writes_it_elsewhere(
    tmp_path: Path, separator: str, said: str, encoding: str
) -> None:
    path, notices = tmp_path / "excel.csv", list[str]()
    frame("source", "prediction", "reference").to_csv(
        path, index=False, sep=separator, lineterminator="\r\n", encoding=encoding
    )
    found = read_predictions(path, None, notices.append)
    assert found.texts == OUTPUTS
    assert [one.references for one in found.examples] == [(text,) for text in REFERENCES]
    assert f"cells between {said}" in notices[0]


def test_a_comma_stays_the_separator_where_it_makes_a_header(tmp_path: Path) -> None:
    content = "source,reference\nA; b.,C; d.\n"
    (one,) = read_test_set(write(tmp_path, "a.csv", content))
    assert (one.source, one.references) == ("A; b.", ("C; d.",))


# Headers


@pytest.mark.parametrize(
    ("header", "references"),
    [
        ("source\treference", 1),
        ("Source\tReference", 1),
        ("src\tref_1\tref_2", 2),
        ("source\treference_2\treference_1", 2),
        ("sentence1\tsentence2", 1),
        ("Sentence 1\tSentence 2", 1),
        ("question1\tquestion2", 1),
        ("original\tparaphrase", 1),
        ('"source"\t"target"', 1),
        ("\tsource\treference", 1),
    ],
)
def test_a_header_is_read_and_said(tmp_path: Path, header: str, references: int) -> None:
    cells = header.count("\t") + 1
    row = "\t".join(["0", "One.", "Two."] if header.startswith("\t") else ["One.", "Two.", "3."])
    row = "\t".join(row.split("\t")[:cells])
    notices = list[str]()
    (one,) = read_test_set(write(tmp_path, "a.tsv", f"{header}\n{row}\n"), notices.append)
    assert one.source == "One."
    assert len(one.references) == references
    assert "a header in line 1" in notices[0]


def test_references_come_by_their_numbers(tmp_path: Path) -> None:
    names = [f"reference_{n}" for n in (10, 2, 1)]
    content = "\t".join(["source", *names]) + "\nS\tten\ttwo\tone\n"
    (one,) = read_test_set(write(tmp_path, "a.tsv", content))
    assert one.references == ("one", "two", "ten")


@pytest.mark.parametrize(
    "header",
    [
        "sentence_a\tsentence_b",
        "text\tparaphrase",
        "English\tSimple English",
        "Original Text\tReference Text",
        "text1\ttext2",
        "complex\tsimple",
        "sourc\treference",
        "source\tsrc",
        "source\ttgt",
        "id\treference",
    ],
)
@pytest.mark.parametrize("ending", [".tsv", ".csv", ".txt"])
def test_a_header_that_is_unclear_is_refused(tmp_path: Path, header: str, ending: str) -> None:
    """Taken for a row, it would be scored, and drawn into the sentinels."""
    if ending == ".csv":
        header = header.replace("\t", ",")
    row = header.replace(header.split("," if ending == ".csv" else "\t")[0], "One.")
    said = refusal(write(tmp_path, f"a{ending}", f"{header}\n{row}\n"))
    assert "a" + ending in said
    assert "mend:" in said


@pytest.mark.parametrize(
    "line",
    [
        "Input is everything.\tEverything is input.",
        "The text of the source.\tSource text.",
        "Questions!\tWhy?",
        "One\tTwo",
        "Index cards\tCards of an index",
    ],
)
def test_a_sentence_is_no_header(tmp_path: Path, line: str) -> None:
    found = read_test_set(write(tmp_path, "a.tsv", f"{line}\nIt rained.\tRain fell.\n"))
    assert len(found) == 2


def test_a_header_within_a_file_is_refused(tmp_path: Path) -> None:
    part = "source\treference\nOne.\tTwo.\n"
    said = refusal(write(tmp_path, "a.tsv", part + part))
    assert "line 3: the header again" in said


@pytest.mark.parametrize(
    ("record", "cause"),
    [
        ({"source": "A.", "referenes": ["B."]}, "did you mean 'references'?"),
        ({"source": "A.", "gold_texts": ["B."]}, "no references; not read: 'gold_texts'"),
        ({"text": "A.", "labels": ["B."]}, "no column for the source among 'text', 'labels'"),
        ({"sources": "A.", "references": ["B."]}, "did you mean 'source'?"),
        ({"source": "A.", "input": "B.", "references": ["C."]}, "could each be the source"),
        ({"source": "A.", "references": "B."}, "references"),
        ({"source": {"0": "A."}, "reference": {"0": "B."}}, "where a text is needed"),
    ],
)
def test_unknown_and_wrong_keys_are_refused(
    tmp_path: Path, record: dict[str, object], cause: str
) -> None:
    said = refusal(write(tmp_path, "a.jsonl", json.dumps(record) + "\n"))
    assert "line 1" in said
    assert cause in said


def test_keys_that_change_within_a_file_are_refused(tmp_path: Path) -> None:
    records = [{"source": "A.", "references": ["B."]}, {"source": "C.", "targets_": ["D."]}]
    content = "\n".join(map(json.dumps, records))
    assert "line 2" in refusal(write(tmp_path, "a.jsonl", content))


def test_keys_that_are_not_needed_are_named(tmp_path: Path) -> None:
    notices = list[str]()
    content = '{"source": "A.", "references": ["B."], "topic": "x"}\n'
    assert len(read_test_set(write(tmp_path, "a.jsonl", content), notices.append)) == 1
    assert "not read: 'topic'" in notices[0]


@pytest.mark.parametrize(
    ("record", "references"),
    [
        ({"source": "A.", "reference": "B.", "reference_1": "C."}, ("B.", "C.")),
        ({"source": "A.", "references": ["B."], "reference": "C."}, ("B.", "C.")),
        ({"source": "A.", "reference": ["B.", "C."]}, ("B.", "C.")),
        ({"src": "A.", "refs": ["B."], "ref_2": None}, ("B.",)),
    ],
)
def test_references_under_several_keys_are_one_list(
    tmp_path: Path, record: dict[str, object], references: tuple[str, ...]
) -> None:
    notices = list[str]()
    (one,) = read_test_set(write(tmp_path, "a.jsonl", json.dumps(record)), notices.append)
    assert one.references == references
    assert "references from" in notices[0]


def test_parquet_is_read_by_its_names(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pandas.DataFrame({"source": SOURCES, "references": [[text] for text in REFERENCES]})
    table.to_parquet(path)
    assert [one.references for one in read_test_set(path)] == [(text,) for text in REFERENCES]


@pytest.mark.parametrize("as_list", [list, lambda texts: pandas.Series(texts).to_numpy()])
def test_lists_written_as_texts_are_refused(tmp_path: Path, as_list: object) -> None:
    """``to_csv`` of a column of lists: ``"['One.', 'Two.']"`` is no reference."""
    table = pandas.DataFrame({"source": ["A."], "references": [as_list(["One.", "Two."])]})  # type: ignore[operator]
    table.to_csv(tmp_path / "a.csv", index=False)
    assert "line 2: a list in the place of a reference" in refusal(tmp_path / "a.csv")


# Encodings and line ends

LATIN = "The old man slept.\tAt last he slept.\n"
ALPHABETS = [LATIN, "Старик наконец уснул.\tОн уснул.\n", "老人睡着了。\t他终于睡了。\n"]


@pytest.mark.parametrize("text", ALPHABETS)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("ending", [".tsv", ".csv", ".txt"])
def test_utf16_is_named_and_its_cure_works(
    tmp_path: Path, text: str, encoding: str, ending: str
) -> None:
    if ending == ".csv":
        text = "source,reference\n" + text.replace("\t", ",")
    path = write(tmp_path, f"a{ending}", text.encode(encoding))
    said = refusal(path)
    assert "UTF-16" in said
    command = said.partition("mend:")[2].strip()
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    converted = tmp_path / f"utf8-a{ending}"
    assert len(read_test_set(converted)) == 1


def test_utf32_is_not_taken_for_utf16(tmp_path: Path) -> None:
    assert "UTF-32" in refusal(write(tmp_path, "a.tsv", LATIN.encode("utf-32")))


@pytest.mark.parametrize("ending", [".tsv", ".csv"])
def test_the_encoding_of_windows_has_a_cure(tmp_path: Path, ending: str) -> None:
    text = "source\treference\nThe café’s “menu”.\tA menu.\n"
    if ending == ".csv":
        text = text.replace("\t", ",")
    said = refusal(write(tmp_path, f"a{ending}", text.encode("cp1252")))
    assert "line 2: not UTF-8 at byte 8" in said
    command = said.partition("on Windows:")[2].strip()
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    (one,) = read_test_set(tmp_path / f"utf8-a{ending}")
    assert one.source == "The café’s “menu”."


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", LATIN),
        ("b.tsv", "source\treference\n" + LATIN),
        ("a.csv", "source,reference\nThe old man slept.,At last he slept.\n"),
        ("a.jsonl", '{"source": "The old man slept.", "references": ["At last he slept."]}\n'),
    ],
)
def test_a_byte_order_mark_is_no_text(tmp_path: Path, name: str, content: str) -> None:
    (one,) = read_test_set(write(tmp_path, name, content.encode("utf-8-sig")))
    assert one.source == "The old man slept."


@pytest.mark.parametrize("ending", [".tsv", ".csv"])
def test_the_line_ends_of_old_macs_are_named(tmp_path: Path, ending: str) -> None:
    """Read as one line, the file would be one row with a reference of all its text."""
    text = "source\treference\rOne.\tTwo.\rThree.\tFour.\r"
    if ending == ".csv":
        text = text.replace("\t", ",")
    said = refusal(write(tmp_path, f"a{ending}", text))
    assert "carriage return" in said
    command = said.partition("mend:")[2].strip()
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    assert len(read_test_set(tmp_path / f"lines-a{ending}")) == 2


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", "One.\tTwo.\n\n"),
        ("a.tsv", "source\treference\nOne.\tTwo.\n  \n\n"),
        ("a.csv", "source,reference\nOne.,Two.\n\n"),
        ("a.jsonl", '{"source": "One.", "references": ["Two."]}\n\n'),
    ],
)
def test_blank_last_lines_have_a_cure(tmp_path: Path, name: str, content: str) -> None:
    said = refusal(write(tmp_path, name, content))
    assert "blank" in said
    assert f"delete the blank lines of {name}" in said


@pytest.mark.parametrize("name", ["a.tsv", "a.csv"])
def test_a_nul_is_refused_with_its_line(tmp_path: Path, name: str) -> None:
    text = "source\treference\nOne.\tTwo.\nThr\0ee.\tFour.\n"
    if name == "a.csv":
        text = text.replace("\t", ",")
    assert "line 3: a NUL character" in refusal(write(tmp_path, name, text))


def test_a_nul_is_not_taken_for_utf16(tmp_path: Path) -> None:
    assert "line 1: a NUL character" in refusal(write(tmp_path, "a.tsv", "A b\0c. d\tE f g.\n"))


def test_a_tab_in_quotes_is_refused_without_a_header(tmp_path: Path) -> None:
    said = refusal(write(tmp_path, "a.tsv", '"One\tand two."\tThree.\n'))
    assert "line 1: a cell in quotes seems to hold a tab" in said
    assert "a.jsonl" in said


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_a_json_array_has_a_cure_that_works(tmp_path: Path, indent: int | None, name: str) -> None:
    records = [{"source": text, "references": [text]} for text in SOURCES]
    said = refusal(write(tmp_path, name, json.dumps(records, indent=indent)))
    assert "an array begins" in said
    command = said.partition("mend:")[2].strip()
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    assert [one.source for one in read_test_set(tmp_path / "a-lines.jsonl")] == SOURCES


# Predictions

LOOP = "la " * 3000
ENDLESS = "la " * 2_000_000


@pytest.mark.parametrize("loop", [LOOP, ENDLESS])
@pytest.mark.parametrize("ending", [".txt", ".jsonl", ".csv", ".tsv"])
def test_a_looping_output_is_its_row_alone(tmp_path: Path, loop: str, ending: str) -> None:
    outputs = ["He slept.", loop, "Rain fell."]
    path = tmp_path / f"out{ending}"
    if ending == ".txt":
        path.write_text("\n".join(outputs) + "\n")
    elif ending == ".jsonl":
        lines = [json.dumps({"id": str(n), "prediction": text}) for n, text in enumerate(outputs)]
        path.write_text("\n".join(lines))
    else:
        separator = "," if ending == ".csv" else "\t"
        table = pandas.DataFrame({"id": range(3), "prediction": outputs})
        table.to_csv(path, index=False, sep=separator)
    notices = list[str]()
    found = read_predictions(path, EXAMPLES, notices.append)
    assert found.texts == ["He slept.", loop[:LONGEST_TEXT], "Rain fell."]
    assert found.cut == {1}
    assert any("longer than 4096 characters" in said for said in notices)


def test_a_looping_output_beside_its_source(tmp_path: Path) -> None:
    table = pandas.DataFrame(
        {"source": ["A.", "B."], "prediction": ["C.", LOOP], "ref": ["D.", "E."]}
    )
    table.to_csv(tmp_path / "a.csv", index=False)
    found = read_predictions(tmp_path / "a.csv")
    assert (len(found), found.cut) == (2, {1})


@pytest.mark.parametrize(("position", "character"), [(-1, "é"), (-2, "老"), (-3, "😀")])
def test_a_cut_falls_between_characters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, position: int, character: str
) -> None:
    monkeypatch.setattr("parabench.data.prediction_rows.LONGEST_PREDICTION_LINE", 5000)
    text = "x" * (5000 + position) + character * 10
    path = write(tmp_path, "out.txt", f"one\n{text}\nthree\n")
    assert read_predictions(path, EXAMPLES).texts[1] == "x" * LONGEST_TEXT


@pytest.mark.parametrize("name", ["out.txt", "out.csv", "out.tsv"])
def test_a_single_column_may_have_a_name(tmp_path: Path, name: str) -> None:
    notices = list[str]()
    path = write(tmp_path, name, "prediction\none\ntwo\nthree\n")
    assert read_predictions(path, EXAMPLES, notices.append).texts == ["one", "two", "three"]
    assert notices


def test_ids_decide_and_not_the_row_numbers(tmp_path: Path) -> None:
    table = pandas.DataFrame({"id": ["2", "0", "1"], "prediction": ["two", "zero", "one"]})
    table.to_csv(tmp_path / "out.csv")
    assert read_predictions(tmp_path / "out.csv", EXAMPLES).texts == ["zero", "one", "two"]


def test_rows_in_another_order_without_ids_are_refused(tmp_path: Path) -> None:
    frame("source", "prediction").iloc[::-1].to_csv(tmp_path / "out.csv", index=False)
    with pytest.raises(UserError, match="its source is not that of the example"):
        read_predictions(tmp_path / "out.csv", EXAMPLES)


def test_outputs_that_may_be_missing_are_named(tmp_path: Path) -> None:
    table = pandas.DataFrame({"id": range(3), "prediction": ["one", None, "nan"]})
    table.to_csv(tmp_path / "out.csv", index=False)
    notices = list[str]()
    assert read_predictions(tmp_path / "out.csv", EXAMPLES, notices.append).texts[1] == ""
    assert any("empty outputs" in said for said in notices)
    assert any("'nan'" in said for said in notices)


@pytest.mark.parametrize("extra", ["model", "tgt"])
def test_predictions_without_known_references(tmp_path: Path, extra: str) -> None:
    """With a test set beside them they are not needed; alone they are."""
    table = frame("source", "prediction").assign(**{extra: "x"})
    table.to_csv(tmp_path / "out.csv", index=False)
    assert read_predictions(tmp_path / "out.csv", EXAMPLES).texts == OUTPUTS
    said = refusal(tmp_path / "out.csv", predictions=True)
    assert f"not read: '{extra}'" in said
    assert "--data FILE" in said


def test_blank_lines_behind_plain_outputs_have_a_cure(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="delete the blank lines at the end"):
        read_predictions(write(tmp_path, "out.txt", "one\ntwo\nthree\n\n\n"), EXAMPLES)


def test_a_quoted_line_feed_is_part_of_its_cell(tmp_path: Path) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([["id", "prediction"], ["0", "a\nb"], ["1", "c"], ["2", "d"]])
    found = read_predictions(write(tmp_path, "out.csv", text.getvalue()), EXAMPLES)
    assert found.texts == ["a\nb", "c", "d"]
