"""Test sets and predictions from files: JSONL or TSV in, examples out, every refusal with its line
number.

JSONL: ``{"source": "…", "references": ["…", …], "id": "…", "cluster": "…"}`` (all but the source is
optional; columns that compare with references need some). TSV:   ``source TAB reference TAB
reference …`` (the number of references may vary).
"""

from __future__ import annotations

import hashlib
import heapq
import json
import random
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parabench.contracts import Example, UserError
from parabench.data.filters import sentence_key
from parabench.data.spill import HELD_IN_MEMORY, spill_if_large
from parabench.sequences import LazyMap, text_hash64

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import UInt64

_LONGEST_LINE = 64 * 1024
LONGEST_TEXT = 4096
BLANK = sentence_key("")


@dataclass(frozen=True)
class EvaluationSet:
    """Examples as they are scored, all with equally many references; ``dropped`` were too many for
    that.
    """

    examples: Sequence[Example]
    dropped: int = 0

    @property
    def references(self) -> int:
        """How many references every example has."""
        return len(self.examples[0].references) if self.examples else 0

    @cached_property
    def by_id(self) -> Sequence[int]:
        """The places of all examples in the order of their ids, 4 bytes each; no more ids than fit
        are held at once.
        """

        def name(place: int) -> str:
            return self.examples[place].id

        starts, count = range(0, len(self.examples), HELD_IN_MEMORY), len(self.examples)
        runs = (
            array("I", sorted(range(start, min(start + HELD_IN_MEMORY, count)), key=name))
            for start in starts
        )
        return array("I", heapq.merge(*runs, key=name))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the length-prefixed ids, clusters, sources and references, in order."""
        digest = hashlib.sha256()
        for example in self.examples:
            for text in (example.id, example.cluster, example.source, *example.references):
                data = text.encode()
                digest.update(len(data).to_bytes(8, "big") + data)
            digest.update(b"\xff" * 8)
        return digest.hexdigest()


def evaluation_set(examples: Sequence[Example], limit: int | None, seed: int) -> EvaluationSet:
    """Sample, leave every example as many references as the one that has fewest, by the seed, and
    name its cluster.
    """
    chosen = sample(merge_sources(examples), limit, seed)
    fewest = min((len(example.references) for example in chosen), default=0)
    made = spill_if_large(_keep(example, fewest, seed) for example in clustered(chosen))
    examples = tuple(made) if isinstance(made, list) else made
    return EvaluationSet(examples, sum(len(one.references) - fewest for one in chosen))


def clustered(examples: Sequence[Example]) -> Iterator[Example]:
    """Each example with its cluster: the one it brings, or all that share a normalised sentence,
    however indirectly.
    """
    import numpy as np

    from parabench.data.components import Components

    pairs, own = array("Q"), array("Q")
    for one in examples:
        first, *others = map(_mark, (one.source, *one.references))
        own.append(first)
        for other in others or [first]:
            pairs.extend((first, other))
    components = Components(np.frombuffer(pairs, np.uint64).reshape(-1, 2))
    roots = components.roots[
        components.numbers[np.searchsorted(components.sentences, np.frombuffer(own, np.uint64))]
    ]
    del components
    for example, root in zip(examples, roots, strict=True):
        yield replace(example, cluster=example.cluster or f"{root:016x}")


def _mark(text: str) -> int:
    """The key of a sentence; one without letters or digits is known by its bytes."""
    mark = sentence_key(text)
    return mark if mark != BLANK else sentence_key(text.encode().hex())


def _keep(example: Example, count: int, seed: int) -> Example:
    if len(example.references) == count:
        return example
    places = random.Random(f"{seed}-{example.id}").sample(range(len(example.references)), count)
    return replace(example, references=tuple(example.references[place] for place in sorted(places)))


def sample(examples: Sequence[Example], limit: int | None, seed: int) -> Sequence[Example]:
    """A seeded sample of ``limit`` examples in their first order; a larger limit contains every
    smaller one.
    """
    if limit is not None and limit < 1:
        raise UserError(f"use {limit} examples", "no examples are left", mend="--limit 1 or more")
    if limit is None:
        return examples
    order = array("I", range(len(examples)))
    random.Random(f"sample-{seed}").shuffle(order)
    return LazyMap(examples.__getitem__, array("I", sorted(order[:limit])))


def merge_sources(examples: Sequence[Example]) -> Sequence[Example]:
    """Pool the references of examples that share a source, so that no answer left out stays among a
    twin's.
    """
    from parabench.stats.clusters import ClusterIndex

    twins = ClusterIndex(len(examples), _marks(example.source for example in examples))

    def merged(number: int) -> Example:
        first, *others = (examples[place] for place in twins.members(number))
        several = chain(first.references, *(other.references for other in others))
        return replace(first, references=tuple(dict.fromkeys(several)))

    return LazyMap(merged, range(len(twins)))


def read_test_set(path: Path) -> Sequence[Example]:
    """Read a test set; raises UserError naming file and line for anything that is not exactly as
    the formats say.
    """
    reader = example_from_json if path.suffix in (".jsonl", ".json") else _from_tsv
    examples = spill_if_large(reader(path, number, line) for number, line in read_lines(path))
    if not examples:
        raise UserError(
            f"read examples from {path}", "the file is empty", mend=__doc__.split("\n\n", 1)[1]
        )
    if not are_distinct(example.id for example in examples):
        seen = dict[str, int]()
        for number, example in enumerate(examples, 1):
            if seen.setdefault(example.id, number) != number:
                raise bad_line(
                    path, number, f"the id {example.id!r} stands in line {seen[example.id]} too"
                )
    return examples


def are_distinct(texts: Iterable[str]) -> bool:
    """Whether no text stands twice, in 8 bytes of memory for each."""
    marks = _marks(texts)
    marks.sort()
    return not (marks[1:] == marks[:-1]).any()


def _marks(texts: Iterable[str]) -> UInt64[np.ndarray, " N"]:
    import numpy as np

    return np.fromiter(map(text_hash64, texts), np.uint64)


def example_from_json(path: Path, number: int, line: str) -> Example:
    """One line of a JSONL test set."""
    record = json_record(path, number, line)
    source, references = record.get("source"), record.get("references", [])
    if not isinstance(source, str) or not isinstance(references, list):
        raise bad_line(path, number, 'needs "source": text and "references": [text, …]')
    for text in (source, *references):
        check_text(path, number, text)
    cluster = check_text(path, number, record["cluster"]) if "cluster" in record else ""
    return Example(identifier(path, number, record), source, tuple(references), cluster)


def _from_tsv(path: Path, number: int, line: str) -> Example:
    source, *references = line.split("\t")
    if not references:
        raise bad_line(
            path, number, "1 column, where source TAB reference (TAB reference …) is needed"
        )
    for text in (source, *references):
        check_text(path, number, text)
    return Example(str(number), source, tuple(references))


def json_record(path: Path, number: int, line: str) -> dict[str, Any]:
    """One line as a JSON object, or a UserError with its line number."""
    try:
        record = json.loads(line, object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as error:
        raise bad_line(path, number, f"not JSON: {error}") from None
    if not isinstance(record, dict):
        raise bad_line(path, number, "not a JSON object")
    return record


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name stands twice")
    return dict(pairs)


def identifier(path: Path, number: int, record: dict[str, Any]) -> str:
    """The id of a JSON record: a text or a whole number; the line's number where there is none."""
    given = record.get("id", number)
    return check_text(path, number, str(given) if type(given) is int else given)


