"""Word-level differences of a text from its source, as runs that a page can show."""

from __future__ import annotations

import re

from rapidfuzz.distance import Indel

_KEPT, _ADDED, _REMOVED = " ", "+", "-"
_WORD = re.compile(r"\s+|\w+(?:['’]\w+)*\s*|[^\w\s]\s*")


def split_words(text: str) -> list[str]:
    """The text cut into words and punctuation marks, each with the blanks that follow it; joined
    they are the text.
    """
    return _WORD.findall(text)


def word_diff(source: str, text: str) -> list[str]:
    """What a text keeps of its source, adds and removes: strings led by a blank, ``+`` or ``-``, in
    reading order.

    The fewest words are added and removed, case and blanks apart (longest common subsequence).
    Without the ``-`` runs and the leading marks the strings join to the text.
    """
    before, after = split_words(source), split_words(text)
    found: list[str] = []
    for step in Indel.opcodes([_key(word) for word in before], [_key(word) for word in after]):
        if step.tag == "insert":
            found.append(_ADDED + "".join(after[step.dest_start : step.dest_end]))
        elif step.tag == "delete":
            found.append(_REMOVED + "".join(before[step.src_start : step.src_end]))
        else:
            found.append(_KEPT + "".join(after[step.dest_start : step.dest_end]))
    return found


def is_copy(source: str, text: str) -> bool:
    """Whether the text has the words of the source and no others, in its order; case, blanks and
    marks apart.
    """
    return _bare(source) == _bare(text)


def _key(word: str) -> str:
    return word.strip().casefold()


def _bare(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())
