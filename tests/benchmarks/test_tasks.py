"""The committed results of tasks: trained prompts beat the plain model, and the page says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.reachable import best_probability
from benchmarks.tasks import TRAINED, describe, tasks_of_page
from parabench.mini.recipe import load_embedded_base
from parabench.prompts.task_file import read_task_file

RESULTS = Path(__file__).parents[2] / "results" / "tasks"


def scores(name: str) -> list[dict]:
    return json.loads((RESULTS / name).read_text())["scores"]


def test_trained_prompts_beat_the_plain_model() -> None:
    """Interval by interval, on held-out records, for a p-tuned and a prompt-tuned task."""
    found, plain = scores("scores.json"), scores("zero-shot.json")
    assert {one["taskname"] for one in found} == set(TRAINED)
    for one, other in zip(found, plain, strict=True):
        assert (one["taskname"], one["column"]) == (other["taskname"], other["column"])
        assert one["better"] == "up"
        assert one["low"] > other["high"], one
        assert one["p"] < 0.01


def test_the_page_of_results_is_made_of_its_files() -> None:
    made = describe(scores("scores.json"), scores("zero-shot.json"))
    assert made == (RESULTS / "README.md").read_text(encoding="utf-8")


def test_the_tasks_are_those_of_the_page(tmp_path: Path) -> None:
    path = tmp_path / "tasks.toml"
    path.write_text(tasks_of_page(), encoding="utf-8")
    assert set(TRAINED) <= {one.taskname for one in read_task_file(path)}


def test_tokens_never_read_cannot_be_made_probable() -> None:
    """The committed figures, and the search itself on two of them."""
    content = json.loads((RESULTS / "reachable.json").read_text())
    found = content["probability"]
    brackets = {"(", ")", "_"}
    assert max(found[word] for word in brackets) < 0.08
    assert min(value for word, value in found.items() if word not in {*brackets, "airo"}) > 0.98
    model, tokenizer = load_embedded_base()
    rows = model.get_input_embeddings().weight.detach().float()
    norm = model.get_decoder().final_layer_norm
    for word in ("(", " time"):
        (token,) = tokenizer(word, add_special_tokens=False).input_ids
        again = best_probability(rows, norm, token, content["steps"])
        assert again == pytest.approx(found[word], abs=0.02)
