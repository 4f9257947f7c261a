"""Cutting a text into sentences and words, the same way for every scorer that needs it."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, lru_cache, partial
from inspect import unwrap
from typing import Any

from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

_CACHED_TEXTS = 1 << 12
"""Texts that are kept cut up: the same ones come again for the next system."""

RULE = "regex1"
"""Name of the rule for sentences below, for signatures; changes when the rule does."""

_BOUNDARY = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+(?=[\"'“‘(\[]*[A-Z0-9])|\n+")
_ABBREVIATION = re.compile(r"(?<!\S)(?:Mr|Mrs|Ms|Dr|Prof|St|No|vs|Jr|Sr|[A-Z])\.$")


def split_sentences(text: str) -> list[str]:
    """The non-empty sentences of a text: cut after ``.``, ``!``, ``?`` before a capital or digit,
    and at line ends.
    """
    pieces, start = [], 0
    for boundary in _BOUNDARY.finditer(text):
        end = boundary.start()
        if not _ABBREVIATION.search(text, max(start, end - 6), end):
            pieces.append(text[start : boundary.end()])
            start = boundary.end()
    return [piece.strip() for piece in [*pieces, text[start:]] if piece.strip()]


def lower_tokens(text: str, tokenize: str = "13a") -> list[str]:
    """Lower-cased tokens: of mteval's 13a rule, as BLEU counts them, or with ``none`` what stands
    between spaces.
    """
    return (_tokenizer()(text.lower()) if tokenize == "13a" else text.lower()).split()


def uncached(tokenizer: Any) -> Callable[[str], str]:
    """A tokenizer of sacrebleu's without its memory: by itself it keeps 65,536 texts, and these cut
    up, for ever.
    """
    if hasattr(tokenizer, "_post_tokenizer"):
        tokenizer._post_tokenizer = uncached(tokenizer._post_tokenizer)
    return partial(unwrap(type(tokenizer).__call__), tokenizer)


@cache
def _tokenizer() -> Callable[[str], str]:
    return lru_cache(_CACHED_TEXTS)(uncached(Tokenizer13a()))
