"""Cutting a text into sentences and words, the same way for every scorer that needs it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache, partial
from inspect import unwrap
from typing import Any

from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

_CACHED_TEXTS = 1 << 12
"""Texts whose tokens are kept: the same ones come again for the next system."""

RULE = "regex1"
"""Name of the rule for sentences below, for signatures; changes when the rule does."""

_BOUNDARY = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+(?=[\"'“‘(\[]*[A-Z0-9])|\n+")
_ABBREVIATION = re.compile(r"(?<!\S)(?:Mr|Mrs|Ms|Dr|Prof|St|No|vs|Jr|Sr|[A-Z])\.$")


def split_sentences(text: str) -> list[str]:
    """Return the sentences of a text, without empty ones.

    It is cut after ``.``, ``!``, ``?``, ``…`` before a capital or digit, and at line ends.
    """
    sentences = []
    start = 0
    for boundary in _BOUNDARY.finditer(text):
        end = boundary.start()
        # the longest abbreviation is 4 letters and a full stop, and a space before it is looked at
        if not _ABBREVIATION.search(text, max(start, end - 6), end):
            sentences.append(text[start : boundary.end()].strip())
            start = boundary.end()
    sentences.append(text[start:].strip())
    return [sentence for sentence in sentences if sentence]


def lower_tokens(text: str, tokenize: str = "13a") -> list[str]:
    """Return the lower-cased tokens of a text.

    ``tokenize``: ``13a`` for mteval's rule, as BLEU counts them, ``none`` for the parts between
    spaces.
    """
    lowered = text.lower()
    if tokenize == "13a":
        lowered = _tokenizer()(lowered)
    return lowered.split()


def ngrams(tokens: Sequence[str], order: int) -> Iterator[tuple[str, ...]]:
    """Return every run of ``order`` neighbours among the ``tokens``; none where there are fewer."""
    shifted = [tokens[start:] for start in range(order)]
    # zip ends with the shortest, which is the last one: its first run is the sequence's last
    return zip(*shifted, strict=False)


def uncached(tokenizer: Any) -> Callable[[str], str]:
    """Return sacrebleu's tokenizer without its cache, which would keep 65,536 texts for ever."""
    if hasattr(tokenizer, "_post_tokenizer"):
        tokenizer._post_tokenizer = uncached(tokenizer._post_tokenizer)
    call = unwrap(type(tokenizer).__call__)
    return partial(call, tokenizer)


@cache
def _tokenizer() -> Callable[[str], str]:
    tokenizer = uncached(Tokenizer13a())
    return lru_cache(_CACHED_TEXTS)(tokenizer)
