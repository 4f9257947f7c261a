"""Columns and intervals from blocks are those of all rows at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from parabench.contracts import Column, Signature, additive
from parabench.stats import resampling
from parabench.stats.arrays import per_example
from parabench.stats.streaming import streamed_columns, streamed_interval

ROWS = np.random.default_rng(3).normal(5, 2, (297, 1))


@dataclass(frozen=True)
class Ratio:
    """Sum of the first statistic over sum of the second."""

    columns: tuple[Column, ...] = (Column("ratio", "up", "source"),)
    signature: Signature = Signature("ratio")  # noqa: RUF009

    def measure(self, examples: object, texts: object) -> np.ndarray:
        raise NotImplementedError

    @additive
    def combine(self, statistics: np.ndarray) -> np.ndarray:
        total = statistics.sum(axis=-2)
        return total[..., :1] / total[..., 1:]


class Middle(Ratio):
    """A median does not add up."""

    def combine(self, statistics: np.ndarray) -> np.ndarray:
        return np.median(statistics, axis=0)


def blocks() -> Iterator[np.ndarray]:
    for start in range(0, len(ROWS), 100):
        part = ROWS[start : start + 100]
        yield np.hstack([part, np.ones_like(part)])


WHOLE = np.vstack(list(blocks()))


def test_the_value_is_that_of_all_rows() -> None:
    assert streamed_columns(Ratio(), blocks) == pytest.approx(ROWS.mean(), rel=1e-12)
    assert per_example(Ratio().combine, WHOLE)[:, 0] == pytest.approx(ROWS[:, 0])


def test_the_interval_is_the_bootstrap_of_all_rows() -> None:
    low, high = streamed_interval(Ratio(), blocks, seed=1, resamples=2000)
    error = ROWS.std() / np.sqrt(len(ROWS))  # of a mean; its bootstrap is normal at this size
    assert low[0] == pytest.approx(ROWS.mean() - 1.96 * error, abs=0.2 * error)
    assert high[0] == pytest.approx(ROWS.mean() + 1.96 * error, abs=0.2 * error)
    whole = resampling.interval(Ratio().combine, WHOLE, 1, 2000)
    assert np.stack([low, high]) == pytest.approx(np.stack(whole), abs=0.2 * error)
    assert (
        streamed_interval(Ratio(), blocks, 1, 50) == streamed_interval(Ratio(), blocks, 1, 50)
    ).all()


def test_a_combine_that_does_not_add_up_has_no_corpus_value() -> None:
    assert per_example(Middle().combine, ROWS[:3])[:, 0] == pytest.approx(ROWS[:3, 0])
    assert np.isnan(streamed_columns(Middle(), blocks)).all()
    assert np.isnan(streamed_interval(Middle(), blocks, 0)).all()
