"""Word-level differences of a text from its source, as marked runs that a page can show."""

from __future__ import annotations

import re

from rapidfuzz.distance import Indel

_KEPT, _ADDED, _REMOVED = " ", "+", "-"
_WORD = re.compile(r"\s+|\w+(?:['’]\w+)*\s*|[^\w\s]\s*")


def split_words(text: str) -> list[str]:
    """Split a text into words and punctuation marks, each with the blanks that follow it.

    Joined, the parts are the text again.
    """
    return _WORD.findall(text)


def word_diff(source: str, text: str) -> list[str]:
    """Find which words of its source a text keeps, adds and removes.

    Returns runs in reading order, each a string whose first character is its mark: a blank for
    kept, ``+`` for added, ``-`` for removed. Without the ``-`` runs and without the marks they
    join to ``text``. The fewest words are added and removed (longest common subsequence); case and
    surrounding blanks do not count.
    """
    before = split_words(source)
    after = split_words(text)
    steps = Indel.opcodes(_comparable(before), _comparable(after))
    runs: list[str] = []
    for step in steps:
        if step.tag == "delete":
            # Removed words are in the source alone, so they are shown as the source writes them.
            removed = before[step.src_start : step.src_end]
            runs.append(_REMOVED + "".join(removed))
        else:
            # Kept words are shown in the spelling of the text, which is what is displayed.
            mark = _ADDED if step.tag == "insert" else _KEPT
            shown = after[step.dest_start : step.dest_end]
            runs.append(mark + "".join(shown))
    return _with_blanks(runs)


def _with_blanks(runs: list[str]) -> list[str]:
    """The runs with blanks around removed words that would touch a word before or after them."""
    spaced = []
    runs_before = ["", *runs]
    runs_after = [*runs[1:], ""]
    # either list of neighbours may be longer: zip stops with the runs
    for before, run, after in zip(runs_before, runs, runs_after, strict=False):
        mark = run[0]
        words = run[1:]
        if mark == _REMOVED:
            # the first character of a run is its mark, not one of its words
            touches_before = before[-1:].isalnum() and words[:1].isalnum()
            touches_after = words[-1:].isalnum() and after[1:2].isalnum()
            if touches_before:
                words = " " + words
            if touches_after:
                words += " "
        spaced.append(mark + words)
    return spaced


def is_copy(source: str, text: str) -> bool:
    """Whether a text has the words of its source, in order, and no others.

    Case, blanks and punctuation do not count.
    """
    return _bare(source) == _bare(text)


def _comparable(words: list[str]) -> list[str]:
    return [word.strip().casefold() for word in words]


def _bare(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())
