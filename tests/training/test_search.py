"""A search stops trials that fall behind, gives each the same budget, survives a crash, and is
shared by workers.
"""

from __future__ import annotations

import csv
import json
import math
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import itemgetter
from pathlib import Path

import numpy as np
import pytest

from parabench.cli import app
from parabench.contracts import Column, Example, Signature, UserError
from parabench.prompts.table_files import load_table
from parabench.prompts.templates import Template
from parabench.training import trials
from parabench.training.figures import summarise_lengths
from parabench.training.resumable import finished_outcome
from parabench.training.search import (
    SearchPlan,
    TrialMeasures,
    TrialSettings,
    run_search,
    trial_folder_name,
)
from tests.support import jobs, tiny

Report = Callable[[int, TrialMeasures], None]
CHOICES = {"length": [1, 2, 3, 4, 5, 6, 7, 8]}


def falling(settings: TrialSettings, folder: Path, report: Report) -> TrialMeasures:
    """Curves that never cross: what is behind at the first report is behind at the last."""
    for step in range(10, 101, 10):
        report(step, measured(settings["length"] + 10 / step))
    return measured(settings["length"] + 0.1)


def measured(loss: float) -> TrialMeasures:
    """A score that rises as the loss falls, and texts, which are no measure."""
    return {"loss": loss, "bleu": 100 - loss, "samples": [["a", "b"]]}


class Words:
    """A scorer: words a text."""

    columns = (Column("words", "up", "source"),)
    signature = Signature("words")

    def measure(self, examples: Sequence[Example], texts: Sequence[str]) -> np.ndarray:
        return np.array([[float(len(text.split()))] for text in texts])

    def combine(self, statistics: np.ndarray) -> np.ndarray:
        return statistics.mean(0)


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("pruner", ["median", "hyperband", "none"])
def test_trials_that_fall_behind_are_stopped(pruner: str, tmp_path: Path) -> None:
    run_search(SearchPlan(CHOICES, {}, 24, 100, 10, "random", pruner, startup=4), tmp_path, falling)
    rows = table(tmp_path)
    stopped = [row for row in rows if row["state"] == "pruned"]
    assert len(rows) == 24
    assert all(int(row["steps"]) == 100 for row in rows if row["state"] == "complete")
    assert bool(stopped) == (pruner != "none")
    assert any(int(row["steps"]) < 100 for row in stopped) == (pruner != "none")
    if (
        pruner == "median"
    ):  # of curves that never cross, those below the median of their predecessors run on
        best = min(rows, key=lambda row: int(row["length"]))
        assert best["state"] == "complete"
        assert (tmp_path / "length.svg").read_bytes().startswith(b"<svg")


def test_a_grid_tries_everything_once(tmp_path: Path) -> None:
    grid = {"length": [1, 2, 3], "seed": [0, 1]}
    run_search(SearchPlan(grid, {}, 6, 100, 10, "grid", "none"), tmp_path, falling)
    assert sorted((row["length"], row["seed"]) for row in table(tmp_path)) == [
        (a, b) for a in "123" for b in "01"
    ]
    with pytest.raises(UserError, match="a range for learning_rate"):
        run_search(
            SearchPlan(grid, {"learning_rate": (0.1, 1.0)}, 6, 100, 10, "grid"),
            tmp_path / "other",
            falling,
        )


def test_another_search_is_refused_more_trials_are_not(tmp_path: Path) -> None:
    run_search(SearchPlan(CHOICES, {}, 2, 100, 10, "random", "none"), tmp_path, falling)
    run_search(SearchPlan(CHOICES, {}, 3, 100, 10, "random", "none"), tmp_path, falling)
    assert len(table(tmp_path)) == 3
    with pytest.raises(UserError, match="goal was loss, not bleu"):
        run_search(
            SearchPlan(CHOICES, {}, 4, 100, 10, "random", "none", goal="bleu", upwards=True),
            tmp_path,
            falling,
        )


