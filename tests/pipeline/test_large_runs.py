"""Runs of many examples: what stays on disk until it is asked for, and what the page shows of
them.
"""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path

import numpy as np
import pandas
import pytest

from parabench import scratch
from parabench.contracts import Example, UserError
from parabench.data import examples
from parabench.data.test_sets import read_test_set
from parabench.pipeline import plan as planning
from parabench.pipeline import run_logs, runner, stages
from parabench.report import assemble
from parabench.report.results import shown_positions
from parabench.sequences import LazyMap
from parabench.stats import arrays
from parabench.stats.clusters import ClusterIndex
from parabench.store import example_store, positions
from parabench.store.example_store import ExampleStore
from parabench.store.log import Log, finished_predictions
from parabench.store.records import canonical_json
from parabench.store.run_folder import RunFolder, open_run, verify_run
from parabench.suites.suite import Suite
from tests.support.stored import stored_examples

COUNT, LENGTH = 200, 10_000


def finished(folder: Path) -> RunFolder:
    """A finished log of two megabytes."""
    run = RunFolder(folder)
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
    records = finished_predictions(tmp_path, "copy").records
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert min(lengths) > LENGTH
    assert (len(records), records[7][0]) == (COUNT, "e7")
    assert peak < 0.6 * COUNT * LENGTH


def test_examples_are_written_and_compared_without_a_copy(tmp_path: Path) -> None:
    records = [
        {"id": f"e{number}", "source": f"{number} " + "x" * LENGTH} for number in range(COUNT)
    ]
    tracemalloc.start()
    with open_run(tmp_path, {}) as run:
        run.write_examples(records)
        run.write_examples(records)
        assert stored_examples(tmp_path)[3] == records[3]
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


def test_the_digest_of_texts_is_over_canonical_json() -> None:
    named = [Example(name, name, ()) for name in ("b", "a", "ä", "10", "9")]
    texts = [[f"text of {example.id}", "é"] for example in named]
    whole = {example.id: several for example, several in zip(named, texts, strict=True)}
    assert (
        run_logs.digest_of_texts(examples.EvaluationSet(ExampleStore(named)), texts)
        == hashlib.sha256(canonical_json(whole)).hexdigest()
    )


def test_the_page_holds_a_sample_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data.tsv"
    data.write_text(
        "".join(f"The source number {n}.\tThe reference number {n}.\n" for n in range(12))
    )
    suite = Suite(
        name="many",
        title="Many",
        data=str(data),
        systems=("copy",),
        scorers=("bleu",),
        headline="bleu",
    )
    made = planning.make_plan(planning.RunRequest(suite, device="cpu", output=tmp_path / "run"))
    board = runner.run_plan(made)
    whole = (tmp_path / "run/report.html").read_text()
    monkeypatch.setattr(assemble, "_MAX_PAGE_EXAMPLES", 5)
    # twelve examples have no interval, and NaN is not equal to itself
    assert repr(assemble.write_reports(tmp_path / "run")) == repr(board)
    page = (tmp_path / "run/report.html").read_text()
    assert "5 of 12 examples" in page
    assert "of 12 examples" not in whole
    chosen = [str(place + 1) for place in shown_positions(12, 5, 0)]
    assert [one for one in map(str, range(1, 13)) if f'"id":"{one}"' in page] == sorted(
        chosen, key=int
    )
    assert json.loads((tmp_path / "run/leaderboard.json").read_text())["rows"][0]["asked"] == 12


def test_single_clusters_are_not_held() -> None:
    count = 200_000
    # Hashes of names are what a run has; of random ones no two are equal.
    labels = np.random.default_rng(0).integers(0, 1 << 63, count).astype(np.uint64)
    tracemalloc.start()
    index = ClusterIndex(count, labels)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(index) == count
    assert index.members(7).tolist() == [7]
    assert kept < 0.1 * count
    assert peak < 8 * count, "no copy of all labels is made in memory"


def test_one_repeated_label_among_many_is_found() -> None:
    labels = np.random.default_rng(0).permutation(50_000).astype(np.uint64)
    labels[40_000] = labels[7]
    index = ClusterIndex(len(labels), labels)
    assert len(index) == len(labels) - 1
    assert index.members(7).tolist() == [7, 40_000]


@pytest.mark.parametrize("block", [3, 1 << 16])
def test_clusters_are_pandas_groups(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "BLOCK", block)
    labels = np.random.default_rng(1).integers(0, 40, 100).astype(np.uint64)
    numbers, groups = pandas.factorize(labels)
    index = ClusterIndex(len(labels), labels)
    assert index.numbers.tolist() == numbers.tolist()
    assert len(index) == len(groups)
    for cluster in range(len(groups)):
        assert index.members(cluster).tolist() == np.flatnonzero(numbers == cluster).tolist()


