"""Systems that are no models: what every column must be read against."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from parabench.contracts import Paraphrase, Setting, Signature, UserError


@dataclass(frozen=True)
class Copy:
    """Returns its input: the floor of change and the ceiling of faithfulness."""

    role: str = "sentinel"

    @property
    def signature(self) -> Signature:
        return Signature("copy")

    def paraphrase(self, sources: Sequence[str]) -> Iterator[Sequence[Paraphrase]]:
        yield [Paraphrase(position, source) for position, source in enumerate(sources)]


@dataclass(frozen=True)
class Human:
    """The reference held out of the references that everybody is scored against."""

    setting: Setting
    role: str = "human"

    @property
    def signature(self) -> Signature:
        """Needs at least two references for every example; UserError otherwise."""
        if not self.setting.held_out:
            raise UserError(
                "use the system 'human'",
                "an example with a single reference, so none can be held out as the human's answer",
                mend="leave human out of --systems, or give every example two references or more",
            )
        return Signature("human", (("reference", "held-out"), ("seed", str(self.setting.runtime.seed))))

    def paraphrase(self, sources: Sequence[str]) -> Iterator[Sequence[Paraphrase]]:
        answers = dict(zip(self.setting.sources, self.setting.held_out, strict=True))
        yield [Paraphrase(position, answers[source]) for position, source in enumerate(sources)]


def build_copy(variant: str, setting: Setting) -> Copy:
    """The system that changes nothing."""
    return Copy()


def build_human(variant: str, setting: Setting) -> Human:
    """The held-out reference as a system."""
    return Human(setting)
