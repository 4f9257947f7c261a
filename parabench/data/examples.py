"""The examples of a run: sampled, with equally many references each, in clusters of one
sentence.
"""

from __future__ import annotations

import hashlib
import random
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING

from parabench.contracts import Example, UserError
from parabench.data.filters import sentence_key
from parabench.scratch import blocks, scratch_copy, sort_distinct
from parabench.sequences import LazyMap, text_hash64
from parabench.store.example_store import ExampleStore

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import UInt32, UInt64

BLANK = sentence_key("")


@dataclass(frozen=True)
class EvaluationSet:
    """Examples as they are scored, all with equally many references.

    ``dropped``: references left out so that all have equally many. ``omitted``: examples left out
    because they had too few. ``fewest``: how many examples had no more references than are kept,
    and the id of the first of them.
    """

    examples: ExampleStore
    dropped: int = 0
    omitted: int = 0
    fewest: tuple[int, str] = (0, "")

    @property
    def references(self) -> int:
        """How many references every example has."""
        if not self.examples:
            return 0
        return len(self.examples[0].references)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out, and the option that decides it, for whoever starts the run."""
        found = []
        if self.omitted:
            found.append(f"{self.omitted} examples are left out: they have too few references")
        if self.dropped:
            count, name = self.fewest
            found.append(
                f"{self.dropped} references are left out by the seed: all examples have "
                f"{self.references}, as {count} of {len(self.examples)} have no more (the first is "
                f"{name!r}); --min-references {self.references + 1} leaves those out instead"
            )
        return tuple(found)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the length-prefixed ids, clusters, sources and references, in order."""
        digest = hashlib.sha256()
        for example in self.examples:
            for text in (example.id, example.cluster, example.source, *example.references):
                data = text.encode()
                # the length first: else "ab" + "c" and "a" + "bc" would be one
                digest.update(len(data).to_bytes(8, "big") + data)
            # no length is that large: it ends the example, whose references may be any number
            digest.update(b"\xff" * 8)
        return digest.hexdigest()


def evaluation_set(
    examples: Sequence[Example],
    limit: int | None,
    seed: int,
    min_references: int | None = None,
) -> EvaluationSet:
    """Prepare ``examples`` for a run: pool sources, sample, cut references, name clusters.

    ``limit``: how many examples are sampled; None for all.
    ``seed``: decides which are sampled, and which references are kept of an example that has more
    than the one with fewest.
    ``min_references``: leave out examples that have fewer; None for none.

    Raises UserError where no example is left.
    """
    pooled = merge_sources(examples)
    enough, omitted = _with_references(pooled, min_references)
    chosen = sample(enough, limit, seed)
    if not chosen:
        return EvaluationSet(ExampleStore(()), omitted=omitted)
    counts = reference_counts(chosen)
    fewest = int(counts.min())
    first = chosen[int(counts.argmin())]
    scarce = (int((counts == fewest).sum()), first.id)
    named = clustered(chosen, counts)
    kept = ExampleStore.collect(_keep(example, fewest, seed) for example in named)
    dropped = int(counts.sum()) - fewest * len(counts)
    return EvaluationSet(kept, dropped, omitted, scarce)


def reference_counts(examples: Sequence[Example]) -> UInt32[np.ndarray, " N"]:
    """How many references each example has."""
    import numpy as np

    counts = (len(example.references) for example in examples)
    return scratch_copy(counts, len(examples), np.uint32)


def _with_references(
    examples: Sequence[Example], min_references: int | None
) -> tuple[Sequence[Example], int]:
    """The examples with so many references at least, and how many others there are."""
    if min_references is None:
        return examples, 0
    places = array("I")
    for at, example in enumerate(examples):
        if len(example.references) >= min_references:
            places.append(at)
    if not places:
        most = max((len(one.references) for one in examples), default=0)
        asked = f"use examples with at least {min_references} references"
        mend = f"--min-references {most}" if most else "leave --min-references out"
        raise UserError(
            asked,
            f"the most that one has is {most}",
            mend=mend,
        )
    chosen = LazyMap(examples.__getitem__, places)
    return chosen, len(examples) - len(places)


