"""Control systems without a model: ``copy`` returns the source, ``human`` what people wrote."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from parabench.contracts import BuildContext, Paraphrase, Signature, UserError
from parabench.sequences import numbered_blocks


@dataclass(frozen=True)
class Copy:
    """A sentinel that returns its input: no change at all, and all of the meaning."""

    role: str = "sentinel"

    @property
    def signature(self) -> Signature:
        """The name alone: nothing can be set."""
        return Signature("copy")

    def paraphrase(self, sources: Sequence[str]) -> Iterator[Sequence[Paraphrase]]:
        """Yield the ``sources`` themselves."""
        for block in numbered_blocks(sources):
            yield [Paraphrase(position, source) for position, source in block]


@dataclass(frozen=True)
class Human:
    """People as a system: in each fold, the reference that is left out of that fold."""

    setting: BuildContext
    role: str = "human"

    @property
    def signature(self) -> Signature:
        """The number of folds; raises UserError where an example has a single reference."""
        folds = self.setting.human_answers
        if not folds:
            raise UserError(
                "use the system 'human'",
                "an example with a single reference, so none can be left out as the human's answer",
                mend="leave human out of --systems, or give every example two references or more",
            )
        turns = str(len(folds[0]))
        return Signature("human", (("reference", "left-out"), ("turns", turns)))

    def paraphrase(self, sources: Sequence[str]) -> Iterator[Sequence[Paraphrase]]:
        """Yield one text a fold for each of ``sources``."""
        answers = dict(zip(self.setting.sources, self.setting.human_answers, strict=True))
        for block in numbered_blocks(sources):
            # ``text`` is the first fold's answer; who reads folds takes ``turns``
            yield [
                Paraphrase(position, answers[source][0], turns=answers[source])
                for position, source in block
            ]


def build_copy(variant: str, setting: BuildContext) -> Copy:
    """Build the sentinel that changes nothing."""
    return Copy()


def build_human(variant: str, setting: BuildContext) -> Human:
    """Build people as a system, from the references left out in ``setting.human_answers``."""
    return Human(setting)