def test_a_worker_that_died_is_taken_over_with_the_same_settings(tmp_path: Path) -> None:
    plan, seen = SearchPlan(CHOICES, {}, 6, 100, 10, "random", "none"), list[str]()

    def dying(settings: TrialSettings, folder: Path, report: Report) -> TrialMeasures:
        if len(list(tmp_path.glob("begun-*"))) == 3:
            (tmp_path / "died").write_text(trial_folder_name(settings))
            os.kill(os.getpid(), signal.SIGKILL)
        (tmp_path / f"begun-{len(list(tmp_path.glob('begun-*')))}").touch()
        return falling(settings, folder, report)

    def noting(settings: TrialSettings, folder: Path, report: Report) -> TrialMeasures:
        seen.append(trial_folder_name(settings))
        return falling(settings, folder, report)

    child = os.fork()
    if child == 0:
        run_search(plan, tmp_path, dying)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    run_search(plan, tmp_path, noting)
    assert seen[0] == (tmp_path / "died").read_text()
    states = [row["state"] for row in table(tmp_path)]
    assert states.count("complete") == 6
    assert states.count("fail") == 1


def test_two_workers_share_the_trials(tmp_path: Path) -> None:
    plan = SearchPlan(CHOICES, {}, 8, 100, 10, "random", "none")
    child = os.fork()
    if child == 0:
        run_search(plan, tmp_path, falling)
        os._exit(0)
    run_search(plan, tmp_path, falling)
    os.waitpid(child, 0)
    run_search(plan, tmp_path, pytest.fail)
    assert 8 <= len(table(tmp_path)) <= 9


def test_a_score_that_is_to_rise_decides_and_stands_in_the_table(tmp_path: Path) -> None:
    plan = SearchPlan(
        CHOICES, {}, 12, 100, 10, "random", "median", startup=2, goal="bleu", upwards=True
    )
    run_search(plan, tmp_path, falling)
    rows = table(tmp_path)
    complete = [row for row in rows if row["state"] == "complete"]
    assert 0 < len(complete) < len(rows)
    assert min(int(row["length"]) for row in rows) in {int(row["length"]) for row in complete}
    assert all(float(row["loss"]) == pytest.approx(100 - float(row["bleu"])) for row in complete)
    assert list(rows[0]).index("bleu") < list(rows[0]).index("loss")
    assert "samples" not in rows[0]


def test_an_undefined_objective_ends_its_trial(tmp_path: Path) -> None:
    made = []

    def undefined(settings: TrialSettings, folder: Path, report: Report) -> TrialMeasures:
        made.append(settings)
        assert len(made) <= 3, "trials are made again without end"
        return {"loss": math.nan}

    run_search(SearchPlan(CHOICES, {}, 3, 100, 10, "random", "none"), tmp_path, undefined)
    rows = table(tmp_path)
    assert [row["state"] for row in rows] == ["pruned"] * 3
    assert "nothing to judge" in rows[0]["error"]


def test_intervals_over_seeds_are_students() -> None:
    """NIST/SEMATECH e-Handbook 1.3.6.7.2: t of 0.975 at 2 degrees of freedom is 4.303."""
    found = summarise_lengths([(5, 1.0), (20, 7.0), (5, 2.0), (5, 3.0)])
    assert [(one.length, one.mean) for one in found] == [(5, 2.0), (20, 7.0)]
    assert found[0].half_width == pytest.approx(4.303 / 3**0.5, rel=1e-3)
    assert found[1].half_width == 0


