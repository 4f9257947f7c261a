"""Connected components: those of scipy's graphs, whatever is worked on at once."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from parabench import scratch
from parabench.data.components import Components


@pytest.mark.parametrize("block", [3, 1 << 16])
@pytest.mark.parametrize("seed", range(20))
def test_components_are_those_of_scipy(
    seed: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch, "BLOCK", block)
    draw = np.random.default_rng(seed)
    pairs = draw.integers(0, 60, (int(draw.integers(1, 80)), 2))
    ours = Components(pairs.astype(np.uint64))
    sentences, places = np.unique(pairs, return_inverse=True)
    ends = places.reshape(pairs.shape).T
    graph = coo_array((np.ones(len(pairs)), tuple(ends)), shape=(len(sentences),) * 2)
    count, numbers = connected_components(graph, directed=False)
    np.testing.assert_array_equal(ours.sentences, sentences)
    np.testing.assert_array_equal(ours.numbers, numbers)
    np.testing.assert_array_equal(ours.sizes, np.bincount(numbers))
    smallest = [sentences[numbers == number].min() for number in range(count)]
    np.testing.assert_array_equal(ours.roots, smallest)
    np.testing.assert_array_equal(
        ours.roots_of(ours.sentences), np.array(smallest, np.uint64)[numbers]
    )


def test_a_chain_of_many_sentences_is_one_component() -> None:
    keys = np.random.default_rng(0).permutation(100_000).astype(np.uint64)
    chain = Components(np.stack([keys[:-1], keys[1:]], axis=1))
    assert chain.sizes.tolist() == [100_000]
    assert not chain.roots_of(keys).any()


def test_no_pairs_have_no_components() -> None:
    none = Components(np.zeros((0, 2), np.uint64))
    assert len(none.sentences) == len(none.roots) == len(none.sizes) == 0