def clustered(examples: Sequence[Example], counts: UInt32[np.ndarray, " N"]) -> Iterator[Example]:
    """Give each example its cluster.

    That is the one it brings, or that of all examples with which it shares a normalised sentence,
    however indirectly. ``counts``: how many references each has, as ``reference_counts`` tells.
    """
    import numpy as np

    from parabench.data.components import Components

    # an example without references is linked to itself, so that its sentence is known
    pair_count = int(counts.sum() + (counts == 0).sum())
    keys = scratch_copy(_linked_keys(examples), 2 * pair_count, np.uint64)
    pairs = keys.reshape(-1, 2)
    components = Components(pairs)
    stream = iter(examples)
    pairs_before = 0
    for block in blocks(len(counts)):
        links = np.maximum(counts[block], 1)
        ends = pairs_before + np.cumsum(links)
        # the first sentence of an example's first pair is its source
        sources = pairs[ends - links, 0]
        pairs_before = int(ends[-1])
        for root in components.roots_of(sources).tolist():
            example = next(stream)
            yield replace(example, cluster=example.cluster or f"{root:016x}")


def _linked_keys(examples: Sequence[Example]) -> Iterator[int]:
    """The keys of both sentences of each link: the source, and one of the references."""
    for example in examples:
        source, *references = map(_mark, (example.source, *example.references))
        for reference in references or [source]:
            yield source
            yield reference


def _mark(text: str) -> int:
    """The key of a sentence; one without letters or digits is known by its bytes."""
    found = sentence_key(text)
    if found != BLANK:
        return found
    # "?!" and "…" share the key of an empty text, and are two sentences all the same
    return sentence_key(text.encode().hex())


def _keep(
    example: Example,
    count: int,
    seed: int,
) -> Example:
    """The example with ``count`` of its references, drawn by the seed and its id, in their
    order.
    """
    there_are = len(example.references)
    if there_are == count:
        return example
    # seeded by the id, so that the draw does not depend on which other examples are in the run
    draw = random.Random(f"{seed}-{example.id}")
    places = draw.sample(range(there_are), count)
    references = tuple(example.references[place] for place in sorted(places))
    return replace(example, references=references)


def sample(
    examples: Sequence[Example],
    limit: int | None,
    seed: int,
) -> Sequence[Example]:
    """Sample ``limit`` of the ``examples`` by the ``seed``, in their first order.

    A larger limit contains every smaller one. Raises UserError where the limit is below 1.
    """
    if limit is not None and limit < 1:
        raise UserError(
            f"use {limit} examples",
            "no examples are left",
            mend="--limit 1 or more",
        )
    if limit is None:
        return examples
    # all are shuffled and the first taken, so that a larger sample only adds to a smaller one
    order = array("I", range(len(examples)))
    random.Random(f"sample-{seed}").shuffle(order)
    chosen = array("I", sorted(order[:limit]))
    return LazyMap(examples.__getitem__, chosen)


def merge_sources(examples: Sequence[Example]) -> Sequence[Example]:
    """Pool the references of examples that share a source.

    Otherwise a held-out reference could reappear under a duplicate source.
    """
    from parabench.stats.clusters import ClusterIndex

    same_source = ClusterIndex(len(examples), _marks(LazyMap(attrgetter("source"), examples)))

    def merged(number: int) -> Example:
        first, *others = (examples[place] for place in same_source.members(number))
        # a reference that two of them share is one reference
        several = chain(first.references, *(other.references for other in others))
        return replace(first, references=tuple(dict.fromkeys(several)))

    return LazyMap(merged, range(len(same_source)))


def are_distinct(texts: Sequence[str]) -> bool:
    """Whether no text occurs twice, by 64 bits of each."""
    return len(sort_distinct(_marks(texts))) == len(texts)


def _marks(texts: Sequence[str]) -> UInt64[np.ndarray, " N"]:
    import numpy as np

    return scratch_copy(map(text_hash64, texts), len(texts), np.uint64)
