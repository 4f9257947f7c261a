"""Every loader meets bytes that nobody meant: what it takes it takes exactly, and all else is a
UserError.

Each loader is held against a plain reading of the same bytes, so a text that slips to another line
is seen.
"""

import json
import re
import signal
import tomllib
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from parabench.contracts import Example, UserError
from parabench.data.lines import LONGEST_TEXT
from parabench.data.predictions import read_predictions
from parabench.data.test_sets import read_test_set
from parabench.pipeline import plan as planning
from parabench.pipeline import runner
from parabench.report.run_reader import load_results
from parabench.stats.arrays import seed_mean
from parabench.store.run_folder import verify_run
from parabench.suites import suite as suites
from tests.support import light
from tests.support.fuzzing import mutants, randomly, trials

PATIENCE = 20
"""Seconds after which one input hangs a loader."""


def rows(data: bytes) -> list[str]:
    """The lines of a file by its line feeds alone."""
    lines = data.decode("utf-8-sig").split("\n")
    lines = lines[:-1] if lines[-1] == "" else lines
    return [line.removesuffix("\r") for line in lines]


def examples_tsv(path: Path) -> None:
    assert [(e.source, *e.references) for e in read_test_set(path)] == [
        tuple(r.split("\t")) for r in rows(path.read_bytes())
    ]


def examples_jsonl(path: Path) -> None:
    read, records = read_test_set(path), [json.loads(row) for row in rows(path.read_bytes())]
    assert [(e.source, list(e.references)) for e in read] == [
        (r["source"], r.get("references", [])) for r in records
    ]
    assert [e.id for e in read] == [str(r.get("id", n)) for n, r in enumerate(records, 1)]


def predictions_tsv(path: Path) -> None:
    read = [(e.source, text, *e.references) for e, text in read_predictions(path)]
    cells = [r.split("\t") for r in rows(path.read_bytes())]
    assert read == [(row[0], row[1][:LONGEST_TEXT], *row[2:]) for row in cells]


def records_of(path: Path) -> list[dict[str, Any]]:
    """The objects of the lines; a reader of names overlooks case and what joins words."""
    objects = [json.loads(row) for row in rows(path.read_bytes())]
    return [
        {re.sub(r"[\s_.:-]+", "", name).lower(): value for name, value in one.items()}
        for one in objects
    ]


def predictions_jsonl(path: Path) -> None:
    read = [(e.source, text, list(e.references)) for e, text in read_predictions(path)]
    records = records_of(path)
    assert read == [
        (r["source"], r["prediction"][:LONGEST_TEXT], r.get("references", [])) for r in records
    ]


BESIDE = [Example(f"e{n}", f"source {n}", ("r",)) for n in range(3)]


def predictions_by_id(path: Path) -> None:
    read = {example.id: text for example, text in read_predictions(path, BESIDE)}
    records = records_of(path)
    assert read == {str(r["id"]): r["prediction"][:LONGEST_TEXT] for r in records}


def predictions_in_order(path: Path) -> None:
    read = read_predictions(path, BESIDE)
    assert [example.id for example, _ in read] == ["e0", "e1", "e2"]
    assert [text for _, text in read] == [row[:LONGEST_TEXT] for row in rows(path.read_bytes())]


def suite(path: Path) -> None:
    read, raw = suites.load_suite(str(path)), tomllib.loads(path.read_text(encoding="utf-8"))
    assert read.title == raw["title"] or raw["title"].startswith(
        ("./", "../")
    )  # taken for a path beside the file
    assert list(read.scorers) == raw["scorers"]
    assert {name: dict(table) for name, table in read.scorer.items()} == raw.get("scorer", {})


RECORDS = [
    {
        "id": f"e{n}",
        "source": f"The {n}th  source ",
        "prediction": "p",
        "references": [f"é {n}", "r"],
    }
    for n in range(3)
]
JSONL = "".join(f"{json.dumps(record)}\n" for record in RECORDS).encode()
TSV = b"A source\ttext\ta reference\tanother\nS2\tt2\tr2\tr3\r\nS3\tt3\tr4\tr5"
TOML = b"""name = "x"
title = "A title"
data = "./data.jsonl"
systems = ["copy"]
scorers = ["bleu", "rouge"]
headline = "bleu"
[decoding]
max_new_tokens = 8
temperature = 0.5
[normalise]
case = "lower"
[scorer.bleu]
lowercase = true
"""
LOADERS = {
    "examples, TSV": (examples_tsv, "a.tsv", TSV),
    "examples, JSONL": (examples_jsonl, "a.jsonl", JSONL),
    "predictions, TSV": (predictions_tsv, "p.tsv", TSV),
    "predictions, JSONL": (predictions_jsonl, "p.jsonl", JSONL),
    "predictions by id": (predictions_by_id, "p.jsonl", JSONL),
    "predictions in order": (predictions_in_order, "p.txt", b"one\n\nthree \n"),
    "suites": (suite, "s.toml", TOML),
}


