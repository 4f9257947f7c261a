"""What is wrong with the texts of a system, found by rules that anyone can check by eye.

These are observations for the page, not scores: nothing ranks by them. Rates over all examples,
with intervals, are the columns of the scorer ``side``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from parabench.render.diff import is_copy, word_diff
from parabench.render.escape import visible
from parabench.report.board import LeaderboardRow, ordered_rows

if TYPE_CHECKING:
    from parabench.report.pagedata import PageData

EXAMPLES_SHOWN = 2
"""Texts that are shown of each system."""
_DROPPED_WORDS = 4
"""A clause has a verb and what belongs to it: fewer words that are gone are rewording."""
_LONG, _LONG_WORDS = 4, 2
"""Letters of a longer word, and how many of these a dropped clause has: "it is the" has none."""
_REPEATED_WORDS = 4
_MIN_LENGTH = 0.75
"""A text that dropped a clause has less than this share of its source's words."""
_COMMENT = re.compile(
    r"\W*(?:(?:sure|certainly|of course)[,!.:]|here (?:is|are) [^.]*:"
    r"|i(?:'m| am) sorry\b|as an ai\b"
    r"|(?:paraphrased?|rewritten|rephrased|output|answer)(?: (?:version|sentence|text))?\s*:"
    r"|(?:the|this) (?:sentence|text|passage|author|speaker)"
    r" (?:is|says|means|states|describes)\b)",
    re.IGNORECASE,
)


def is_empty(source: str, text: str) -> bool:
    """Whether a text has no letter and no digit, whatever its ``source``."""
    return not re.search(r"\w", text)


def drops_clause(source: str, text: str) -> bool:
    """Whether a part of the source is missing from a text.

    It is where, of a stretch of ``source``, four words or more are nowhere in ``text``, two of them
    with four letters or more, with fewer than half as many in their place, and ``text`` has under
    three quarters of its words.
    """
    before = _words(source)
    after = _words(text)
    if not after or len(after) >= _MIN_LENGTH * len(before):
        return False
    runs = word_diff(source, text)
    for place, run in enumerate(runs):
        is_removed = run[0] == "-"
        if not is_removed:
            continue
        # A word that stands elsewhere in the text has moved and is not gone.
        gone = [word for word in _words(run[1:]) if word not in after]
        long_words = [word for word in gone if len(word) >= _LONG]
        if len(gone) < _DROPPED_WORDS or len(long_words) < _LONG_WORDS:
            continue
        if _words_put_in(runs, place) < len(gone) / 2:
            return True
    return False


def _words_put_in(runs: Sequence[str], place: int) -> int:
    """How many words replace a removed run: they stand directly before or after it."""
    before = runs[max(0, place - 1) : place]
    after = runs[place + 1 : place + 2]
    count = 0
    for run in [*before, *after]:
        if run[0] == "+":
            count += len(_words(run[1:]))
    return count


def repeats_words(source: str, text: str) -> bool:
    """Whether some four words in a row occur twice in ``text``, and not in ``source`` already."""
    return _has_repetition(text) and not _has_repetition(source)


def comments_on_sentence(source: str, text: str) -> bool:
    """Whether ``text`` speaks about its task or about the sentence, where ``source`` does not."""
    return bool(_COMMENT.match(text)) and not _COMMENT.match(source)


def _has_repetition(text: str) -> bool:
    words = _words(text)
    sequences = []
    # The last sequence begins three words before the end; a shorter text has none.
    for start in range(len(words) - _REPEATED_WORDS + 1):
        sequence = words[start : start + _REPEATED_WORDS]
        sequences.append(tuple(sequence))
    return len(set(sequences)) < len(sequences)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


RULES: Mapping[str, Callable[[str, str], bool]] = {
    "gives no text": is_empty,
    "copies the source": is_copy,
    "drops part of the sentence": drops_clause,
    "repeats itself": repeats_words,
    "comments on the sentence": comments_on_sentence,
}
"""By the words of a finding; a text may have several."""
CUT = "is cut off by the length limit"
"""The one finding that a text alone does not show."""


@dataclass(frozen=True)
class FaultExample:
    """A text with a fault: its source, and its word diff as ``render.diff`` gives it."""

    fault: str
    id: str
    source: str
    runs: Sequence[str]


@dataclass(frozen=True)
class SystemFaults:
    """What was found in the texts of a system.

    Attributes:
        system: name of the row.
        sentence: what it does wrong and how often.
        examples: at most two texts, of the two most frequent faults.
    """

    system: str
    sentence: str
    examples: Sequence[FaultExample]


def system_faults(data: PageData) -> list[SystemFaults]:
    """What each system does wrong, in the order of the leaderboard; controls are left out."""
    rows = [row for row in ordered_rows(data.board) if not row.control]
    return [_of_system(data, row) for row in rows if row.system in data.texts]


def _of_system(data: PageData, row: LeaderboardRow) -> SystemFaults:
    found = list(_found(data, row.system))
    texts = sum(map(len, data.texts[row.system]))
    # Faults that are as frequent stay in the order in which they were found.
    counts = Counter(fault for fault, _, _ in found).most_common()
    sentence = _sentence(counts, texts)
    examples = _examples(data, [fault for fault, _ in counts], found)
    return SystemFaults(row.system, sentence, examples)


def _found(data: PageData, system: str) -> Iterator[tuple[str, int, str]]:
    """Every fault of every text: the fault, the place of its example, and the text."""
    was_cut = data.cut.get(system, ())
    for place, texts in enumerate(data.texts[system]):
        source = data.examples[place].source
        for text in texts:
            for fault, rule in RULES.items():
                if rule(source, text):
                    yield fault, place, text
        # Which of several texts was cut is not kept; the first is shown.
        if texts and place in was_cut:
            yield CUT, place, texts[0]


def _sentence(counts: Sequence[tuple[str, int]], texts: int) -> str:
    """``"copies the source in 23 % of 40 texts, repeats itself in 5 %"``."""
    if not texts:
        return "has no texts here"
    if not counts:
        return f"none of these faults was found in {texts:,} texts"
    parts = []
    for fault, count in counts:
        # A share that rounds to 0 is not 0.
        rounds_to_zero = count * 200 < texts
        share = "under 1 %" if rounds_to_zero else f"{100 * count / texts:.0f} %"
        parts.append(f"{fault} in {share}")
    # The number of texts is said once.
    parts[0] += f" of {texts:,} texts"
    return ", ".join(parts)


def _examples(
    data: PageData,
    faults: Sequence[str],
    found: Sequence[tuple[str, int, str]],
) -> list[FaultExample]:
    """One text of each of the most frequent faults; two of the same where there is one alone."""
    wanted = list(faults[:EXAMPLES_SHOWN])
    if len(wanted) == 1:
        wanted *= EXAMPLES_SHOWN
    shown: list[FaultExample] = []
    used: set[int] = set()
    for fault in wanted:
        candidates = []
        for its_fault, place, text in found:
            if its_fault == fault and place not in used:
                candidates.append((place, text))
        if not candidates:
            continue
        # A sentence of middle length says most: a short one has little that can go wrong.
        candidates.sort(key=lambda candidate: len(data.examples[candidate[0]].source))
        place, text = candidates[len(candidates) // 2]
        used.add(place)
        example = data.examples[place]
        source = visible(example.source)
        runs = word_diff(source, visible(text))
        shown.append(FaultExample(fault, visible(example.id), source, runs))
    return shown
