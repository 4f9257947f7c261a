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
from pathlib import Path
from typing import Any

from parabench.contracts import Example, UserError
from parabench.data.filters import lower_words, sentence_key
from parabench.store.files import read_bytes, write_atomically

SKETCH_FILE = "training-data.json"
_FORMAT = "parabench training data 1"
SIZE = 1 << 16
_LONG, _ENOUGH = 4, 4
"""Letters of a longer word, and how many such words a sentence must have to be known by them."""


@dataclass(frozen=True)
class Sketch:
    """Keys of the training sentences (``whole``: all), those of test sentences that were taken out,
    and the seed.
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
        whole = [{sentence_key(text) for text in (one.source, *one.references)} for one in examples]
        if all(mine <= self.cleared for mine in whole):
            return "clean"
        found = (
            any(mark in self.keys for text in (one.source, *one.references) for mark in _keys(text))
            for one in examples
        )
        return f"{'' if self.whole else '≥'}{sum(found)}/{len(examples)}"


def write_sketch(
    folder: Path,
    rows: Iterable[tuple[str, ...]],
    cleared: Iterable[int],
    seed: int,
    size: int = SIZE,
) -> None:
    """Leave in a checkpoint's folder what it has learned from; ``cleared`` are keys of test
    sentences taken out.
    """
    smallest, whole = set[int](), True
    for row in rows:
        smallest.update(mark for text in row for mark in _keys(text))
        if len(smallest) > 2 * size:
            smallest, whole = set(sorted(smallest)[:size]), False
    kept = sorted(smallest)[:size]
    facts = {
        "format": _FORMAT,
        "keys": _packed(kept),
        "whole": whole and len(kept) == len(smallest),
    }
    facts |= {"cleared": _packed(sorted(cleared)), "seed": seed}
    write_atomically(folder / SKETCH_FILE, json.dumps(facts, indent=1).encode() + b"\n")


def read_sketch(folder: Path) -> Sketch | None:
    """What lies in a checkpoint's folder; None where nothing does. UserError where it is
    damaged.
    """
    path = folder / SKETCH_FILE
    if not path.is_file():
        return None
    try:
        facts = json.loads(read_bytes(path))
        if facts["format"] != _FORMAT:
            raise ValueError(facts["format"])
        keys, cleared = (frozenset(_unpacked(facts[name])) for name in ("keys", "cleared"))
        return Sketch(keys, cleared, int(facts["seed"]), facts["whole"] is True)
    except (ValueError, TypeError, KeyError) as error:
        found = f"{type(error).__name__}: {error}"
        raise UserError(
            f"read {path}",
            found,
            mend=f"train again, or remove {SKETCH_FILE}: then nothing is known",
        ) from None


def training_facts(folder: Path | None, examples: Sequence[Example]) -> dict[str, Any]:
    """What is known of a checkpoint's training data and these examples; empty where nothing is."""
    sketch = read_sketch(folder) if folder else None
    return {"seed": sketch.seed, "seen": sketch.seen(examples)} if sketch else {}


def _keys(text: str) -> Iterator[int]:
    yield sentence_key(text)
    longer = {word for word in lower_words(text) if len(word) >= _LONG}
    if len(longer) >= _ENOUGH:
        yield sentence_key(" ".join(sorted(longer)))


def _packed(keys: Iterable[int]) -> str:
    return base64.b64encode(b"".join(mark.to_bytes(8, "little") for mark in keys)).decode()


def _unpacked(text: str) -> Iterator[int]:
    data = base64.b64decode(text, validate=True)
    if len(data) % 8:
        raise ValueError("keys cut short")
    return (int.from_bytes(data[start : start + 8], "little") for start in range(0, len(data), 8))
