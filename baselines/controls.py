"""Systems that are no models: what every column must be read against."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from parabench.contracts import BuildContext, Paraphrase, Signature, UserError

_TOGETHER = 1024
"""Answers handed over at a time."""


@dataclass(frozen=True)
class Copy:
    """Returns its input: the floor of change and the ceiling of faithfulness."""

    role: str = "sentinel"

    @property
    def signature(self) -> Signature:
        return Signature("copy")

    def paraphrase(self, sources: Sequence[str]) -> Iterator[Sequence[Paraphrase]]:
        for start in range(0, len(sources), _TOGETHER):
            yield [
                Paraphrase(at, source)
                for at, source in enumerate(sources[start : start + _TOGETHER], start)
            ]


@dataclass(frozen=True)
class Human:
    """What people wrote: in every turn the reference that is left out of those that everybody is
    scored against.
    """

    setting: BuildContext
    role: str = "human"

    @property
    def signature(self) -> Signature:
        """Needs at least two references for every example; UserError otherwise."""
        if not self.setting.human_answers:
            raise UserError(
                "use the system 'human'",
                "an example with a single reference, so none can be left out to be the human's answer",
                mend="leave human out of --systems, or give every example two references or more",
            )
        return Signature(
            "human", (("reference", "left-out"), ("turns", str(len(self.setting.human_answers[0]))))
        )

    def paraphrase(self, sources: Sequence[str]) -> Iterator[Sequence[Paraphrase]]:
        answers = dict(zip(self.setting.sources, self.setting.human_answers, strict=True))
        for start in range(0, len(sources), _TOGETHER):
            turns = enumerate(
                (answers[source] for source in sources[start : start + _TOGETHER]), start
            )
            yield [Paraphrase(position, texts[0], turns=texts) for position, texts in turns]


def build_copy(variant: str, setting: BuildContext) -> Copy:
    """The system that changes nothing."""
    return Copy()


def build_human(variant: str, setting: BuildContext) -> Human:
    """People as a system."""
    return Human(setting)
