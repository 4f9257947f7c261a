"""Tables of stages and of growth: whose time counts for what, without any clock."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import growth, stages


def test_a_stage_within_another_is_counted_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([1.0, 3.0, 7.0, 8.0, 10.0])
    monkeypatch.setattr(stages.time, "process_time", lambda: next(clock))
    meter = stages.Meter()
    with meter.within("report"), meter.within("page"):
        pass
    meter.tick()
    # start to 1: the rest; 1 to 3: report; 3 to 7: page; 7 to 8: report again; 8 to 10: the rest
    assert dict(meter.seconds) == {stages.REST: 3.0, "report": 3.0, "page": 4.0}


def test_stages_of_two_runs_stand_side_by_side() -> None:
    before = {"a": 8.0, "b": 1.0, "fsyncs": 5.0}
    found = stages.table({"before": before, "now": {"a": 2.0, "c": 4.0, "fsyncs": 3.0}})
    assert found.splitlines() == [
        "| stage, CPU-s | before | now |",
        "|---|---|---|",
        "| c |  | 4.0 |",
        "| a | 8.0 | 2.0 |",
        "| b | 1.0 |  |",
        "| all | 9.0 | 6.0 |",
        "| calls of fsync | 5 | 3 |",
    ]


def test_growth_is_told_by_the_factor_to_the_size_before() -> None:
    few, many = growth.Cost(2.0, 100), growth.Cost(21.0, 110)
    found = growth.table({150: {"run": few}, 1_500: {"run": many}})
    assert "2.0 s, 100 MiB" in found
    assert "21.0 s (10.5 x), 110 MiB (1.10 x)" in found


def test_inputs_of_growth_are_whole_and_the_same_again(tmp_path: Path) -> None:
    growth.write_inputs(tmp_path, 5)
    first = (tmp_path / "data.jsonl").read_bytes()
    rows = [json.loads(line) for line in first.splitlines()]
    assert len({row["source"] for row in rows}) == 5
    assert all(len(row["references"]) == 2 for row in rows)
    growth.write_inputs(tmp_path, 5)
    assert (tmp_path / "data.jsonl").read_bytes() == first
