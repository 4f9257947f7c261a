"""Sentinels: bad answers on purpose. A column that prefers one of them to a person is not valid on
that data.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from parabench.contracts import BuildContext, Paraphrase, Signature, UserError
from parabench.store.positions import IdPositions

Rule = Callable[[str, BuildContext], str]

_TOGETHER = 1024
"""Answers handed over at a time."""


@dataclass(frozen=True)
class Sentinel:
    """Answers every source by one rule; the same source always gets the same answer."""

    name: str
    rule: Rule
    setting: BuildContext
    seeded: bool = False
    role: str = "sentinel"

    @property
    def signature(self) -> Signature:
        """Raises UserError where the rule cannot be followed."""
        for source in self.setting.sources[:1]:
            self.rule(source, self.setting)
        return Signature(
            self.name, (("seed", str(self.setting.runtime.seed)),) if self.seeded else ()
        )

    def paraphrase(self, sources: Sequence[str]) -> Iterator[Sequence[Paraphrase]]:
        for start in range(0, len(sources), _TOGETHER):
            several = enumerate(sources[start : start + _TOGETHER], start)
            yield [
                Paraphrase(position, self.rule(source, self.setting))
                for position, source in several
            ]


def build_near_copy(variant: str, setting: BuildContext) -> Sentinel:
    """The source and three dots."""
    return Sentinel("near-copy", lambda source, _: f"{source} ...", setting)


def build_drop_last(variant: str, setting: BuildContext) -> Sentinel:
    """The source without its last word."""
    return Sentinel("drop-last", lambda source, _: " ".join(source.split()[:-1]), setting)


def build_first_half(variant: str, setting: BuildContext) -> Sentinel:
    """The first half of the source's words."""
    return Sentinel("first-half", _first_half, setting)


def build_shuffled(variant: str, setting: BuildContext) -> Sentinel:
    """The source's words in a random order."""
    return Sentinel("shuffled", _shuffled, setting, seeded=True)


def build_source_twice(variant: str, setting: BuildContext) -> Sentinel:
    """The source, and the source again."""
    return Sentinel("source-twice", lambda source, _: f"{source} {source}", setting)


def build_other_sentence(variant: str, setting: BuildContext) -> Sentinel:
    """Another example's source: fluent, and about something else."""
    places = IdPositions()
    return Sentinel("other-sentence", partial(_other_sentence, places=places), setting, seeded=True)


def build_negated(variant: str, setting: BuildContext) -> Sentinel:
    """The source denied: nearly all of its words, the opposite meaning."""
    return Sentinel(
        "negated",
        lambda source, _: f"It is not true that {source[:1].lower()}{source[1:]}",
        setting,
    )


def build_empty(variant: str, setting: BuildContext) -> Sentinel:
    """Nothing at all."""
    return Sentinel("empty", lambda source, _: "", setting)


def _first_half(source: str, setting: BuildContext) -> str:
    words = source.split()
    return " ".join(words[: max(1, len(words) // 2)])


def _shuffled(source: str, setting: BuildContext) -> str:
    words = source.split()
    random.Random(f"{setting.runtime.seed}-{source}").shuffle(words)
    return " ".join(words)


def _other_sentence(source: str, setting: BuildContext, places: IdPositions) -> str:
    """The source a fixed number of places on, so that nobody gets his own; ``places`` is filled
    when first asked.
    """
    count = len(setting.sources)
    if count < 2:
        raise UserError(
            "use the system 'other-sentence'",
            f"{count} source to choose from",
            mend="raise --limit",
        )
    steps = 1 + random.Random(setting.runtime.seed).randrange(count - 1)
    if not len(places):
        for place, one in enumerate(setting.sources):
            places.add(one, place)
    return setting.sources[((places.get(source) or 0) + steps) % count]
