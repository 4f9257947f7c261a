"""The same columns from two actors of a local Ray cluster as from one pass here."""

from __future__ import annotations

import numpy as np
import pytest

from parabench.contracts import Example, Runtime
from parabench.filtering.ray import ScoreRows, score_dataset
from parabench.filtering.scoring import build_scorers, measure_rows
from parabench.filtering.source import FilterRow
from parabench.stats.arrays import per_example
from parabench.suites import suite as suites

BATCH = {
    "id": np.arange(40),
    "source": np.array([f"The old man walked home on day {number}." for number in range(40)]),
    "prediction": np.array([f"On day {number} the aged man went home." for number in range(40)]),
    "references": np.array(
        [[f"The elderly man went home on day {number}."] for number in range(40)]
    ),
}


def expected() -> np.ndarray:
    suite = suites.load_suite("overlap")
    scorer = build_scorers(suite, ["bleu"], Runtime())["bleu"]
    rows = [
        FilterRow(Example(str(at), str(source), tuple(map(str, references))), str(text))
        for at, source, text, references in zip(*BATCH.values(), strict=True)
    ]
    return per_example(scorer.combine, measure_rows(scorer, rows, suite.normalise))[:, 0]


def test_an_actor_adds_columns_to_a_batch() -> None:
    found = ScoreRows(["bleu", "side"], device="cpu")(BATCH)
    assert found["bleu"].tolist() == expected().tolist()
    assert set(found) > {"id", "source", "prediction", "references", "bleu", "copies"}


@pytest.mark.slow
@pytest.mark.loopback
def test_two_actors_find_what_one_process_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'parabench[ray]'")
    for name in ("RAY_raylet_start_wait_time_s", "RAY_agent_register_timeout_ms"):
        monkeypatch.setenv(name, "200000")  # on a busy machine its defaults are too short
    ray.init(num_cpus=4, include_dashboard=False, _node_ip_address="127.0.0.2")
    try:
        items = [{name: values[at].tolist() for name, values in BATCH.items()} for at in range(40)]
        dataset = ray.data.from_items(items).repartition(4)
        rows = sorted(
            score_dataset(dataset, ["bleu"], actors=2).take_all(), key=lambda row: row["id"]
        )
    finally:
        ray.shutdown()
    assert [row["bleu"] for row in rows] == expected().tolist()
