"""No reader believes a run folder in which a file is not as the run left it."""

from __future__ import annotations

from pathlib import Path

from tests.trust import damaged_runs


def test_readers_refuse_every_damage(tmp_path: Path) -> None:
    quick = {"load_results": damaged_runs.READERS["load_results"]}
    damaged = damaged_runs.Damaged(tmp_path, quick)
    everything = list(damaged_runs.damages(damaged.folder))
    assert len(everything) > 60
    assert {"spec.json", "manifest.json", "report.html"} <= {one.name for one in everything}
    assert [problem for one in everything for problem in damaged.problems(one)] == []


def test_every_reader_refuses_an_edited_folder(tmp_path: Path) -> None:
    damaged = damaged_runs.Damaged(tmp_path)
    edited = [one for one in damaged_runs.damages(damaged.folder) if one.what.startswith("edited")]
    assert len(edited) > 8
    assert [problem for one in edited for problem in damaged.problems(one)] == []
