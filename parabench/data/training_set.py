"""Training data ready to be read again and again: corpora filtered, mixed, split, and cleared of
the test set.
"""

from __future__ import annotations

import hashlib
import json
import random
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Generic, TypeVar

import numpy as np

from parabench.contracts import UserError
from parabench.data.components import Components
from parabench.data.corpora import read_rows
from parabench.data.filters import TextPair, filtered_pairs, sentence_key
from parabench.data.leakage import TestSentences
from parabench.data.skipped import SkipCounts
from parabench.data.specs import CorpusSpec
from parabench.data.text_files import file_digest

_Item = TypeVar("_Item")
TEST, DEV = "in the test set, or paraphrases what is", "held out for validation"


@dataclass(frozen=True)
class TrainingSet:
    """Corpora to train on and the pairs held out of each, in the order asked for, and what is known
    of them.

    ``removed`` counts the pairs taken out because they, or what they are connected with, stand in
    the test set.
    """

    corpora: tuple[Corpus, ...]
    held_out: tuple[tuple[TextPair, ...], ...]
    tallies: tuple[SkipCounts, ...]
    fingerprint: str
    removed: int

    @property
    def pairs(self) -> Iterable[TextPair]:
        """An endless mix, or one pass over one corpus."""
        first = self.corpora[0]
        shares = tuple(corpus.spec.share for corpus in self.corpora)
        return first if len(self.corpora) == 1 else Mix(self.corpora, shares, first.seed)

    @property
    def dev(self) -> tuple[TextPair, ...]:
        """All pairs held out."""
        return tuple(chain.from_iterable(self.held_out))


@dataclass(frozen=True)
class Corpus:
    """The pairs of one corpus without those barred; iterating begins anew."""

    spec: CorpusSpec
    seed: int
    barred: frozenset[int] = frozenset()

    def __iter__(self) -> Iterator[TextPair]:
        barred = self.barred
        for _, pair in numbered_pairs(self.spec, SkipCounts(), self.seed):
            if not barred or sentence_key(pair[0]) not in barred:
                yield pair


@dataclass(frozen=True)
class Mix(Generic[_Item]):
    """Corpora drawn from by their shares, each begun anew when it ends, so that the mix has no
    end.
    """

    corpora: tuple[Iterable[_Item], ...]
    shares: tuple[float, ...]
    seed: int

    def __iter__(self) -> Iterator[_Item]:
        draw = random.Random(f"mix-{self.seed}")
        streams = [iter(corpus) for corpus in self.corpora]
        numbers = range(len(streams))
        while True:
            chosen = draw.choices(numbers, self.shares)[0]
            try:
                yield next(streams[chosen])
            except StopIteration:
                streams[chosen] = iter(self.corpora[chosen])
                yield next(streams[chosen])


def numbered_pairs(
    spec: CorpusSpec, tally: SkipCounts, seed: int
) -> Iterator[tuple[int, TextPair]]:
    """The pairs of a corpus with their lines; what is left out is counted."""
    return filtered_pairs(
        read_rows(spec.form, spec.path, spec.columns, tally), spec.filters, tally, seed
    )


def prepare_training_set(
    specs: Sequence[CorpusSpec], test: TestSentences, dev: int, seed: int, tasks: Sequence[str] = ()
) -> TrainingSet:
    """Read everything once, split about ``dev`` pairs off by whole components, and bar what the
    test set knows.

    At most half of the pairs are split off. With ``tasks``, the name of each corpus's task, so many
    of each task.
    """
    tallies, keys, ends, leaked = [SkipCounts() for _ in specs], array("Q"), [0], set[int]()
    for spec, tally in zip(specs, tallies, strict=True):
        for _, pair in numbered_pairs(spec, tally, seed):
            marks = [sentence_key(text) for text in pair]
            keys.extend(marks)
            leaked |= {mark for mark, text in zip(marks, pair, strict=True) if test.holds(text)}
        ends.append(len(keys) // 2)
    found = np.frombuffer(keys, np.uint64).reshape(-1, 2)
    components, drawn = Components(found), frozenset[int]()
    barred = components.of(leaked)
    for task in dict.fromkeys(tasks or ("",)) if dev else ():
        mine = [
            found[first:end]
            for name, first, end in zip(tasks, ends, ends[1:], strict=False)
            if name == task
        ]
        spare = sum(map(len, mine)) if mine else len(found)
        drawn |= components.draw(
            min(dev, spare // 2), seed, barred, np.concatenate(mine) if mine else None
        )
    known, held = components.members(barred), components.members(drawn)
    corpora = tuple(Corpus(spec, seed, known | held) for spec in specs)
    removed, held_out = _deal(corpora, tallies, known, held)
    for spec, tally in zip(specs, tallies, strict=True):
        if not tally.kept:
            why = ", ".join(f"{count} {reason}" for reason, count in tally.reasons.items())
            raise UserError(
                f"train on {spec.form}:{spec.path}", f"no pair is left ({why or 'it is empty'})"
            )
    return TrainingSet(corpora, held_out, tuple(tallies), fingerprint(specs, seed), removed)


def _deal(
    corpora: Sequence[Corpus],
    tallies: Sequence[SkipCounts],
    known: frozenset[int],
    held: frozenset[int],
) -> tuple[int, tuple[tuple[TextPair, ...], ...]]:
    """How many pairs the test set bars, and those held out of each corpus; tallies kept up."""
    removed, held_out = 0, list[tuple[TextPair, ...]]()
    for corpus, tally in zip(corpora, tallies, strict=True):
        mine = list[TextPair]()
        for line, pair in numbered_pairs(corpus.spec, SkipCounts(), corpus.seed):
            mark = sentence_key(pair[0])
            if mark in known:
                removed += 1
                tally.count(TEST, line)
            elif mark in held:
                mine.append(pair)
                tally.count(DEV, line)
        tally.kept -= tally.reasons[TEST] + tally.reasons[DEV]
        held_out.append(tuple(mine))
    return removed, tuple(held_out)


def fingerprint(specs: Sequence[CorpusSpec], seed: int) -> str:
    """SHA-256 over the files' content, the options and the seed; paths do not count."""
    parts = []
    for spec in specs:
        content = spec.path if spec.form == "hf" else file_digest(spec.path)
        options = {name: value for name, value in asdict(spec).items() if name != "path"}
        parts.append({**options, "content": content, "member": spec.path.partition("!")[2]})
    canonical = json.dumps([parts, seed], sort_keys=True, default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


def count_duplicates(pairs: Iterable[TextPair]) -> int:
    """How many pairs have come before, in either direction, up to case, spaces and punctuation."""
    seen, again = set[tuple[int, ...]](), 0
    for pair in pairs:
        mark = tuple(sorted(map(sentence_key, pair)))
        again += mark in seen
        seen.add(mark)
    return again


_LARGEST_HELD_OUT = 0.2


def held_out_warning(held_out: int, kept: int) -> str | None:
    """What to tell a user whose held-out part is large; None where it is at most a fifth.

    ``held_out`` pairs are held out and ``kept`` are left to train on. As whole components are held
    out, there may be more than were asked for.
    """
    total = held_out + kept
    if held_out <= _LARGEST_HELD_OUT * total:
        return None
    part = f"{held_out:,} of {total:,} pairs are held out and not trained on"
    return f"{part}: {held_out / total:.0%}; --dev {max(1, total // 20)} holds out fewer"
