"""What the embedded models are trained on, each text without end and the same for the same seed."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from parabench.mini import documents, language


@dataclass(frozen=True)
class Stream:
    """Texts that can be read again from the start."""

    begin: Callable[[], Iterator[Any]]

    def __iter__(self) -> Iterator[Any]:
        return self.begin()


def packed_documents(seed: int, words: int = 170) -> Iterator[str]:
    """Documents joined by ``</s>`` up to about ``words`` words, so that all positions are
    trained.
    """
    joined: list[str] = []
    for document in documents.pretraining_documents(seed):
        joined.append(document)
        spaces = sum(text.count(" ") for text in joined)
        if spaces > words:
            yield "</s>".join(joined)
            joined = []


def restorations(seed: int) -> Iterator[tuple[str, str]]:
    """Half of the pairs are paraphrases; the others a sentence with words lost or moved, and the
    sentence itself.
    """
    draw = random.Random(f"restorations-{seed}")
    for source, target in language.paraphrase_pairs("train", seed):
        if draw.random() < 0.5:
            source = spoil(target, draw)
        yield source, target


def spoil(text: str, draw: random.Random) -> str:
    """Lose about a fifth of the words and swap two neighbours (noise after Lewis et al. 2020,
    section 2.2).
    """
    all_words = text.split()
    words = [word for word in all_words if draw.random() > 0.2]
    # Something is left to restore from.
    if not words:
        words = all_words
    place = draw.randrange(len(words))
    words[place : place + 2] = reversed(words[place : place + 2])
    return " ".join(words)


def document_sentences(text: str) -> tuple[str, ...]:
    """What may be a sentence in documents: between line breaks, colons, and the ends of
    sentences.
    """
    parts = re.split(r"(?<=[.!?])[\"\s]+|\n|: |</s>", text)
    return tuple(part for part in parts if part.strip())
