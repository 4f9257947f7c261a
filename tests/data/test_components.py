"""Connected components of few pairs, without scipy's graphs: equal to these."""

from __future__ import annotations

import numpy as np
import pytest

from parabench.data import components


@pytest.mark.parametrize("seed", range(20))
def test_few_pairs_are_connected_as_by_scipy(seed: int) -> None:
    draw = np.random.default_rng(seed)
    count = int(draw.integers(1, 60))
    ends = list(draw.integers(0, count, (2, int(draw.integers(0, 80)))).astype(np.int32))
    few, numbers = components._connect_few(ends, count)
    many, expected = components._connect(ends, count)
    assert few == many
    np.testing.assert_array_equal(numbers, expected)


def test_many_pairs_have_the_components_of_few(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = np.random.default_rng(0).integers(0, 500, (400, 2)).astype(np.uint64)
    by_hand = components.Components(pairs)
    monkeypatch.setattr(components, "_FEW_PAIRS", 0)
    by_scipy = components.Components(pairs)
    np.testing.assert_array_equal(by_hand.numbers, by_scipy.numbers)
    np.testing.assert_array_equal(by_hand.roots, by_scipy.roots)
    np.testing.assert_array_equal(by_hand.sizes, by_scipy.sizes)
