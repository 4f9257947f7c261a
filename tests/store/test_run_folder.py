import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parabench.contracts import UserError
from parabench.store.append_only import AppendOnlyFile
from parabench.store.files import write_atomically
from parabench.store.log import Log, finished_statistics, read_log
from parabench.store.records import slug
from parabench.store.run_folder import open_run, verify_run
from tests.support.stored import stored_examples

SPEC = {"suite": "toy", "decoding": {"num_beams": 1}}
IDS = ["a", "b", "c"]


def predictions(folder, key=None, system="copy"):
    return Log(folder, "predictions", (system,), key or {"seed": 0})


def finished_run(folder):
    with open_run(folder, SPEC) as run:
        run.write_examples(
            [{"id": name, "source": f"source {name}", "references": ["r"]} for name in IDS]
        )
        log = run.log("predictions", "copy", key={"seed": 0})
        log.append([(name, {"text": name}) for name in reversed(IDS)])
        log.seal(IDS)
        log = run.log("statistics", "copy", "bleu", key={"tok": "13a"})
        log.append([(name, [i, 0.5]) for i, name in enumerate(IDS)])
        log.seal(IDS)
        run.seal()
    return folder


def part(folder, stem="copy"):
    return folder / "predictions" / f"{stem}.part.jsonl"


def test_a_finished_run_verifies_and_reads_back(tmp_path):
    finished_run(tmp_path)
    assert verify_run(tmp_path) == []
    assert [record["source"] for record in stored_examples(tmp_path)] == [
        "source a",
        "source b",
        "source c",
    ]
    key, records = read_log(tmp_path, "predictions", "copy")
    assert key == {"seed": 0}
    assert list(records) == IDS
    assert finished_statistics(tmp_path, "copy", "bleu")[:].tolist() == [
        [0, 0.5],
        [1, 0.5],
        [2, 0.5],
    ]


def test_every_line_is_ascii_json_and_h_is_its_crc32(tmp_path):
    predictions(tmp_path, {"seed": 0}).append([("é", {"text": "naïve \u2028 \ud800"})])
    first, second = part(tmp_path).read_bytes().splitlines()
    seed = zlib.crc32(b'{"key":{"seed":0},"kind":"predictions","names":["copy"]}')
    for line, start in (first, 0), (second, seed):
        assert line.isascii()
        assert json.loads(line)["h"] == f"{zlib.crc32(line[:-16], start):08x}"
    assert json.loads(second)["value"]["text"] == "naïve \u2028 \ud800"


def test_acknowledged_records_are_there_for_the_next_process(tmp_path):
    log = predictions(tmp_path)
    log.append([("a", {"text": "x"})])
    log.append([("b", {"text": "y"})])
    assert (
        predictions(tmp_path).done
        == {"a": {"text": "x"}, "b": {"text": "y"}}
        == read_log(tmp_path, "predictions", "copy")[1]
    )


def test_the_order_of_work_leaves_no_trace(tmp_path):
    for folder, orders in (tmp_path / "1", [IDS]), (tmp_path / "2", [["c"], ["a", "b"]]):
        for order in orders:
            predictions(folder).append([(name, {"text": name, "finished": True}) for name in order])
            Log(folder, "statistics", ("copy", "x"), {}).append([(name, [1 / 3]) for name in order])
        predictions(folder).seal(IDS)
        Log(folder, "statistics", ("copy", "x"), {}).seal(IDS)
    for file in "predictions/copy.jsonl", "statistics/copy.x.npz":
        assert (tmp_path / "1" / file).read_bytes() == (tmp_path / "2" / file).read_bytes()
    assert not part(tmp_path / "1").exists()


@pytest.mark.parametrize("order", [["a"], ["a", "b", "c"], ["a", "a"], ["a", "a", "b"], []])
def test_sealing_refuses_any_other_ids(tmp_path, order):
    log = predictions(tmp_path)
    log.append([("a", 1), ("b", 2)])
    with pytest.raises(UserError, match="2 records for"):
        log.seal(order)


def test_appending_twice_is_a_bug(tmp_path):
    log = predictions(tmp_path)
    log.append([("a", 1)])
    for records in [("a", 1)], [("b", 1), ("b", 1)]:
        with pytest.raises(ValueError, match="twice"):
            log.append(records)
    assert predictions(tmp_path).done == {"a": 1}


