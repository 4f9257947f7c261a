"""Runs of many examples: what stays on disk until it is asked for, and what the page shows of them."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from parabench import planning, runner
from parabench.clusters import Groups
from parabench.contracts import Example, UserError
from parabench.records import canonical
from parabench.report import assemble
from parabench.report.evidence import shown
from parabench.store import Log, Run, open_run, read_finished
from parabench.suites import Suite

COUNT, LENGTH = 200, 10_000


def finished(folder: Path) -> Run:
    """A finished log of two megabytes."""
    run = Run(folder)
    log = run.log("predictions", "copy", key={})
    for number in range(COUNT):
        log.append([(f"e{number}", {"text": f"{number} " + "x" * LENGTH})])
    log.seal([f"e{number}" for number in range(COUNT)])
    return run


def test_a_log_is_finished_and_read_without_holding_its_texts(tmp_path: Path) -> None:
    tracemalloc.start()
    run = finished(tmp_path)
    log = run.log("predictions", "copy", key={})
    lengths = {len(log.done[f"e{number}"]["text"]) for number in range(COUNT)}
    records = read_finished(tmp_path, "predictions", "copy").records
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert min(lengths) > LENGTH
    assert (len(records), records[7][0]) == (COUNT, "e7")
    assert peak < 0.6 * COUNT * LENGTH


def test_examples_are_written_and_compared_without_a_copy(tmp_path: Path) -> None:
    examples = [{"id": f"e{number}", "source": f"{number} " + "x" * LENGTH} for number in range(COUNT)]
    tracemalloc.start()
    with open_run(tmp_path, {}) as run:
        run.write_examples(examples)
        run.write_examples(examples)
        assert run.read_examples()[3] == examples[3]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.6 * COUNT * LENGTH


def test_a_record_that_changed_after_it_was_verified_is_refused(tmp_path: Path) -> None:
    log = Log(tmp_path, "predictions", ("copy",), {})
    log.append([("a", {"text": "true"}), ("b", {"text": "true"})])
    path = tmp_path / "predictions/copy.part.jsonl"
    with path.open("r+b") as file:
        file.seek(path.read_bytes().index(b"true"))
        file.write(b"fals")
    with pytest.raises(UserError, match="line 2"):
        log.done["a"]
    with pytest.raises(UserError, match="line 2"):
        log.seal(["a", "b"])
    assert log.done["b"] == {"text": "true"}


def test_the_digest_of_texts_is_that_of_all_of_them_in_canonical_json() -> None:
    examples = [Example(name, name, ()) for name in ("b", "a", "ä", "10", "9")]
    texts = [[f"text of {example.id}", "é"] for example in examples]
    whole = {example.id: several for example, several in zip(examples, texts, strict=True)}
    assert runner._digest(examples, texts) == hashlib.sha256(canonical(whole)).hexdigest()


def test_the_page_holds_a_sample_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data.tsv"
    data.write_text("".join(f"The source number {n}.\tThe reference number {n}.\n" for n in range(12)))
    suite = Suite(name="many", title="Many", data=str(data), systems=("copy",), scorers=("bleu",), headline="bleu")
    made = planning.plan(planning.Request(suite, device="cpu", output=tmp_path / "run"))
    board = runner.run(made)
    whole = (tmp_path / "run/report.html").read_text()
    monkeypatch.setattr(assemble, "SHOWN", 5)
    assert assemble.write_reports(tmp_path / "run") == board
    page = (tmp_path / "run/report.html").read_text()
    assert "5 of 12 examples" in page
    assert "of 12 examples" not in whole
    chosen = [str(place + 1) for place in shown(12, 5, 0)]
    assert [one for one in map(str, range(1, 13)) if f'"id":"{one}"' in page] == sorted(chosen, key=int)
    assert json.loads((tmp_path / "run/leaderboard.json").read_text())["rows"][0]["asked"] == 12


def test_clusters_are_numbered_by_first_appearance_whatever_names_them() -> None:
    names = ["c", "a", "c", "b", "a"]
    numbers = np.array([9, 4, 9, 7, 4], dtype=np.uint64)
    for clusters in (names, numbers):
        assert [one.tolist() for one in Groups(5, clusters).members] == [[0, 2], [1, 4], [3]]
    sums = Groups(5, names).sums([np.arange(10.0).reshape(1, 5, 2)])
    assert sums[0].tolist() == [[[0 + 4, 1 + 5], [2 + 8, 3 + 9], [6, 7]]]
