"""``parabench score`` with several files and names, and scorers found by column or in capitals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sacrebleu import corpus_bleu
from typer.testing import CliRunner

from parabench.cli import app
from parabench.contracts import UserError

SOURCES = [f"the old man number {n} walked his dog along the river" for n in range(12)]
REFERENCES = [f"along the river walked old man {n} with his dog" for n in range(12)]
GOOD = [text.replace("with his", "and his") for text in REFERENCES]
BAD = [text.split(" ", 3)[3] for text in SOURCES]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rows = zip(SOURCES, REFERENCES, strict=True)
    (tmp_path / "test.tsv").write_text("".join(f"{s}\t{r}\n" for s, r in rows))
    (tmp_path / "one.txt").write_text("\n".join(GOOD) + "\n")
    (tmp_path / "two.txt").write_text("\n".join(BAD) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def score(*arguments: str) -> tuple[str, dict[str, Any]]:
    """What the terminal shows, and the leaderboard that was written."""
    asked = ["score", *arguments, "--device", "cpu", "--output", "out"]
    done = CliRunner().invoke(app, asked, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout, json.loads(Path("out/leaderboard.json").read_text())


def refusal(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["score", *arguments, "--device", "cpu"])
    assert isinstance(done.exception, UserError), done.output
    return str(done.exception)


def test_two_files_are_one_table_with_paired_tests(folder: Path) -> None:
    printed, board = score("a=one.txt", "b=two.txt", "--data", "test.tsv", "--scorers", "bleu")
    rows = {row["system"]: row for row in board["rows"]}
    assert {"a", "b", "copy"} <= set(rows)
    expected = corpus_bleu(GOOD, [REFERENCES]).score
    assert rows["a"]["scores"]["bleu"]["value"] == pytest.approx(expected, abs=1e-9)
    test = next(
        one
        for one in board["comparisons"]
        if {one["first"], one["second"]} == {"a", "b"} and one["column"] == "bleu"
    )
    line = next(
        text for text in printed.splitlines() if text.startswith("  a - b") and "bleu" in text
    )
    assert line.endswith(f"p {test['p']:.4f}")


def test_files_that_hold_references_must_agree(folder: Path) -> None:
    for name, texts, references in (
        ("a.tsv", GOOD, REFERENCES),
        ("b.tsv", BAD, REFERENCES),
        ("c.tsv", BAD, list(reversed(REFERENCES))),
    ):
        rows = zip(SOURCES, texts, references, strict=True)
        Path(name).write_text("".join("\t".join(row) + "\n" for row in rows))
    _, board = score("a.tsv", "b.tsv", "--scorers", "bleu")
    assert {"a", "b"} <= {row["system"] for row in board["rows"]}
    assert "have other references" in refusal("a.tsv", "c.tsv")


def test_the_order_of_a_second_file_does_not_matter(folder: Path) -> None:
    rows = [
        {"source": s, "prediction": t, "references": [r]}
        for s, t, r in zip(SOURCES, GOOD, REFERENCES, strict=True)
    ]
    Path("a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    Path("b.jsonl").write_text("\n".join(map(json.dumps, reversed(rows))))
    _, board = score("a.jsonl", "b.jsonl", "--scorers", "bleu")
    values = {row["system"]: row["scores"]["bleu"]["value"] for row in board["rows"]}
    assert values["a"] == values["b"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ("a=one.txt", "a=two.txt", "--data", "test.tsv"),
            "the name 'a' is already that of one.txt",
        ),
        (("copy=one.txt", "--data", "test.tsv"), "it is the name of a control"),
        (("one.txt", "--data", "test.tsv", "--scorers", "blue"), "did you mean bleu?"),
        (("one.txt", "--data", "test.tsv", "--scorers", "src_blue"), "did you mean src_bleu?"),
    ],
)
def test_what_is_unclear_is_refused(folder: Path, arguments: tuple[str, ...], says: str) -> None:
    assert says in refusal(*arguments)


def test_a_name_with_an_equals_sign_in_a_file_name(folder: Path) -> None:
    Path("lr=0.1.txt").write_text("\n".join(GOOD) + "\n")
    _, board = score("lr=0.1.txt", "--data", "test.tsv", "--scorers", "bleu")
    assert "lr=0.1" in {row["system"] for row in board["rows"]}


@pytest.mark.parametrize(("asked", "column"), [("BLEU", "bleu"), ("src_bleu", "src_bleu")])
def test_scorers_are_found_by_column_and_case(folder: Path, asked: str, column: str) -> None:
    _, board = score("one.txt", "--data", "test.tsv", "--scorers", asked)
    assert column in {one["name"] for one in board["columns"]}


def test_tests_stand_once_and_few_examples_have_no_interval(folder: Path) -> None:
    """With 12 examples no interval keeps its promise, of no value and of no difference."""
    printed, board = score("a=one.txt", "b=two.txt", "--data", "test.tsv", "--scorers", "ibleu")
    assert printed.count("a - b") == len({"ibleu", "src_bleu"})
    assert "95 % interval" not in printed
    assert "truly differ" not in printed
    assert board["detectable"] is None
    marked = next(line for line in printed.splitlines() if "a - b" in line and "src_bleu" in line)
    assert ("⚠" in marked) == ("src_bleu" in board["invalid"])


def test_the_tests_of_many_examples_stand_once(folder: Path) -> None:
    rows = list(zip(SOURCES, REFERENCES, strict=True)) * 4
    Path("test.tsv").write_text(
        "".join(f"{source} {at}\t{text} {at}\n" for at, (source, text) in enumerate(rows))
    )
    for name, texts in (("one.txt", GOOD), ("two.txt", BAD)):
        Path(name).write_text("".join(f"{text} {at}\n" for at, text in enumerate(texts * 4)))
    printed, _ = score("a=one.txt", "b=two.txt", "--data", "test.tsv", "--scorers", "ibleu")
    assert printed.count("paired tests") + printed.count("Paired tests") == 1
    assert "95 % interval, adjusted p" in printed


def test_what_is_undefined_in_all_rows_is_said_once(folder: Path) -> None:
    rows = [(f"Никто не ответил {at}", f"Ответа не было {at}") for at in range(12)]
    Path("ru.tsv").write_text("".join(f"{one}\t{other}\n" for one, other in rows))
    Path("ru.txt").write_text("".join(f"{other}\n" for _, other in rows))
    printed, _ = score("a=ru.txt", "b=ru.txt", "--data", "ru.tsv", "--scorers", "rouge,bleu")
    assert printed.replace("\n", " ").count("no reference keeps half") == 1
    assert "all rows rouge1, " in printed
    assert "nan" not in printed


def test_examples_of_one_source_are_named(folder: Path) -> None:
    Path("test.tsv").write_text(f"{SOURCES[0]}\tOne.\n{SOURCES[0]}\tTwo.\n")
    Path("one.txt").write_text("One.\nTwo.\n")
    said = refusal("one.txt", "--data", "test.tsv")
    assert f"2 examples share one source: {SOURCES[0]!r}" in said
