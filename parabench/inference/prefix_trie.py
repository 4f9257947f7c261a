"""Rows behind one context as a trie: what several of them begin with is computed once."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class PrefixTrie:
    """The distinct beginnings of rows of token ids, one node for each.

    A node holds the last token of its beginning and its position in the row. ``paths[i]`` are the
    nodes of row i from its first token to its last, and ``of_contexts[c]`` all nodes of the rows
    behind context c, in the order in which contexts first came.
    """

    tokens: list[int]
    positions: list[int]
    paths: list[list[int]]
    of_contexts: list[list[int]]


def prefix_trie(contexts: Sequence[Hashable], rows: Sequence[Sequence[int]]) -> PrefixTrie:
    """Share beginnings among the ``rows`` of one context; ``contexts[i]`` is that of row i."""
    trie = PrefixTrie([], [], [], [])
    nodes: dict[tuple[int, int], int] = {}  # (node before, token) -> node
    numbers: dict[Hashable, int] = {}
    for context, row in zip(contexts, rows, strict=True):
        number = numbers.setdefault(context, len(numbers))
        if number == len(trie.of_contexts):
            trie.of_contexts.append([])
        node = -1 - number  # a root for each context, which is no node
        path = []
        for position, token in enumerate(row):
            beginning = node, token
            if beginning not in nodes:
                nodes[beginning] = len(trie.tokens)
                trie.of_contexts[number].append(len(trie.tokens))
                trie.tokens.append(token)
                trie.positions.append(position)
            node = nodes[beginning]
            path.append(node)
        trie.paths.append(path)
    return trie


def shared_length(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens two rows begin with alike."""
    for count, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return count
    return min(len(one), len(other))
