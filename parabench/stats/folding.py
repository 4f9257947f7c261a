"""Texts without case and punctuation, for what must not depend on either."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

FOLDING = "nfkc,casefold,no-punctuation"
"""Name of the rule below, for signatures; changes when the rule does."""

_KEPT_CATEGORIES = "LNSM"
"""First letters of the Unicode categories of letters, numbers, symbols and combining marks."""

_WORDLESS_SCRIPTS = re.compile(r"([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff])")
"""Kana and Han are written without spaces: each character counts as a word."""


@lru_cache(maxsize=1 << 13)
def fold(text: str) -> str:
    """The words of a text in lower case, with single spaces between them and no punctuation.

    A copy in capitals, or with other punctuation, folds to the same words as its source. Characters
    without a width (soft hyphens, zero-width spaces) are taken out, so that they split no word.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = [_kept(character) for character in folded]
    words = _WORDLESS_SCRIPTS.sub(r" \1 ", "".join(kept))
    return " ".join(words.split())


def _kept(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cf":  # formatting: it has no width, so a reader does not see it
        return ""
    return character if category[0] in _KEPT_CATEGORIES else " "
