"""Attackers that read the other sources too: what all have in common, and another's sentence.

Other sources are read at the first answer, since building a system must be free.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from parabench.contracts import BuildContext

from .attack_words import FREQUENT_FOURGRAMS, FREQUENT_WORDS, words_of
from .sentinels import Rule, chance_for, other_sentence_rule

_SOUP_WORDS = 60
"""How many of the commonest words of all sources make the word soup."""
_STUFFED = 3
"""Frequent sequences that stuffing puts into every output."""
_SOURCES_READ = 20_000
"""Sources in which frequent words are counted; more would tell nothing new."""


def _names_of(source: str) -> list[str]:
    """Numbers, and words with a capital that begin no sentence."""
    names = []
    for word in source.split()[1:]:
        bare = word.strip(".,;:!?\"'()")
        initial = bare[:1]
        has_capital = initial.isupper() and bare != "I"
        if initial.isdigit() or has_capital:
            names.append(bare)
    return names


def same_names_rule() -> Rule:
    """Another source, with the names and numbers of this one in the place of its own."""
    other = other_sentence_rule()

    def same_names(source: str, setting: BuildContext) -> str:
        text = other(source, setting)
        names = _names_of(source)
        its_names = _names_of(text)
        for its_name, name in zip(its_names, names, strict=False):
            text = text.replace(its_name, name, 1)
        missing = [name for name in names if name not in text]
        return " ".join([*missing, text])

    return same_names


def word_soup_rule() -> Rule:
    """The commonest words of all sources in a random order, as many as the source has."""
    common = list[str]()

    def word_soup(source: str, setting: BuildContext) -> str:
        if not common:
            read = setting.sources[:_SOURCES_READ]
            common.extend(_common_words(read) or FREQUENT_WORDS)
        chance = chance_for("soup", source, setting)
        length = max(1, len(source.split()))
        drawn = [chance.choice(common) for _ in range(length)]
        return " ".join(drawn)

    return word_soup


def _common_words(sources: Sequence[str]) -> list[str]:
    """The commonest words of the sources, none where they have no words."""
    counts = Counter[str]()
    for source in sources:
        counts.update(word.lower() for word in words_of(source))
    return [word for word, _ in counts.most_common(_SOUP_WORDS)]


def stuffing_rule() -> Rule:
    """Half of the source, and the same frequent sequences of four words in every output."""
    stuffed = list[str]()

    def stuffing(source: str, setting: BuildContext) -> str:
        if not stuffed:
            stuffed.extend(_common_sequences(setting.sources[:_SOURCES_READ]))
        words = source.split()
        half = max(1, len(words) // 2)
        return " ".join([*words[:half], *stuffed])

    return stuffing


def _common_sequences(sources: Sequence[str]) -> list[str]:
    """The sequences of four words that several sources hold, then those of English at large."""
    counts = Counter[str]()
    for source in sources:
        words = [word.lower() for word in words_of(source)]
        starts = range(len(words) - 3)
        # a set: a source counts a sequence once, however often it repeats it
        counts.update({" ".join(words[start : start + 4]) for start in starts})
    shared = [gram for gram, count in counts.most_common(_STUFFED) if count > 1]
    candidates = [*shared, *FREQUENT_FOURGRAMS]
    return candidates[:_STUFFED]
