"""Many pairs on several cores: the same rows as on one, in order, each distinct pair once, by
outside authorities.
"""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from parabench.scorers import bleu, chrf, parallel, rouge, ter
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from parabench.contracts import Example
from tests.support.worlds import SETTING

WORDS = [
    "the",
    "a",
    "cat",
    "dog",
    "sat",
    "sits",
    "on",
    "under",
    "mat",
    "mats,",
    "today.",
    "Yesterday",
    "(quietly)",
    "it's",
    "3.5",
    "and",
    "and",
    "not",
]


def sentence(draw: Random) -> str:
    return " ".join(draw.choice(WORDS) for _ in range(draw.randint(1, 12)))


def cases(count: int) -> tuple[list[Example], list[str]]:
    draw = Random(0)
    made = [Example(str(n), "", tuple(sentence(draw) for _ in range(2))) for n in range(count)]
    return made, [sentence(draw) if n % 5 else made[n].references[0] for n in range(count)]


def letters(text: str, references: tuple[str, ...]) -> list[float]:
    """A count that can be sent to another process."""
    return [len(text), *map(len, references)]


def letter_counter() -> parallel.Count:
    return letters


def test_rows_are_the_same_on_several_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "CHUNK", 16)
    examples, texts = cases(100)
    expected = [
        [len(text), *map(len, example.references)]
        for example, text in zip(examples, texts, strict=True)
    ]
    alone = parallel.count_all(letter_counter, examples, texts, patience=np.inf)
    together = parallel.count_all(letter_counter, examples, texts, patience=0.0)
    np.testing.assert_array_equal(alone, expected)
    np.testing.assert_array_equal(together, expected)


def test_others_are_asked_only_where_much_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(parallel, "CHUNK", 16)
    monkeypatch.setattr(
        parallel,
        "_count_in_processes",
        lambda begin, pairs: asked.append(len(pairs)) or [letters(*p) for p in pairs],
    )
    examples, texts = cases(100)
    parallel.count_all(letter_counter, examples[:16], texts[:16], patience=0.0)
    parallel.count_all(letter_counter, examples, texts, patience=np.inf)
    assert asked == []
    parallel.count_all(letter_counter, examples, texts, patience=0.0)
    assert asked == [84]


def test_a_pair_that_comes_again_is_counted_once() -> None:
    seen: list[str] = []

    def begin() -> parallel.Count:
        return lambda text, references: seen.append(text) or [len(text)]

    examples, texts = cases(20)
    got = parallel.count_all(begin, examples * 3, texts * 3)
    assert len(seen) == len(set(zip(texts, [e.references for e in examples], strict=True)))
    np.testing.assert_array_equal(got[:20], got[40:])


@pytest.mark.parametrize(
    ("scorer", "authority"),
    [
        (bleu, BLEU()),
        (chrf, CHRF()),
        (ter, TER()),
        (chrf, CHRF(word_order=2)),
    ],
    ids=["bleu", "chrf", "ter", "chrf++"],
)
def test_corpus_scores_are_sacrebleus(scorer: object, authority: object) -> None:
    """sacrebleu's ``corpus_score`` over the same texts."""
    examples, texts = cases(150)
    built = scorer.build("", SETTING)
    wide = isinstance(authority, CHRF) and authority.word_order == 2
    got = built.combine(built.measure(examples, texts))[int(wide)]
    columns = [[example.references[side] for example in examples] for side in range(2)]
    assert got == pytest.approx(authority.corpus_score(texts, columns).score, abs=1e-9)


@pytest.mark.parametrize("stemmer", [False, True])
def test_rouge_is_rouge_scores(stemmer: bool) -> None:
    """rouge-score's ``score_multi``, sentences at line ends as it wants them."""
    examples, texts = cases(150)
    built = rouge.Rouge(stemmer)
    alone = RougeScorer(rouge.ROUGE_KINDS, use_stemmer=stemmer)
    lines = ["\n".join(rouge.segment.split_sentences(text)) for text in texts]
    cut = [
        ["\n".join(rouge.segment.split_sentences(r)) for r in example.references]
        for example in examples
    ]
    found = [
        alone.score_multi(references, text) for references, text in zip(cut, lines, strict=True)
    ]
    expected = [
        [
            100 * getattr(one[kind], part)
            for _, part, _ in rouge.ROUGE_PARTS
            for kind in rouge.ROUGE_KINDS
        ]
        for one in found
    ]
    statistics = built.measure(examples, texts)
    np.testing.assert_array_equal(statistics[:, : len(expected[0])], expected)
    assert any(len(text.split("\n")) > 1 for text in lines)
