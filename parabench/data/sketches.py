"""What a checkpoint has learned from, small enough to lie beside it: keys of its training
sentences.

A sentence has two 64-bit keys: one of all its letters and digits, which finds it again whatever its
case, spaces and punctuation; and one of the set of its longer words, which finds it again in
another order and with other small words. The smallest keys are kept (a bottom-k sketch; Cohen and
Kaplan 2007). Where there were more, they are a sample, and what is found in it is the least that
there is.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from parabench.contracts import Example, UserError
from parabench.data.filters import lower_words, sentence_key
from parabench.store.files import read_bytes, write_atomically

SKETCH_FILE = "training-data.json"
_FORMAT = "parabench training data 1"
SIZE = 1 << 16
"""Keys that are kept at most: half a megabyte, and about twice that as text."""
_LONG, _ENOUGH = 4, 4
"""Letters of a longer word, and how many such words a sentence must have to be known by them."""


@dataclass(frozen=True)
class Sketch:
    """Keys of the sentences that a checkpoint has learned from.

    ``keys``: of the training sentences; all of them where ``whole``. ``cleared``: of the test
    sentences that were taken out. ``seed``: the training's.
    """

    keys: frozenset[int]
    cleared: frozenset[int]
    seed: int
    whole: bool = True

    def seen(self, examples: Sequence[Example]) -> str:
        """``"clean"`` where training was cleared of these very examples; else how many share a
        sentence with it.

        ``"3/150"`` is the whole truth, ``"≥3/150"`` comes from a sample.
        """
        if all(self._is_cleared(one) for one in examples):
            return "clean"
        found = sum(self._shares_sentence(one) for one in examples)
        at_least = "" if self.whole else "≥"
        return f"{at_least}{found}/{len(examples)}"

    def _is_cleared(self, example: Example) -> bool:
        """Whether all sentences of an example were taken out before training."""
        return all(sentence_key(text) in self.cleared for text in _sentences(example))

    def _shares_sentence(self, example: Example) -> bool:
        """Whether training has read a sentence of an example, by one of its keys."""
        keys = chain.from_iterable(_keys(text) for text in _sentences(example))
        return any(key in self.keys for key in keys)


def _sentences(example: Example) -> tuple[str, ...]:
    return (example.source, *example.references)


def write_sketch(
    folder: Path,
    rows: Iterable[tuple[str, ...]],
    cleared: Iterable[int],
    seed: int,
    size: int = SIZE,
) -> None:
    """Write into a checkpoint's ``folder`` what it has learned from.

    ``rows``: the texts of each training example. ``cleared``: keys of the test sentences that were
    taken out. ``seed``: the training's. ``size``: keys that are kept at most.

    Raises UserError where the folder cannot be written.
    """
    smallest = set[int]()
    is_whole = True
    for row in rows:
        for text in row:
            smallest.update(_keys(text))
        # twice the size, so that sorting is rare
        if len(smallest) > 2 * size:
            smallest = set(sorted(smallest)[:size])
            is_whole = False
    kept = sorted(smallest)[:size]
    facts = {
        "format": _FORMAT,
        "keys": _packed(kept),
        "whole": is_whole and len(kept) == len(smallest),
        "cleared": _packed(sorted(cleared)),
        "seed": seed,
    }
    data = json.dumps(facts, indent=1).encode() + b"\n"
    write_atomically(folder / SKETCH_FILE, data)


def read_sketch(folder: Path) -> Sketch | None:
    """Read the record in a checkpoint's folder; None where there is none.

    Raises UserError where it is damaged.
    """
    path = folder / SKETCH_FILE
    if not path.is_file():
        return None
    try:
        facts = json.loads(read_bytes(path))
        if facts["format"] != _FORMAT:
            raise ValueError(facts["format"])
        keys = frozenset(_unpacked(facts["keys"]))
        cleared = frozenset(_unpacked(facts["cleared"]))
        return Sketch(
            keys,
            cleared,
            int(facts["seed"]),
            facts["whole"] is True,
        )
    except (ValueError, TypeError, KeyError) as error:
        found = f"{type(error).__name__}: {error}"
        mend = f"train again, or remove {SKETCH_FILE}: then nothing is known"
        raise UserError(
            f"read {path}",
            found,
            mend=mend,
        ) from None


def training_facts(folder: Path | None, examples: Sequence[Example]) -> dict[str, Any]:
    """What is known of a checkpoint's training data and these examples; empty where nothing is.

    Raises UserError where the record is damaged.
    """
    sketch = read_sketch(folder) if folder else None
    if sketch is None:
        return {}
    return {"seed": sketch.seed, "seen": sketch.seen(examples)}


def _keys(text: str) -> Iterator[int]:
    """The one or two keys of a sentence."""
    yield sentence_key(text)
    # a set of few words is that of many sentences
    longer = {word for word in lower_words(text) if len(word) >= _LONG}
    if len(longer) >= _ENOUGH:
        yield sentence_key(" ".join(sorted(longer)))


def _packed(keys: Iterable[int]) -> str:
    data = b"".join(key.to_bytes(8, "little") for key in keys)
    return base64.b64encode(data).decode()


def _unpacked(text: str) -> Iterator[int]:
    data = base64.b64decode(text, validate=True)
    # a text that was cut off behind a multiple of four characters is valid base64 still
    if len(data) % 8:
        raise ValueError("keys cut short")
    for start in range(0, len(data), 8):
        yield int.from_bytes(data[start : start + 8], "little")