def test_clusters_are_numbered_by_first_appearance() -> None:
    names = ["c", "a", "c", "b", "a"]
    numbers = np.array([9, 4, 9, 7, 4], dtype=np.uint64)
    for given in (names, numbers):
        index = ClusterIndex(5, given)
        members = [index.members(cluster).tolist() for cluster in range(len(index))]
        assert members == [[0, 2], [1, 4], [3]]
    sums = ClusterIndex(5, names).sums([np.arange(10.0).reshape(1, 5, 2)])
    assert sums[0].tolist() == [[[0 + 4, 1 + 5], [2 + 8, 3 + 9], [6, 7]]]


def test_a_run_of_many_examples_is_that_of_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is held, and what is on disk from a number of examples on, makes the same files."""
    data = tmp_path / "data.jsonl"
    records = [
        {
            "id": f"e{n}",
            "source": f"Source number {n} is here.",
            "references": [f"It is {n}.", f"A {n}.", f"A {n}."],
        }
        for n in range(40)
    ]
    records += [records[3] | {"id": "twin", "references": ["A 3.", "Of 3."]}]
    data.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    controls = ("human", "copy", "shuffled", "other-sentence")
    suite = Suite(
        name="many",
        title="Many",
        data=str(data),
        controls=controls,
        scorers=("bleu",),
        headline="bleu",
    )
    for name in ("held", "kept"):
        if name == "kept":
            monkeypatch.setattr(example_store, "HELD_IN_MEMORY", 7)
            monkeypatch.setattr(positions, "_UNSORTED", 5)
            monkeypatch.setattr(arrays, "ROWS_AT_ONCE", 7)
            monkeypatch.setattr(stages, "SOURCES_AT_ONCE", 9)
        plan = planning.make_plan(planning.RunRequest(suite, device="cpu", output=tmp_path / name))
        assert plan.data.examples.is_held == (name == "held")
        runner.run_plan(plan)
        assert verify_run(tmp_path / name) == []
        assert len(runner.run_plan(plan).rows) == len(controls)
    few, many = (
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in sorted((tmp_path / name).rglob("*.*"))
        }
        for name in ("held", "kept")
    )
    assert few == many


def _numbered(number: int) -> Example:
    """An example whose reference every fourth other one shares with it."""
    return Example(f"e{number}", f"Number {number}.", (f"The {number - number % 4 // 3 * 3}.",))


def _examples(count: int) -> object:
    """Examples as they are scored, with their clusters."""
    given = LazyMap(_numbered, range(count))
    assert examples.are_distinct(LazyMap(attrgetter("id"), given))
    return examples.evaluation_set(given, None, 0)


def _positions_of_ids(count: int) -> object:
    """Which ids a log has, and the positions in their order."""
    known = positions.IdPositions()
    for number in range(count):
        known.add(f"e{number}", number)
    return known, positions.sorted_positions(LazyMap("e{}".format, range(count)), held=500)


def _clusters(count: int) -> object:
    """The clusters of a report, of three rows each."""
    labels = scratch.scratch_copy((n // 3 for n in range(count)), count, np.uint64)
    return ClusterIndex(count, labels)


@pytest.mark.parametrize("made", [_examples, _positions_of_ids, _clusters])
def test_memory_does_not_grow_with_examples(
    made: Callable[[int], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is done of many examples from 20,000 on is done from 500 on here."""
    monkeypatch.setattr(example_store, "HELD_IN_MEMORY", 500)
    monkeypatch.setattr(positions, "_UNSORTED", 500)
    monkeypatch.setattr(scratch, "HELD_BYTES", 500)
    monkeypatch.setattr(scratch, "BLOCK", 500)
    few, many = 1_000, 11_000
    made(few)  # imports
    peaks = []
    for count in (few, many):
        tracemalloc.start()
        made(count)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 8 * (many - few)


def test_a_source_or_an_id_that_comes_twice_is_found_among_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(example_store, "HELD_IN_MEMORY", 3)
    lines = [
        {"id": f"e{n % 9}", "source": f"s {n % 8}", "references": [f"r {n}", "r"]} for n in range(9)
    ]
    data = tmp_path / "data.jsonl"
    data.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    found = examples.evaluation_set(read_test_set(data), None, 0)
    assert (len(found.examples), found.references, found.dropped) == (8, 2, 1)
    data.write_text("".join(f"{json.dumps(line)}\n" for line in [*lines, lines[4]]))
    with pytest.raises(UserError, match="line 10: the id 'e4' stands in line 5 too"):
        read_test_set(data)


def test_places_are_found_whether_they_are_sorted_in_or_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(positions, "_UNSORTED", 4)
    monkeypatch.setattr(scratch, "BLOCK", 3)
    known = positions.IdPositions()
    names = [f"e{number}" for number in range(87)]
    assert [known.add(name, 100 + at) for at, name in enumerate(names)] == list(range(100, 187))
    assert [known.add(name, 0) for name in names] == list(range(100, 187))
    assert [known.get(name) for name in ("e0", "e86", "e87")] == [100, 186, None]
    assert len(known) == 87
