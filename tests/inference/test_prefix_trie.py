"""What rows begin with alike is computed once; ``test_likelihood`` says that no sum changes."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from parabench.inference.likelihood import _costs_and_sources, _like_lengths_together
from parabench.inference.prefix_trie import prefix_trie, shared_length
from tests.inference.test_likelihood import branching_pairs

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


def test_costs_count_the_tokens_that_are_computed(bart: tuple[Any, Any]) -> None:
    _, tokenizer = bart
    work = branching_pairs(tokenizer)
    costs, sources = _costs_and_sources(work, _like_lengths_together(work))
    trie = prefix_trie([source for source, _ in work], [(0, *target[:-1]) for _, target in work])
    assert sum(costs) == len(trie.tokens) + sum(map(len, sources))
    assert sum(costs) < sum(len(target) for _, target in work)
