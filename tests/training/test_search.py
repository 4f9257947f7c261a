"""A search stops trials that fall behind, gives each the same budget, survives a crash, and is shared by workers."""

from __future__ import annotations

import csv
import os
import signal
from collections.abc import Callable
from pathlib import Path

import jobs
import pytest

from parabench.contracts import Runtime, UserError
from parabench.training import requests
from parabench.training.search import Search, Settings, digest, search

CHOICES = {"length": [1, 2, 3, 4, 5, 6, 7, 8]}


def falling(settings: Settings, folder: Path, report: Callable[[int, float], None]) -> float:
    """Curves that never cross: what is behind at the first report is behind at the last."""
    for step in range(10, 101, 10):
        report(step, settings["length"] + 10 / step)
    return settings["length"] + 0.1


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("pruner", ["median", "hyperband", "none"])
def test_trials_that_fall_behind_are_stopped(pruner: str, tmp_path: Path) -> None:
    search(Search(CHOICES, {}, 24, 100, 10, "random", pruner, startup=4), tmp_path, falling)
    rows = table(tmp_path)
    stopped = [row for row in rows if row["state"] == "pruned"]
    assert len(rows) == 24
    assert all(int(row["steps"]) == 100 for row in rows if row["state"] == "complete")
    assert bool(stopped) == (pruner != "none")
    assert any(int(row["steps"]) < 100 for row in stopped) == (pruner != "none")
    if pruner == "median":  # of curves that never cross, those below the median of their predecessors run on
        best = min(rows, key=lambda row: int(row["length"]))
        assert best["state"] == "complete"
        assert (tmp_path / "length.svg").read_bytes().startswith(b"<?xml")


def test_a_grid_tries_everything_once(tmp_path: Path) -> None:
    grid = {"length": [1, 2, 3], "seed": [0, 1]}
    search(Search(grid, {}, 6, 100, 10, "grid", "none"), tmp_path, falling)
    assert sorted((row["length"], row["seed"]) for row in table(tmp_path)) == [(a, b) for a in "123" for b in "01"]
    with pytest.raises(UserError, match="a range for learning_rate"):
        search(Search(grid, {"learning_rate": (0.1, 1.0)}, 6, 100, 10, "grid"), tmp_path / "other", falling)


def test_a_worker_that_died_is_taken_over_with_the_same_settings(tmp_path: Path) -> None:
    plan, seen = Search(CHOICES, {}, 6, 100, 10, "random", "none"), list[str]()

    def dying(settings: Settings, folder: Path, report: Callable[[int, float], None]) -> float:
        if len(list(tmp_path.glob("begun-*"))) == 3:
            (tmp_path / "died").write_text(digest(settings))
            os.kill(os.getpid(), signal.SIGKILL)
        (tmp_path / f"begun-{len(list(tmp_path.glob('begun-*')))}").touch()
        return falling(settings, folder, report)

    def noting(settings: Settings, folder: Path, report: Callable[[int, float], None]) -> float:
        seen.append(digest(settings))
        return falling(settings, folder, report)

    child = os.fork()
    if child == 0:
        search(plan, tmp_path, dying)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    search(plan, tmp_path, noting)
    assert seen[0] == (tmp_path / "died").read_text()
    states = [row["state"] for row in table(tmp_path)]
    assert states.count("complete") == 6
    assert states.count("fail") == 1


def test_two_workers_share_the_trials(tmp_path: Path) -> None:
    plan = Search(CHOICES, {}, 8, 100, 10, "random", "none")
    child = os.fork()
    if child == 0:
        search(plan, tmp_path, falling)
        os._exit(0)
    search(plan, tmp_path, falling)
    os.waitpid(child, 0)
    search(plan, tmp_path, pytest.fail)
    assert 8 <= len(table(tmp_path)) <= 9


def test_prompts_are_trained_and_judged_by_held_out_loss(tmp_path: Path) -> None:
    data = requests.Data(jobs.PAIRS[:20], jobs.PAIRS[20:24], {"data": "tiny"})
    base = str(jobs.base("softprompt", tmp_path))
    fixed = {"steps": 3, "batch_size": 4, "validate_every": 1}
    objective = requests.objective("softprompt", {"causal": base}, None, data, fixed, Runtime())
    choices, ranges = requests.space("0,2", "0.01,0.02", None, None, [0])
    search(Search(choices, ranges, 4, 3, 1, "grid", "none"), tmp_path / "search", objective)
    rows = table(tmp_path / "search")
    assert len({row["loss"] for row in rows if row["length"] == "0"}) == 1
    assert {row["steps"] for row in rows if row["length"] == "2"} == {"3"}
    assert requests.space("5", "1e-4-0.1", "a;b", "sgd,adam", [0])[1] == {"learning_rate": (1e-4, 0.1)}
