"""Sentinels: bad answers on purpose.

A column that prefers one of them to a person is not valid on that data.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from parabench.contracts import BuildContext, Paraphrase, Signature, UserError
from parabench.sequences import numbered_blocks
from parabench.store.positions import IdPositions

Rule = Callable[[str, BuildContext], str]
"""Makes an answer of a source; the context holds the seed and all sources of the run."""


@dataclass(frozen=True)
class Sentinel:
    """Answers every source by one rule; the same source always gets the same answer.

    ``seeded`` says that the rule draws from the run's seed, which is then in the signature.
    """

    name: str
    rule: Rule
    setting: BuildContext
    seeded: bool = False
    role: str = "sentinel"

    @property
    def signature(self) -> Signature:
        """The name, and the seed where it matters; raises UserError where the rule cannot work."""
        # a rule that needs other sentences says so at its first use: now, not after hours
        for source in self.setting.sources[:1]:
            self.rule(source, self.setting)
        items = (("seed", str(self.setting.runtime.seed)),) if self.seeded else ()
        return Signature(self.name, items)

    def paraphrase(self, sources: Sequence[str]) -> Iterator[Sequence[Paraphrase]]:
        """Yield what the rule makes of each of ``sources``."""
        for block in numbered_blocks(sources):
            yield [
                Paraphrase(position, self.rule(source, self.setting)) for position, source in block
            ]


def build_near_copy(variant: str, setting: BuildContext) -> Sentinel:
    """The source and three dots."""
    return Sentinel("near-copy", lambda source, _: f"{source} ...", setting)


def build_drop_last(variant: str, setting: BuildContext) -> Sentinel:
    """The source without its last word."""
    return Sentinel("drop-last", _drop_last, setting)


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
    return Sentinel("other-sentence", other_sentence_rule(), setting, seeded=True)


def build_negated(variant: str, setting: BuildContext) -> Sentinel:
    """The source denied: nearly all of its words, the opposite meaning."""
    return Sentinel("negated", _negated, setting)


def build_empty(variant: str, setting: BuildContext) -> Sentinel:
    """Nothing at all."""
    return Sentinel("empty", lambda source, _: "", setting)


def _drop_last(source: str, setting: BuildContext) -> str:
    words = source.split()
    return " ".join(words[:-1])


def _first_half(source: str, setting: BuildContext) -> str:
    words = source.split()
    kept = max(1, len(words) // 2)  # a single word is kept: nothing at all is ``empty``'s answer
    return " ".join(words[:kept])


def _negated(source: str, setting: BuildContext) -> str:
    return f"It is not true that {source[:1].lower()}{source[1:]}"


def _shuffled(source: str, setting: BuildContext) -> str:
    words = source.split()
    # seeded by the source too, so that an answer does not depend on which sources come before it
    random.Random(f"{setting.runtime.seed}-{source}").shuffle(words)
    return " ".join(words)


def other_sentence_rule() -> Rule:
    """A rule that answers with another source; it remembers the position of each source."""
    return partial(_other_sentence, positions=IdPositions())


def _other_sentence(source: str, setting: BuildContext, positions: IdPositions) -> str:
    """The source a fixed number of places further on, so that no source gets itself.

    ``positions`` maps each source to its place; it is filled at the first call, because building a
    system must be free.
    """
    count = len(setting.sources)
    if count < 2:
        raise UserError(
            "use the system 'other-sentence'",
            f"{count} source to choose from",
            mend="give two examples at least, or a higher --limit",
        )
    if not len(positions):
        for place, one in enumerate(setting.sources):
            positions.add(one, place)

    # a step from 1 to count - 1 leads around the circle of sources, and never back to the start
    step = 1 + random.Random(setting.runtime.seed).randrange(count - 1)
    place = positions.get(source) or 0
    return setting.sources[(place + step) % count]


def chance_for(name: str, source: str, setting: BuildContext) -> random.Random:
    """Chance of one attacker for one source: it does not depend on what is answered before.

    ``name`` tells attackers apart; ``setting`` has the run's seed.
    """
    return random.Random(f"{name}-{setting.runtime.seed}-{source}")
