"""Splits that cut no component (held to networkx), nothing of the test set, and mixes in their
shares.
"""

from __future__ import annotations

import random
from collections import Counter
from itertools import islice
from pathlib import Path

import networkx
import numpy as np
import pytest

from parabench.contracts import Example, UserError
from parabench.data.components import Components
from parabench.data.filters import lower_words, sentence_key
from parabench.data.leakage import TestSentences
from parabench.data.specs import parse_corpora
from parabench.data.training_set import Corpus, Mix, prepare_training_set

NOTHING = TestSentences([])


def corpus(path: Path, pairs: list[tuple[str, str]]) -> str:
    path.write_text("".join(f"{source}\t{target}\n" for source, target in pairs))
    return f"tsv:{path}"


def chains(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Pairs among sentences ``word7 word7b`` so that components of many sizes arise."""
    draw = random.Random(seed)
    return [
        (f"alpha{one} beta{one}", f"alpha{two} beta{two}")
        for one, two in ((draw.randrange(count), draw.randrange(count)) for _ in range(count // 2))
        if one != two
    ]


def test_components_are_networkxs() -> None:
    pairs = [tuple(map(sentence_key, pair)) for pair in chains(200)]
    ours = Components(np.array(pairs, np.uint64))
    theirs = {frozenset(group) for group in networkx.connected_components(networkx.Graph(pairs))}
    assert {ours.members([min(group)]) for group in theirs} == theirs
    assert all(ours.of(group) == {min(group)} for group in theirs)
    assert ours.of([]) == ours.members([]) == frozenset()


def test_no_component_stands_on_both_sides(tmp_path: Path) -> None:
    spec = corpus(tmp_path / "c.tsv", chains(400))
    found = prepare_training_set(parse_corpora(spec), NOTHING, dev=30, seed=0)
    graph = networkx.Graph(pair for pair in chains(400))
    groups = {
        sentence: number
        for number, group in enumerate(networkx.connected_components(graph))
        for sentence in group
    }
    train, dev = ({groups[source] for source, _ in side} for side in (found.pairs, found.dev))
    assert train
    assert dev
    assert not train & dev
    assert 30 <= len(found.dev) <= 40
    assert found.tallies[0].kept == sum(1 for _ in found.pairs)


def test_the_split_does_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    one = prepare_training_set(
        parse_corpora(corpus(tmp_path / "a.tsv", chains(300))), NOTHING, 20, 0
    )
    two = prepare_training_set(
        parse_corpora(corpus(tmp_path / "b.tsv", chains(300)[::-1])), NOTHING, 20, 0
    )
    other = prepare_training_set(
        parse_corpora(corpus(tmp_path / "a.tsv", chains(300))), NOTHING, 20, 1
    )
    assert set(one.pairs) == set(two.pairs)
    assert set(one.pairs) != set(other.pairs)
    assert one.fingerprint != other.fingerprint


def test_test_sentences_are_taken_out_with_their_paraphrases(tmp_path: Path) -> None:
    pairs = [
        ("the old man sold his boat", "his boat was sold"),
        ("his boat was sold", "somebody bought his boat"),
        ("rain fell all day long", "it rained all day"),
        ("one two three four five six seven eight nine ten", "ten to one"),
        ("a cat sat here", "here sat a cat today"),
    ]
    test = TestSentences.of(
        [
            Example("1", "The old man sold his boat!", ("It rained  all day.",)),
            Example("2", "one two three four five six seven eight nine eleven", ("x",)),
        ]
    )
    found = prepare_training_set(parse_corpora(corpus(tmp_path / "c.tsv", pairs)), test, 0, 0)
    assert list(found.pairs) == [pairs[4]]
    assert found.removed == 4
    assert found.tallies[0].lines["in the test set, or paraphrases what is"] == [1, 2, 3, 4]
    with pytest.raises(UserError, match="no pair is left"):
        prepare_training_set(parse_corpora(corpus(tmp_path / "c.tsv", pairs[:3])), test, 0, 0)


def test_near_sentences_are_those_of_the_full_comparison() -> None:
    draw = random.Random(0)
    texts = [" ".join(draw.choices("abcdefghijkl", k=draw.randrange(3, 9))) for _ in range(120)]
    index = TestSentences(texts[:60])
    near = Counter()
    for text in texts[60:]:
        one = set(lower_words(text))
        brute = any(_is_near(one, set(lower_words(other))) for other in texts[:60])
        assert index.holds(text) == brute, text
        near[brute] += 1
    assert min(near[True], near[False]) > 5


def _is_near(one: set[str], two: set[str]) -> bool:
    """By the definition alone: word sets alike by 80 %, or one word of four or more changed."""
    if len(one & two) / len(one | two) >= 0.8:
        return True
    return max(len(one), len(two)) >= 4 and len(one - two) <= 1 and len(two - one) <= 1


def test_a_mix_has_its_shares_and_loses_no_row(tmp_path: Path) -> None:
    specs = [
        corpus(tmp_path / f"{name}.tsv", [(f"{name} {i}", f"{i} {name}") for i in range(50)])
        for name in "ab"
    ]
    found = prepare_training_set(parse_corpora(f"{specs[0]}=0.35,{specs[1]}=0.65"), NOTHING, 0, 0)
    drawn = list(islice(found.pairs, 2000))
    share = sum(source.startswith("a") for source, _ in drawn) / 2000
    assert abs(share - 0.35) < 0.04  # 3.7 standard deviations of the binomial
    mine = [source for source, _ in drawn if source.startswith("b")]
    assert sorted(mine[:50]) == sorted(mine[50:100]) == sorted(f"b {i}" for i in range(50))
    assert list(islice(found.pairs, 2000)) == drawn
    assert isinstance(found.pairs, Mix)
    assert isinstance(found.pairs.corpora[0], Corpus)