def check_text(path: Path, number: int, text: object, *, empty: bool = False) -> str:
    """The text itself if it is one that can be scored: a string, not blank, not absurdly long,
    encodable.
    """
    if not isinstance(text, str):
        raise bad_line(path, number, f"{text!r} where a text is needed")
    if not empty and not text.strip():
        raise bad_line(path, number, "an empty text")
    if len(text) > LONGEST_TEXT:
        raise bad_line(
            path, number, f"a text of {len(text)} characters; the longest allowed is {LONGEST_TEXT}"
        )
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise bad_line(path, number, "half a surrogate pair, which is no character")
    return text


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines, strict UTF-8, split at line feeds alone; a blank line is a line."""
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(iter(lambda: file.readline(_LONGEST_LINE + 1), b""), 1):
                if len(raw) > _LONGEST_LINE:
                    raise bad_line(path, number, f"longer than {_LONGEST_LINE} bytes")
                yield number, _decode(path, number, raw)
    except (OSError, ValueError) as error:  # a path that holds a NUL is a ValueError
        found = getattr(error, "strerror", None) or str(error)
        raise UserError(f"read {path}", found, mend="give the path of a readable file") from None


def _decode(path: Path, number: int, raw: bytes) -> str:
    try:
        line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise bad_line(path, number, f"not UTF-8 at byte {error.start + 1}") from None
    line = line.removesuffix("\n").removesuffix("\r")
    if "\0" in line:
        raise bad_line(path, number, "a NUL character")
    return line


def bad_line(path: Path, number: int, found: str) -> UserError:
    """The error for one line of a file."""
    return UserError(
        f"read {path}", f"line {number}: {found}", mend=f"correct line {number} of {path.name}"
    )
