"""Overlap metrics, texts a second: ours on all cores; sacrebleu and rouge-score as their
documentation uses them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from benchmarks import worlds
from benchmarks.options import Options, Race
from benchmarks.race import Contender, Work
from parabench.contracts import Example

REFERENCES = 2
TIMES = {"bleu": 40, "chrf": 40, "rouge": 40, "ter": 2}
"""So many texts for each row that is asked for; TER is by far the slowest."""
Peer = Callable[[Sequence[Example], Sequence[str]], np.ndarray]


def races(options: Options) -> list[Race]:
    """A race a metric; corpus scores and means must be equal to 1e-9."""
    return [
        Race(
            f"overlap: {name}",
            f"{rows:,} texts, {REFERENCES} references each",
            [
                Contender(
                    peer.__doc__ or name,
                    partial(_peer, peer, rows),
                    partial(_rows, rows),
                    "texts/s",
                ),
                Contender(
                    "parabench", partial(_ours, name, rows), partial(_rows, rows), "texts/s", 1e-9
                ),
            ],
        )
        for name, peer in PEERS.items()
        for rows in [options.rows * TIMES[name]]
    ]


def examples(rows: int) -> tuple[list[Example], list[str]]:
    """Examples with two references each, and texts that share half of their words with one of
    them.
    """
    own, first, second = (worlds.texts(rows, seed) for seed in range(3))
    made = [
        Example(str(index), own[index], pair)
        for index, pair in enumerate(zip(first, second, strict=True))
    ]
    return made, [f"{a[: len(a) // 2]}{b[len(b) // 2 :]}" for a, b in zip(own, first, strict=True)]


def sacrebleu_bleu(examples: Sequence[Example], texts: Sequence[str]) -> np.ndarray:
    """sacrebleu, corpus_score"""
    from sacrebleu.metrics.bleu import BLEU

    return np.array([BLEU().corpus_score(list(texts), _columns(examples)).score])


def sacrebleu_chrf(examples: Sequence[Example], texts: Sequence[str]) -> np.ndarray:
    """sacrebleu, corpus_score of chrF and of chrF++"""
    from sacrebleu.metrics.chrf import CHRF

    return np.array(
        [CHRF(word_order=n).corpus_score(list(texts), _columns(examples)).score for n in (0, 2)]
    )


def sacrebleu_ter(examples: Sequence[Example], texts: Sequence[str]) -> np.ndarray:
    """sacrebleu, corpus_score"""
    from sacrebleu.metrics.ter import TER

    return np.array([TER().corpus_score(list(texts), _columns(examples)).score])


def rouge_score(examples: Sequence[Example], texts: Sequence[str]) -> np.ndarray:
    """rouge-score, score_multi"""
    from rouge_score.rouge_scorer import RougeScorer

    kinds = ("rouge1", "rouge2", "rougeL")
    scorer = RougeScorer(kinds)
    scores = [
        scorer.score_multi(example.references, text)
        for example, text in zip(examples, texts, strict=True)
    ]
    return np.array([100 * np.mean([score[kind].fmeasure for score in scores]) for kind in kinds])


PEERS: dict[str, Peer] = {
    "bleu": sacrebleu_bleu,
    "chrf": sacrebleu_chrf,
    "rouge": rouge_score,
    "ter": sacrebleu_ter,
}


def ours(name: str, examples: Sequence[Example], texts: Sequence[str]) -> np.ndarray:
    """The same columns from our scorer; it makes more of them for ROUGE, precision, recall and
    Lsum.
    """
    from parabench import registry
    from parabench.contracts import BuildContext

    scorer = registry.plugin_builder("scorer", name)("", BuildContext())
    count = {"chrf": 2, "rouge": 3}.get(name, 1)
    return scorer.combine(scorer.measure(examples, texts))[:count]


def _columns(examples: Sequence[Example]) -> list[list[str]]:
    return [[example.references[index] for example in examples] for index in range(REFERENCES)]


def _peer(peer: Peer, rows: int) -> Work:
    return partial(peer, *examples(rows))


def _ours(name: str, rows: int) -> Work:
    return partial(ours, name, *examples(rows))


def _rows(rows: int, scores: np.ndarray) -> float:
    return float(rows)
