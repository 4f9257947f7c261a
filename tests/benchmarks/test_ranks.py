"""Boards of which the truth is known: what the simulation of ranks counts."""

from __future__ import annotations

import numpy as np

from benchmarks import ranks
from parabench.report.rules import unranked_systems


def test_noise_has_no_rank_and_what_is_far_above_has_one():
    scorer, statistics = ranks.noise_means(np.random.default_rng(0))
    assert len(unranked_systems(ranks.board(scorer, statistics, 0))) == ranks.SYSTEMS
    better = statistics["s3"] + [1.0, 0.0]
    found = unranked_systems(ranks.board(scorer, {**statistics, "s3": better}, 0))
    assert set(statistics) - set(found) == {"copy", "human", "s3"}


def test_two_systems_of_a_board_differ():
    generator = np.random.default_rng(0)
    statistics = ranks.differing(generator, [0.0] * ranks.SYSTEMS, 1.0, (2, 5))
    means = {name: rows[:, 0].mean() for name, rows in statistics.items()}
    assert np.isclose(means["s2"] - means["s5"], 1.0)
    assert np.isclose(means["s2"] - means["s0"], 0.5)