class Hung(BaseException):
    """One input took longer than the patience."""


@contextmanager
def patience():
    def hang(*arguments):
        raise Hung

    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def offer(name: str, folder: Path, data: bytes) -> str:
    """What becomes of one input: anything but taken and refused is an error of the loader's."""
    check, file, _ = LOADERS[name]
    (folder / file).write_bytes(data)
    with patience():
        try:
            check(folder / file)
        except UserError:
            return "refused"
    return "taken"


def fuzz(folder: Path, name: str, number: int) -> Counter[str]:
    """So many inputs to a loader, and what became of them."""
    return Counter(offer(name, folder, data) for data in randomly(number, LOADERS[name][2]))


@pytest.mark.parametrize("name", LOADERS)
def test_bytes_are_taken_exactly_or_refused(tmp_path, name):
    assert offer(name, tmp_path, LOADERS[name][2]) == "taken"
    tally = fuzz(tmp_path, name, 100)

    @trials(60)
    @given(mutants(LOADERS[name][2]))
    def one(data: bytes) -> None:
        tally[offer(name, tmp_path, data)] += 1

    one()
    assert tally["refused"] and tally["taken"], tally  # noqa: PT018


@pytest.mark.slow
@pytest.mark.parametrize("name", LOADERS)
def test_ten_thousand_inputs_are_taken_exactly_or_refused(tmp_path, name):
    tally = fuzz(tmp_path, name, 10_000)
    assert min(tally["taken"], tally["refused"]) > 100, tally


@pytest.mark.parametrize(
    "text", ['data = "a\\u0000b"', 'data = "./a\\u0000b"', f"data = {'[' * 5000}"]
)
def test_a_suite_with_an_impossible_path_is_refused(tmp_path, text):
    (tmp_path / "s.toml").write_bytes(TOML.replace(b'data = "./data.jsonl"', text.encode()))
    with pytest.raises(UserError):
        planning.make_plan(
            planning.RunRequest(suites.load_suite(str(tmp_path / "s.toml")), device="cpu")
        )


def test_a_name_that_stands_twice_in_a_record_is_refused(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"source": "one", "source": "two", "references": ["r"]}\n')
    with pytest.raises(UserError, match="occurs twice"):
        read_test_set(tmp_path / "a.jsonl")


def test_a_loader_that_lets_texts_slip_is_caught(tmp_path, monkeypatch):
    """str.splitlines and text mode take U+2028 and lone carriage returns for the ends of lines."""

    def slipping(path):
        return [
            Example(str(n), *_pair(line)) for n, line in enumerate(path.read_text().splitlines(), 1)
        ]

    def _pair(line):
        source, *references = line.split("\t")
        return source, tuple(references)

    monkeypatch.setitem(globals(), "read_test_set", slipping)
    (tmp_path / "a.tsv").write_text("one\u2028more\ttwo\n")
    with pytest.raises(AssertionError):
        examples_tsv(tmp_path / "a.tsv")


def contents(folder: Path):
    """All that a report is made of."""
    results = load_results(folder)
    outputs = {
        name: (dict(output.texts), output.signature) for name, output in results.outputs.items()
    }
    measured = {name: one.statistics.items() for name, one in results.measured.items()}
    arrays = {
        name: {system: seed_mean(rows).tobytes() for system, rows in items}
        for name, items in measured.items()
    }
    return list(results.examples), outputs, arrays


def mangled(run: Path, number: int) -> Counter[str]:
    """Every file of a finished run in turn, changed: nothing else is reported, and nothing ends in
    a traceback.
    """
    truth, tally = contents(run), Counter()
    manifest = json.loads((run / "manifest.json").read_text())["files"]
    for name in [*manifest, "manifest.json"]:
        original = (run / name).read_bytes()
        for data in randomly(number, original):
            (run / name).write_bytes(data)
            assert data == original or verify_run(run), f"{name} verifies"
            tally[_read_again(run, truth)] += 1
        (run / name).write_bytes(original)
    assert contents(run) == truth
    assert verify_run(run) == []
    return tally


def _read_again(run: Path, truth) -> str:
    with patience():
        try:
            assert contents(run) == truth
        except UserError:
            return "refused"
    return "harmless"


def test_a_changed_run_is_refused_or_reads_as_it_was(tmp_path):
    plan = light.plan(tmp_path)
    runner.run_plan(plan)
    assert mangled(plan.folder, 12)["refused"]


@pytest.mark.slow
def test_ten_thousand_changed_runs_are_refused_or_read_alike(tmp_path):
    plan = light.plan(tmp_path)
    runner.run_plan(plan)
    tally = mangled(plan.folder, 2_000)
    assert tally.total() > 10_000, tally