@pytest.mark.parametrize("loss", range(1, 40))
def test_a_torn_end_is_cut_off_kept_and_said(tmp_path, loss):
    log = predictions(tmp_path)
    log.append([("a", 1)])
    log.append([("b", 2)])
    whole = part(tmp_path).read_bytes()
    length = len(whole.splitlines(keepends=True)[-1])
    part(tmp_path).write_bytes(whole[:-loss])
    again = predictions(tmp_path)
    assert again.done == ({"a": 1} if loss <= length else {})
    (kept,) = (tmp_path / "quarantine").iterdir() if loss % length else [None]
    assert kept is None or whole[:-loss].endswith(kept.read_bytes())
    assert len(again.notes) == (kept is not None)
    again.append([(name, value) for name, value in (("a", 1), ("b", 2)) if name not in again.done])
    assert part(tmp_path).read_bytes() == whole


def test_a_damaged_middle_is_refused_and_mended_by_command(tmp_path):
    log = predictions(tmp_path)
    log.append([(name, {"text": name}) for name in IDS])
    data = part(tmp_path).read_bytes()
    part(tmp_path).write_bytes(data.replace(b'"text":"b"', b'"text":"B"'))
    for opening in predictions, lambda folder: read_log(folder, "predictions", "copy"):
        with pytest.raises(UserError, match="damaged at line 3") as error:
            opening(tmp_path)
    subprocess.run(["sh", "-c", error.value.mend], check=True)
    assert predictions(tmp_path).done == {"a": {"text": "a"}, "c": {"text": "c"}}


def test_a_damaged_first_line_is_refused_and_set_aside(tmp_path):
    predictions(tmp_path).append([("a", 1)])
    data = part(tmp_path).read_bytes()
    part(tmp_path).write_bytes(data.replace(b'"seed":0', b'"seed":1'))
    with pytest.raises(UserError, match="does not verify") as error:
        predictions(tmp_path, {"seed": 1})
    subprocess.run(["sh", "-c", error.value.mend], check=True)
    assert predictions(tmp_path).done == {}


def test_a_line_from_another_log_does_not_verify(tmp_path):
    for system in "copy", "bart":
        predictions(tmp_path, system=system).append([("a", 1), ("b", 2)])
    mine, theirs = part(tmp_path).read_bytes(), part(tmp_path, "bart").read_bytes()
    lines = mine.splitlines(keepends=True)
    part(tmp_path).write_bytes(lines[0] + theirs.splitlines(keepends=True)[1] + lines[2])
    with pytest.raises(UserError, match="line 2"):
        predictions(tmp_path)


@pytest.mark.parametrize(
    "old",
    [{}, {"seed": 1}, {"seed": 0, "more": None}, {"seed": False}, {"seed": 0.0}, {"seed": "0"}],
)
@pytest.mark.parametrize("finish", [False, True])
def test_records_of_another_key_are_set_aside_never_served(tmp_path, old, finish):
    log = Log(tmp_path, "predictions", ("copy",), old)
    log.append([("a", "stale")])
    if finish:
        log.seal(["a"])
    log = predictions(tmp_path, {"seed": 0})
    assert (log.done, log.sealed) == ({}, False)
    (kept,) = (tmp_path / "quarantine").iterdir()
    assert b"stale" in kept.read_bytes()
    assert "moved to" in log.notes[0]
    log.append([("a", "fresh")])
    assert predictions(tmp_path).done == {"a": "fresh"}


def test_a_file_under_another_systems_name_is_refused(tmp_path):
    finished_run(tmp_path)
    (tmp_path / "predictions/bart.jsonl").write_bytes(
        (tmp_path / "predictions/copy.jsonl").read_bytes()
    )
    with pytest.raises(UserError, match="another system"):
        read_log(tmp_path, "predictions", "bart")
    assert predictions(tmp_path, system="bart").done == {}


