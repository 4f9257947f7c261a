"""Training data ready to be read again and again: corpora filtered, mixed, split, and cleared of the test set."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from parabench.contracts import UserError
from parabench.data.components import Components
from parabench.data.corpora import rows
from parabench.data.files import file_digest
from parabench.data.filters import Pair, key, pairs
from parabench.data.leakage import TestSentences
from parabench.data.specs import CorpusSpec
from parabench.data.tally import Tally

TEST, DEV = "in the test set, or paraphrases what is", "held out for validation"


@dataclass(frozen=True)
class TrainingSet:
    """Pairs to train on (an endless mix, or one pass over one corpus), held-out pairs, and what is known of them.

    ``removed`` counts the pairs taken out because they, or what they are connected with, stand in the test set.
    """

    pairs: Corpus | Mix
    dev: tuple[Pair, ...]
    tallies: tuple[Tally, ...]
    fingerprint: str
    removed: int


@dataclass(frozen=True)
class Corpus:
    """The pairs of one corpus without those barred; iterating begins anew."""

    spec: CorpusSpec
    seed: int
    barred: frozenset[int] = frozenset()

    def __iter__(self) -> Iterator[Pair]:
        barred = self.barred
        for _, pair in numbered(self.spec, Tally(), self.seed):
            if not barred or key(pair[0]) not in barred:
                yield pair


@dataclass(frozen=True)
class Mix:
    """Corpora drawn from by their shares, each begun anew when it ends, so that the mix has no end."""

    corpora: tuple[Corpus, ...]
    seed: int

    def __iter__(self) -> Iterator[Pair]:
        draw, shares = random.Random(f"mix-{self.seed}"), [corpus.spec.share for corpus in self.corpora]
        streams = [iter(corpus) for corpus in self.corpora]
        numbers = range(len(streams))
        while True:
            chosen = draw.choices(numbers, shares)[0]
            pair = next(streams[chosen], None)
            if pair is None:
                streams[chosen] = iter(self.corpora[chosen])
                pair = next(streams[chosen])
            yield pair


def numbered(spec: CorpusSpec, tally: Tally, seed: int) -> Iterator[tuple[int, Pair]]:
    """The pairs of a corpus with their lines; what is left out is counted."""
    return pairs(rows(spec.form, spec.path, spec.columns, tally), spec.filters, tally, seed)


def prepare(specs: Sequence[CorpusSpec], test: TestSentences, dev: int, seed: int) -> TrainingSet:
    """Read everything once, split about ``dev`` pairs off by whole components, and bar what the test set knows."""
    tallies, components, leaked = [Tally() for _ in specs], Components(), set[int]()
    for spec, tally in zip(specs, tallies, strict=True):
        for _, pair in numbered(spec, tally, seed):
            one, two = map(key, pair)
            components.join(one, two)
            leaked |= {mark for mark, text in zip((one, two), pair, strict=True) if test.holds(text)}
    barred = frozenset(map(components.root, leaked))
    known, held = components.members(barred), components.members(components.draw(dev, seed, barred) if dev else ())
    corpora = [Corpus(spec, seed, known | held) for spec in specs]
    removed, held_out, left = _deal(specs, tallies, known, held, dev, seed)
    if not all(left):
        empty = specs[left.index(0)]
        raise UserError(f"train on {empty.form}:{empty.path}", "no pair is left", mend="parabench data inspect SPEC")
    source = corpora[0] if len(corpora) == 1 else Mix(tuple(corpora), seed)
    return TrainingSet(source, held_out, tuple(tallies), fingerprint(specs, seed), removed)


def _deal(
    specs: Sequence[CorpusSpec],
    tallies: Sequence[Tally],
    known: frozenset[int],
    held: frozenset[int],
    dev: int,
    seed: int,
) -> tuple[int, tuple[Pair, ...], list[int]]:
    """How many pairs the test set bars, the pairs held out, and how many each corpus has left; tallies kept up."""
    removed, held_out, left = 0, list[Pair](), []
    for spec, tally in zip(specs, tallies, strict=True):
        for line, pair in numbered(spec, Tally(), seed):
            mark = key(pair[0])
            if mark in known:
                removed += 1
                tally.count(TEST, line)
            elif mark in held:
                held_out.append(pair)
                tally.count(DEV, line)
        tally.kept -= tally.reasons[TEST] + tally.reasons[DEV]
        left.append(tally.kept)
    return removed, tuple(held_out[: max(dev, 0)]), left


def fingerprint(specs: Sequence[CorpusSpec], seed: int) -> str:
    """SHA-256 over the files' content, the options and the seed; paths do not count."""
    parts = []
    for spec in specs:
        content = spec.path if spec.form == "hf" else file_digest(spec.path)
        options = {name: value for name, value in asdict(spec).items() if name != "path"}
        parts.append({**options, "content": content, "member": spec.path.partition("!")[2]})
    canonical = json.dumps([parts, seed], sort_keys=True, default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()
