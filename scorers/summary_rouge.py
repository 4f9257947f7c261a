"""ROUGE-Lsum's count of words: the union of longest common subsequences, sentence by sentence.

Lin 2004, "ROUGE", section 3.2, with the choice among equally long subsequences that rouge-score
makes (google-research/google-research, ``rouge_scorer.py``), whose module imports all of nltk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain

_Words = Sequence[str]


def summary_hits(references: Sequence[_Words], texts: Sequence[_Words]) -> int:
    """Return how many words of a reference's sentences are matched by those of a text.

    ``references``, ``texts``: the words of each sentence. No word is matched more often than it
    occurs on either side, as in ROUGE 1.5.5.
    """
    left_in_references = Counter(chain.from_iterable(references))
    left_in_texts = Counter(chain.from_iterable(texts))
    hits = 0
    for sentence in references:
        matched = set[int]()
        for other in texts:
            matched.update(_common_positions(sentence, other))
        for at in sorted(matched):
            word = sentence[at]
            if left_in_texts[word] > 0 and left_in_references[word] > 0:
                hits += 1
                left_in_texts[word] -= 1
                left_in_references[word] -= 1
    return hits


def _common_positions(reference: _Words, text: _Words) -> list[int]:
    """Positions in the reference of one longest common subsequence."""
    lengths = _common_lengths(reference, text)
    i = len(reference)
    j = len(text)
    positions = []
    # backwards from the end; where a word may be dropped on either side, the reference's is
    while i > 0 and j > 0:
        if reference[i - 1] == text[j - 1]:
            positions.append(i - 1)
            i = i - 1
            j = j - 1
        elif lengths[i][j - 1] > lengths[i - 1][j]:
            j -= 1
        else:
            i -= 1
    return positions


def _common_lengths(reference: _Words, text: _Words) -> list[list[int]]:
    """Length of the longest common subsequence of the first i and the first j words, ``[i][j]``."""
    above = [0] * (len(text) + 1)
    lengths = [above]
    for word in reference:
        row = [0]
        for j, other in enumerate(text):
            if word == other:
                row.append(above[j] + 1)
            else:
                row.append(max(above[j + 1], row[j]))
        lengths.append(row)
        above = row
    return lengths
