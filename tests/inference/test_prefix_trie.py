"""What rows begin with alike is computed once, and changes no sum."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parabench.contracts import Runtime
from parabench.inference.likelihood import (
    _costs_and_sources,
    _like_lengths_together,
    seq2seq_log_likelihood,
)
from parabench.inference.prefix_trie import prefix_trie, shared_length
from tests.inference.test_likelihood import plain_seq2seq, texts

ROWS = st.lists(st.tuples(st.integers(0, 2), st.lists(st.integers(0, 2), max_size=5)), max_size=12)


@given(ROWS)
def test_a_trie_has_one_node_for_each_distinct_beginning(work: list[tuple[int, list[int]]]) -> None:
    contexts = [context for context, _ in work]
    rows = [row for _, row in work]
    trie = prefix_trie(contexts, rows)
    beginnings = {(context, *row[: end + 1]) for context, row in work for end in range(len(row))}
    assert len(trie.tokens) == len(beginnings)
    for row, path in zip(rows, trie.paths, strict=True):
        assert [trie.tokens[node] for node in path] == row
        assert [trie.positions[node] for node in path] == list(range(len(row)))
    for number, context in enumerate(dict.fromkeys(contexts)):
        reached = {
            node
            for one, path in zip(contexts, trie.paths, strict=True)
            if one == context
            for node in path
        }
        assert set(trie.of_contexts[number]) == reached
        assert len(trie.of_contexts[number]) == len(reached)


@given(st.lists(st.integers(0, 1)), st.lists(st.integers(0, 1)))
def test_the_shared_length_is_that_of_the_common_beginning(
    one: list[int], other: list[int]
) -> None:
    length = shared_length(one, other)
    assert one[:length] == other[:length]
    assert length == min(len(one), len(other)) or one[length] != other[length]


def branching_pairs(tokenizer: Any) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Targets that begin alike, end early, are repeated, and part at every place."""
    first, second, third, *_ = texts(tokenizer)
    targets = [first, first[:-2], first, first[:1]]
    for place in range(1, min(len(first), len(second)) - 1):
        targets.append((*first[:place], second[place], *second[place + 1 :]))
    return [(source, target) for target in targets for source in (third, second)]


@pytest.mark.parametrize("size", [None, 3])
def test_targets_that_begin_alike_keep_their_sums(bart: tuple[Any, Any], size: int | None) -> None:
    model, tokenizer = bart
    work = branching_pairs(tokenizer)
    found = seq2seq_log_likelihood(model, work, Runtime(batch_size=size))
    expected = [(plain_seq2seq(model, *pair), len(pair[1])) for pair in work]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_costs_count_the_tokens_that_are_computed(bart: tuple[Any, Any]) -> None:
    _, tokenizer = bart
    work = branching_pairs(tokenizer)
    costs, sources = _costs_and_sources(work, _like_lengths_together(work))
    trie = prefix_trie([source for source, _ in work], [(0, *target[:-1]) for _, target in work])
    assert sum(costs) == len(trie.tokens) + sum(map(len, sources))
    assert sum(costs) < sum(len(target) for _, target in work)
