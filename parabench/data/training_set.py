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
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from jaxtyping import UInt64

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
    """Corpora to train on, and the pairs held out of each, in the order asked for.

    ``tallies``: what was left out of each, by reason. ``fingerprint``: of the files' content, the
    options and the seed. ``removed``: pairs taken out because they, or what they are connected
    with, are in the test set.
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
        if len(self.corpora) == 1:
            return first
        shares = tuple(corpus.spec.share for corpus in self.corpora)
        return Mix(self.corpora, shares, first.seed)

    @property
    def dev(self) -> tuple[TextPair, ...]:
        """All pairs held out."""
        return tuple(chain.from_iterable(self.held_out))


@dataclass(frozen=True)
class Corpus:
    """The pairs of one corpus without those barred; iterating begins again."""

    spec: CorpusSpec
    seed: int
    barred: frozenset[int] = frozenset()

    def __iter__(self) -> Iterator[TextPair]:
        barred = self.barred
        for _, pair in numbered_pairs(self.spec, SkipCounts(), self.seed):
            # whole components are barred, so that one side of a pair tells for both
            source, _ = pair
            if not barred or sentence_key(source) not in barred:
                yield pair


@dataclass(frozen=True)
class Mix(Generic[_Item]):
    """Corpora drawn from by their shares, each begun again when it ends, so that the mix has no
    end.
    """

    corpora: tuple[Iterable[_Item], ...]
    shares: tuple[float, ...]
    seed: int

    def __iter__(self) -> Iterator[_Item]:
        # a generator of its own, so that no other draw shifts the mix
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
    spec: CorpusSpec,
    tally: SkipCounts,
    seed: int,
) -> Iterator[tuple[int, TextPair]]:
    """The pairs of a corpus with their lines.

    ``spec``: the corpus and its filters. ``tally``: counts what is left out, by reason. ``seed``:
    decides which paraphrase of a row is drawn, where the filters ask for one at random.

    Raises UserError where the file as a whole cannot be read.
    """
    rows = read_rows(spec.form, spec.path, spec.columns, tally)
    return filtered_pairs(rows, spec.filters, tally, seed)


def check_held_out(dev: int) -> None:
    """Raise UserError where ``dev``, the pairs to hold out, is no number of pairs."""
    if dev < 0:
        raise UserError(f"hold out {dev} pairs", mend="--dev with a number of 0 or more")


def prepare_training_set(
    specs: Sequence[CorpusSpec],
    test: TestSentences,
    dev: int,
    seed: int,
    tasks: Sequence[str] = (),
) -> TrainingSet:
    """Read everything once, split off pairs for validation, and bar what the test set knows.

    ``specs``: the corpora. ``test``: the sentences that training must not see. ``dev``: pairs that
    are split off, about so many, by whole components, and at most half of all. ``seed``: decides
    which. ``tasks``: the name of each corpus's task; then so many are split off of each task.

    Raises UserError where a corpus cannot be read, or no pair of it is left.
    """
    check_held_out(dev)
    tallies = [SkipCounts() for _ in specs]
    read = _read_keys(specs, tallies, test, seed)
    components = Components(read.pairs)
    barred = components.of(read.leaked)
    drawn = frozenset[int]()
    if dev:
        for task in dict.fromkeys(tasks or ("",)):
            own = read.pairs_of(task, tasks)
            spare = len(read.pairs if own is None else own)
            # half at most: what is held out is not trained on
            drawn |= components.draw(min(dev, spare // 2), seed, barred, own)
    known = components.members(barred)
    held = components.members(drawn)
    corpora = tuple(Corpus(spec, seed, known | held) for spec in specs)
    removed, held_out = _deal(corpora, tallies, known, held)
    for spec, tally in zip(specs, tallies, strict=True):
        if not tally.kept:
            reasons = [f"{count} {reason}" for reason, count in tally.reasons.items()]
            why = ", ".join(reasons) or "it is empty"
            raise UserError(f"train on {spec.form}:{spec.path}", f"no pair is left ({why})")
    return TrainingSet(corpora, held_out, tuple(tallies), fingerprint(specs, seed), removed)


class _ReadKeys(NamedTuple):
    """Keys of the pairs of all corpora, one corpus after the other.

    ``ends``: where each corpus begins among them, and where the last one ends. ``leaked``: keys of
    the sentences that the test set holds.
    """

    pairs: UInt64[np.ndarray, "M 2"]
    ends: list[int]
    leaked: set[int]

    def pairs_of(self, task: str, tasks: Sequence[str]) -> UInt64[np.ndarray, "m 2"] | None:
        """The pairs of the corpora of one task; None where corpora have no tasks.

        ``tasks``: the name of each corpus's task.
        """
        own = []
        spans = zip(self.ends, self.ends[1:], strict=False)
        for name, (first, end) in zip(tasks, spans, strict=False):
            if name == task:
                own.append(self.pairs[first:end])
        return np.concatenate(own) if own else None


def _read_keys(
    specs: Sequence[CorpusSpec],
    tallies: Sequence[SkipCounts],
    test: TestSentences,
    seed: int,
) -> _ReadKeys:
    """Read all corpora once: 16 bytes are kept of a pair, and no text."""
    keys = array("Q")
    ends = [0]
    leaked = set[int]()
    for spec, tally in zip(specs, tallies, strict=True):
        for _, pair in numbered_pairs(spec, tally, seed):
            for text in pair:
                key = sentence_key(text)
                keys.append(key)
                if test.holds(text):
                    leaked.add(key)
        ends.append(len(keys) // 2)
    pairs = np.frombuffer(keys, np.uint64).reshape(-1, 2)
    return _ReadKeys(pairs, ends, leaked)


def _deal(
    corpora: Sequence[Corpus],
    tallies: Sequence[SkipCounts],
    known: frozenset[int],
    held: frozenset[int],
) -> tuple[int, tuple[tuple[TextPair, ...], ...]]:
    """How many pairs the test set bars, and those held out of each corpus; tallies kept up.

    ``known``: keys of the sentences that the test set bars. ``held``: of those held out.
    """
    removed = 0
    held_out = list[tuple[TextPair, ...]]()
    for corpus, tally in zip(corpora, tallies, strict=True):
        own = list[TextPair]()
        # counted by the first pass already: these counts are thrown away
        for line, pair in numbered_pairs(corpus.spec, SkipCounts(), corpus.seed):
            key = sentence_key(pair[0])
            if key in known:
                removed += 1
                tally.count(TEST, line)
            elif key in held:
                own.append(pair)
                tally.count(DEV, line)
        # the first pass counted these pairs as kept
        tally.kept -= tally.reasons[TEST] + tally.reasons[DEV]
        held_out.append(tuple(own))
    return removed, tuple(held_out)


def fingerprint(specs: Sequence[CorpusSpec], seed: int) -> str:
    """SHA-256 over the files' content, the options and the seed; paths do not count."""
    parts = []
    for spec in specs:
        # a data set of the hub is known by its name alone
        content = spec.path if spec.form == "hf" else file_digest(spec.path)
        options = asdict(spec)
        del options["path"]
        member = spec.path.partition("!")[2]
        parts.append({**options, "content": content, "member": member})
    canonical = json.dumps([parts, seed], sort_keys=True, default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


def count_duplicates(pairs: Iterable[TextPair]) -> int:
    """How many pairs have come before, in either direction, up to case, spaces and punctuation."""
    seen = set[tuple[int, ...]]()
    repeated = 0
    for pair in pairs:
        # sorted, so that a pair and its reverse are one
        mark = tuple(sorted(map(sentence_key, pair)))
        repeated += mark in seen
        seen.add(mark)
    return repeated


_LARGEST_HELD_OUT = 0.2
"""Share of the pairs above which holding them out is worth a warning."""


def held_out_warning(held_out: int, kept: int) -> str | None:
    """What to tell a user whose held-out part is large; None where it is at most a fifth.

    ``held_out`` pairs are held out and ``kept`` are left to train on. As whole components are held
    out, there may be more than were asked for.
    """
    total = held_out + kept
    if held_out <= _LARGEST_HELD_OUT * total:
        return None
    part = f"{held_out:,} of {total:,} pairs are held out and not trained on"
    # a twentieth is usual, and enough to see a loss fall
    fewer = max(1, total // 20)
    return f"{part}: {held_out / total:.0%}; --dev {fewer} holds out fewer"