def test_prompts_are_trained_and_measured(tmp_path: Path) -> None:
    common = replace(
        jobs.request("softprompt-1", tmp_path, "none"), validation_texts=2, scorers=(Words(),)
    )
    fixed = {"steps": 3, "batch_size": 4, "validate_every": 1}
    choices, ranges = trials.search_space("0,2", "0.01,0.02", None, None, [0])
    plan = SearchPlan(choices, ranges, 4, 3, 1, "grid", "none")
    run_search(plan, tmp_path / "search", trials.trial_function("softprompt", common, fixed))
    rows = table(tmp_path / "search")
    assert len({(row["loss"], row["words"]) for row in rows if row["length"] == "0"}) == 1
    assert {row["steps"] for row in rows if row["length"] == "2"} == {"3"}
    for row in rows:
        if row["length"] == "2":
            settings = {"length": 2, "seed": 0, "learning_rate": float(row["learning_rate"])}
            outcome = finished_outcome(tmp_path / "search" / "trials" / trial_folder_name(settings))
            assert outcome is not None
            best = min(
                (line["validation"] for line in outcome.history if "validation" in line),
                key=itemgetter("loss"),
            )
            assert [str(best[name]) for name in ("loss", "words")] == [row["loss"], row["words"]]
    assert trials.search_space("5", "1e-4-0.1", "a;b", "sgd,adam", [0])[1] == {
        "learning_rate": (1e-4, 0.1)
    }


def test_tasks_of_a_table_are_searched(tmp_path: Path) -> None:
    """Through the command, and each trial's loss is that of its own table's training."""
    base, label = jobs.base("opt", tmp_path), ["positive", "negative"]
    for split, start in (("train", 0), ("val", 4)):
        lines = [
            {"taskname": "mood", "text": text, "label": f" {label[number % 2]}"}
            for number, text in enumerate(tiny.SENTENCES[start : start + 4])
        ]
        content = "".join(json.dumps(line) + "\n" for line in lines)
        (tmp_path / f"{split}.jsonl").write_text(content)
    task = {
        "taskname": "mood",
        "prompt_template": "<|VIRTUAL_PROMPT_0|>{text}{label}",
        "total_virtual_tokens": 3,
        "virtual_token_splits": [3],
        "answer_only_loss": True,
    }
    (tmp_path / "tasks.json").write_text(json.dumps([task]))
    command = (
        "search", "softprompt", "--tasks", tmp_path / "tasks.json", "--base", base,
        "--records", tmp_path / "train.jsonl", "--dev-records", tmp_path / "val.jsonl",
        "--learning-rates", "0.01,0.3", "--sampler", "grid", "--pruner", "none", "--trials", "4",
        "--steps", "2", "--validate-every", "1", "--batch-size", "2",
    )  # fmt: skip
    words = [str(word) for word in command]
    app([*words, "--lengths", "2,5", "--output", str(tmp_path / "search")], standalone_mode=False)
    rows = table(tmp_path / "search")
    assert {row["length"] for row in rows} == {"2", "5"}
    assert {row["state"] for row in rows} == {"complete"}
    for row in rows:
        settings = {
            "length": int(row["length"]),
            "seed": 0,
            "learning_rate": float(row["learning_rate"]),
        }
        folder = tmp_path / "search" / "trials" / trial_folder_name(settings)
        prompt = load_table(folder).prompts["mood"]
        assert len(prompt) == settings["length"]
        outcome = finished_outcome(folder / "training" / "mood")
        assert outcome is not None
        assert str(outcome.loss) == row["loss"] == row["mood loss"]
    other = ["--output", str(tmp_path / "other")]
    first, last = words.index("--dev-records"), words.index("--learning-rates")
    with pytest.raises(UserError, match="no held-out records"):
        app([*words[:first], *words[last:], *other], standalone_mode=False)
    with pytest.raises(UserError, match="no virtual tokens"):
        app([*words, "--lengths", "0,2", *other], standalone_mode=False)


def test_a_length_that_cannot_be_split_is_refused() -> None:
    text = "<|VIRTUAL_PROMPT_0|>{x}<|VIRTUAL_PROMPT_1|>{y}"
    template = Template("two", text, 5, (3, 2), None, "y")
    with pytest.raises(UserError, match="at 2 places"):
        trials.resize_template(template, 7)