def test_parts_of_several_processes_become_one_and_must_agree(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    predictions(there).append([("a", 1), ("c", 3)])
    predictions(here).append([("b", 2), ("a", 1)])
    part(there).rename(here / "predictions/copy.part-1.jsonl")
    log = predictions(here)
    assert log.done == {"a": 1, "b": 2, "c": 3} == read_log(here, "predictions", "copy")[1]
    log.append([("d", 4)])
    predictions(here).seal([*IDS, "d"])
    assert [path.name for path in (here / "predictions").iterdir()] == ["copy.jsonl"]

    predictions(there).append([("a", "another")])
    predictions(tmp_path).append([("a", 1)])
    part(there).rename(tmp_path / "predictions/copy.part-1.jsonl")
    with pytest.raises(UserError, match="two different records of example 'a'"):
        predictions(tmp_path)


def test_a_file_that_somebody_else_wrote_to_is_not_appended_to(tmp_path):
    first, second = predictions(tmp_path), predictions(tmp_path)
    first.append([("a", 1)])
    first.append([("b", 1)])
    second._part = AppendOnlyFile(part(tmp_path), part(tmp_path).stat().st_size - 1)
    with pytest.raises(UserError, match="changed since"):
        second.append([("c", 1)])
    assert predictions(tmp_path).done == {"a": 1, "b": 1}


def test_numbers_come_back_exactly_and_undefined_as_null(tmp_path):
    numbers = [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0, float(np.float32(0.1))]
    rows = [np.array(numbers), np.array([float("nan"), float("inf"), -float("inf"), 1, 2, 3])]
    with open_run(tmp_path, SPEC) as run:
        run.write_examples([{"id": "a"}, {"id": "b"}])
        log = run.log("statistics", "copy", "x", key={})
        log.append(list(zip("ab", rows, strict=True)))
        assert b"NaN" not in (tmp_path / "statistics/copy.x.part.jsonl").read_bytes()
        run.log("statistics", "copy", "x", key={}).seal(["a", "b"])
        run.seal()
    array = finished_statistics(tmp_path, "copy", "x")[:]
    assert array.dtype == np.float64
    assert array[0].tobytes() == np.array(numbers).tobytes()
    assert np.isnan(array[1]).tolist() == [True, True, True, False, False, False]
    entry = json.loads((tmp_path / "manifest.json").read_bytes())["files"]["statistics/copy.x.npz"]
    assert entry["undefined"] == {"not a finite number": 1}
    assert finished_statistics(tmp_path, "copy", "x").why == {"b": "not a finite number"}


def test_reasons_for_the_undefined_are_kept_at_every_step(tmp_path):
    rows, why = (
        [("a", [0.0, 0.0]), ("b", [2.0, 1.0]), ("c", [float("inf"), 1.0])],
        {"a": "no reference that it reads"},
    )
    Log(tmp_path, "statistics", ("copy", "x"), {}).append(rows, why)
    told = {"a": "no reference that it reads", "c": "not a finite number"}
    log = Log(tmp_path, "statistics", ("copy", "x"), {})
    growing = read_log(tmp_path, "statistics", "copy", "x")[1]
    assert {
        name: value["why"] for name, value in growing.items() if isinstance(value, dict)
    } == told
    log.seal(["a", "b", "c"])
    assert read_log(tmp_path, "statistics", "copy", "x")[1] == growing
    assert finished_statistics(tmp_path, "copy", "x").why == told
    assert finished_statistics(tmp_path, "copy", "x")[:].tolist()[:2] == [[0.0, 0.0], [2.0, 1.0]]


def test_an_array_under_another_ones_header_does_not_verify(tmp_path):
    """Each part is whole for itself, so the checksums of the zip file say nothing."""
    for name, number in (("x", 1.0), ("y", 2.0)):
        log = Log(tmp_path, "statistics", ("copy", name), {})
        log.append([("a", [number])])
        log.seal(["a"])
    path = tmp_path / "statistics/copy.x.npz"
    mine, other = np.load(path), np.load(tmp_path / "statistics/copy.y.npz")
    np.savez(path, header=mine["header"], ids=mine["ids"], statistics=other["statistics"])
    with pytest.raises(UserError, match="does not verify"):
        finished_statistics(tmp_path, "copy", "x")


def test_a_log_finished_but_not_yet_tidied_up_reads_as_one(tmp_path):
    rows = [("a", [float("nan")]), ("b", [2.0])]
    log = Log(tmp_path, "statistics", ("copy", "x"), {})
    log.append(rows)
    growing = tmp_path / "statistics/copy.x.part.jsonl"
    data = growing.read_bytes()
    log.seal(["a", "b"])
    growing.write_bytes(data)
    assert read_log(tmp_path, "statistics", "copy", "x")[1] == {
        "a": {"row": [None], "why": "not a finite number"},
        "b": [2.0],
    }
    assert Log(tmp_path, "statistics", ("copy", "x"), {}).sealed
    assert not growing.exists()


def test_a_prediction_with_nan_is_refused(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        predictions(tmp_path).append([("a", float("nan"))])


def test_reopening_with_another_spec_names_what_differs(tmp_path):
    finished_run(tmp_path)
    before = (tmp_path / "spec.json").read_bytes()
    other = {"suite": "toy", "decoding": {"num_beams": 4, "top_k": 5}}
    with pytest.raises(
        UserError, match=r"decoding.num_beams: 1, now 4; decoding.top_k: 'absent', now 5"
    ):
        open_run(tmp_path, other).__enter__()
    assert (tmp_path / "spec.json").read_bytes() == before


def test_a_folder_that_is_no_run_is_left_alone(tmp_path):
    (tmp_path / ".draft.tmp").write_text("mine")
    with pytest.raises(UserError, match="no run folder"):
        open_run(tmp_path, SPEC).__enter__()
    assert (tmp_path / ".draft.tmp").exists()


def test_a_second_opener_is_refused_with_the_first_ones_number(tmp_path):
    command = (
        "import sys; from pathlib import Path; from parabench.store.run_folder import open_run\n"
    )
    command += "with open_run(Path(sys.argv[1]), {}): print('open', flush=True); sys.stdin.read()"
    first = subprocess.Popen([sys.executable, "-c", command, tmp_path], stdin=-1, stdout=-1)
    assert first.stdout.readline() == b"open\n"
    with pytest.raises(UserError, match=f"process {first.pid} "):
        open_run(tmp_path, {}).__enter__()
    first.kill()
    first.communicate()
    with open_run(tmp_path, {}), pytest.raises(UserError, match=f"process {os.getpid()} "):
        open_run(tmp_path, {}).__enter__()


def test_examples_cannot_be_exchanged(tmp_path):
    with open_run(tmp_path, SPEC) as run:
        run.write_examples([{"id": "a", "source": "x"}])
        run.write_examples([{"source": "x", "id": "a"}])
        with pytest.raises(UserError, match="examples"):
            run.write_examples([{"id": "a", "source": "y"}])
        assert stored_examples(tmp_path) == [{"id": "a", "source": "x"}]


def test_sealing_twice_changes_nothing(tmp_path):
    before = (finished_run(tmp_path) / "manifest.json").read_bytes()
    finished_run_again = open_run(tmp_path, SPEC)
    with finished_run_again as run:
        log = run.log("predictions", "copy", key={"seed": 0})
        assert log.sealed
        log.seal(IDS)
        run.seal()
    assert (tmp_path / "manifest.json").read_bytes() == before


@pytest.mark.parametrize(
    "name",
    [
        "spec.json",
        "examples.jsonl",
        "predictions/copy.jsonl",
        "statistics/copy.bleu.npz",
        "manifest.json",
    ],
)
def test_a_run_with_a_missing_or_changed_file_is_not_complete(tmp_path, name):
    data = (finished_run(tmp_path) / name).read_bytes()
    (tmp_path / name).write_bytes(data.replace(b"c", b"d", 1))
    assert verify_run(tmp_path)
    (tmp_path / name).unlink()
    assert verify_run(tmp_path)
    (tmp_path / name).write_bytes(data)
    assert verify_run(tmp_path) == []


def test_partial_empty_and_unequal_runs_are_not_complete(tmp_path):
    with open_run(tmp_path, SPEC) as run:
        run.write_examples([{"id": name} for name in IDS])
        run.seal()
        assert "predictions: none" in verify_run(tmp_path)
        log = run.log("predictions", "copy", key={})
        log.append([("a", 1), ("b", 2)])
        assert "predictions/copy.part.jsonl: unfinished" in verify_run(tmp_path)
        log.seal(["a", "b"])
        run.seal()
    assert verify_run(tmp_path) == ["predictions/copy.jsonl: not one record for each example"]


def test_a_plain_name_is_its_own_file_name():
    for name in "softprompt-111", "bart", "copy", "bartscore-s2h", "my_system":
        assert slug(name) == name


@settings(max_examples=500)
@given(st.lists(st.text(), min_size=2, max_size=2, unique=True))
def test_no_name_leaves_its_folder_or_shares_its_file(names):
    first, second = (slug(name) for name in names)
    assert first != second
    assert all(
        Path(f"/run/{name}").name == name
        and len(name) < 50
        and name[0].isalnum()
        and "." not in name
        for name in (first, second)
    )


def test_a_write_through_a_symbolic_link_replaces_the_link(tmp_path):
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "report").symlink_to(tmp_path / "precious")
    write_atomically(tmp_path / "report", b"new")
    assert (tmp_path / "precious").read_text() == "precious"
    assert (tmp_path / "report").read_bytes() == b"new"


def test_a_growing_log_is_not_written_through_a_link(tmp_path):
    log = predictions(tmp_path)
    log.append([("a", {"text": "a"})])
    precious = part(tmp_path).rename(tmp_path / "precious")
    part(tmp_path).symlink_to(precious)
    before = precious.read_bytes()
    with pytest.raises(UserError, match="symbolic link"):
        log.append([("b", {"text": "b"})])
    assert precious.read_bytes() == before


def test_what_the_system_refuses_is_said_in_its_words(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"Not a directory\n(?!.*MB free)(?!.*make room)"):
        write_atomically(tmp_path / "file" / "report", b"new")
