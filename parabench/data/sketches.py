"""What a checkpoint has learned from, small enough to lie beside it: keys of its training
sentences.

A sentence has two 64-bit keys: one of all its letters and digits, which finds it again whatever its
case, spaces and punctuation; and one of the set of its longer words, which finds it again in
another order and with other small words. Beside them it has the keys of ``near_keys``, which find
it again where one of its words was changed. The smallest keys of either kind are kept (a bottom-k
sketch; Cohen and Kaplan 2007). Where there were more, they are a sample, and what is found in it is
the least that there is.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parabench.contracts import Example, UserError
from parabench.data.filters import lower_words, sentence_key
from parabench.data.near_keys import near_keys, word_set
from parabench.data.text_files import read_whole
from parabench.store.files import os_errors_as_user_errors, write_atomically

SKETCH_FILE = "training-data.json"
_FORMAT = "parabench training data 2"
_WITHOUT_NEAR = "parabench training data 1"
"""The format of records that have no near keys."""
_LARGEST = 64 * 2**20
"""Bytes of a record."""
SIZE = 1 << 16
"""Keys of either kind that are kept at most: half a megabyte, and 0.7 as text."""
_LONG, _ENOUGH = 4, 4
"""Letters of a longer word, and how many such words a sentence must have to be known by them."""


@dataclass(frozen=True)
class Sketch:
    """Keys of the sentences that a checkpoint has learned from.

    ``keys``, ``near``: of the training sentences; all of them where ``whole``. ``cleared``: of the
    test sentences that were taken out. ``seed``: the training's.
    """

    keys: frozenset[int]
    cleared: frozenset[int]
    seed: int
    whole: bool = True
    near: frozenset[int] = frozenset()

    def seen(self, examples: Sequence[Example]) -> str:
        """How many of the ``examples`` share a sentence with training, the same or nearly.

        ``"3/150"`` is all that there is, ``"≥3/150"`` comes from a sample. ``"clean"`` where
        training was cleared of these very examples, and nothing of them is found in it.
        """
        found = sum(self.found(one) for one in examples)
        # a list of what was cleared is a promise; what is found among the keys is a fact
        if not found and all(self._is_cleared(one) for one in examples):
            return "clean"
        at_least = "" if self.whole else "≥"
        return f"{at_least}{found}/{len(examples)}"

    def found(self, example: Example) -> bool:
        """Whether training has read a sentence of an example, or one near to it."""
        for text in _sentences(example):
            if not self.keys.isdisjoint(_keys(text)):
                return True
            if self.near and not self.near.isdisjoint(near_keys(word_set(text))):
                return True
        return False

    def _is_cleared(self, example: Example) -> bool:
        """Whether all sentences of an example were taken out before training."""
        return all(sentence_key(text) in self.cleared for text in _sentences(example))


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
    exact = _Smallest(size)
    near = _Smallest(size)
    for row in rows:
        for text in row:
            exact.add(_keys(text))
            near.add(near_keys(word_set(text)))
    facts = {
        "format": _FORMAT,
        "keys": _packed(exact.kept()),
        "near": _packed(near.kept()),
        "whole": exact.is_whole and near.is_whole,
        "cleared": _packed(sorted(cleared)),
        "seed": seed,
    }
    data = json.dumps(facts, indent=1).encode() + b"\n"
    write_atomically(folder / SKETCH_FILE, data)


class _Smallest:
    """The smallest of many keys, ``size`` at most; ``is_whole`` while none was left out."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._keys = set[int]()
        self.is_whole = True

    def add(self, keys: Iterable[int]) -> None:
        self._keys.update(keys)
        # twice the size, so that sorting is rare
        if len(self._keys) > 2 * self._size:
            self._cut()

    def kept(self) -> list[int]:
        """The keys in order."""
        self._cut()
        return sorted(self._keys)

    def _cut(self) -> None:
        if len(self._keys) > self._size:
            self._keys = set(sorted(self._keys)[: self._size])
            self.is_whole = False


def read_sketch(folder: Path) -> Sketch | None:
    """Read the record in a checkpoint's folder; None where there is none.

    Raises UserError where it is damaged.
    """
    path = folder / SKETCH_FILE
    if not path.is_file():
        return None
    try:
        with os_errors_as_user_errors(path, "read"):
            facts = json.loads(read_whole(path, _LARGEST))
        if facts["format"] not in (_FORMAT, _WITHOUT_NEAR):
            raise ValueError(facts["format"])
        keys = frozenset(_unpacked(facts["keys"]))
        cleared = frozenset(_unpacked(facts["cleared"]))
        # Records of before have no keys of near texts.
        near = frozenset(_unpacked(facts.get("near", "")))
        return Sketch(
            keys,
            cleared,
            int(facts["seed"]),
            facts["whole"] is True,
            near,
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
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
