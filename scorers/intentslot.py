"""Intent and slots in one text, ``Intent: NAME`` and ``Slots: name(words), …``, one line each.

The form of NeMo's notebook ``Multitask_Prompt_and_PTuning.ipynb``; slots are scored as CoNLL scores
names: right where name and words are both right.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from parabench.contracts import (
    BuildContext,
    Column,
    Example,
    Scorer,
    Signature,
    UserError,
    additive,
)

from . import scorer_options
from .aggregation import need_references

_FORM = re.compile(r"\s*Intent:[ \t]*(\S+)\s+Slots:[ \t]*(\S.*?)\s*", re.DOTALL)
_SPAN = re.compile(r"\s*(\w+)\(([^()]*)\)\s*")


class IntentFrame(NamedTuple):
    """An intent and its slots, as often as each occurs."""

    intent: str
    slots: Counter[tuple[str, str]]


def parse_frame(text: str) -> IntentFrame | None:
    """Return the intent and slots of a text; None where it has another form."""
    match = _FORM.fullmatch(text)
    if match is None:
        return None
    slots: Counter[tuple[str, str]] = Counter()
    if match[2] != "None":
        # commas occur inside words too, so only one that follows a closing bracket separates
        for part in re.split(r"(?<=\)),", match[2]):
            span = _SPAN.fullmatch(part)
            if span is None:
                return None
            words = " ".join(span[2].split())
            slots[span[1], words] += 1
    return IntentFrame(match[1], slots)


@dataclass(frozen=True)
class IntentSlot:
    """Intent accuracy and slot F1 over all slots of all texts, 0 to 100.

    A text of another form has no intent and no slots, and is counted in ``unparsed``. Statistics:
    intent right, slots right, slots given, slots wanted, text unparsed, one.
    """

    columns: tuple[Column, ...] = (
        Column("intent_accuracy", "up", "reference", 1, "intents that are the reference's"),
        Column("slot_f1", "up", "reference", 1, "micro F1 of slots, name and words right"),
        Column("unparsed", "down", "output", 1, "texts that are no intent and slots"),
    )

    @property
    def signature(self) -> Signature:
        return Signature("intent-slot", (("slots", "micro"), ("words", "exact")))

    def measure(
        self, examples: Sequence[Example], texts: Sequence[str]
    ) -> Float[np.ndarray, "N 6"]:
        """One row of counts per example, against its first reference.

        UserError where an example has no reference, or one of another form.
        """
        need_references("intent-slot", examples)
        statistics = np.empty((len(examples), 6))
        for place, (example, text) in enumerate(zip(examples, texts, strict=True)):
            wanted = parse_frame(example.references[0])
            if wanted is None:
                found = f"the reference {example.references[0][:60]!r}"
                mend = "write it as 'Intent: NAME', a line break, 'Slots: name(words), …' or 'None'"
                raise UserError(f"score example {example.id!r} with intent-slot", found, mend=mend)
            given = parse_frame(text)
            slots = given.slots if given else Counter()
            shared = slots & wanted.slots
            statistics[place] = (
                given is not None and given.intent == wanted.intent,
                shared.total(),
                slots.total(),
                wanted.slots.total(),
                given is None,
                1,
            )
        return statistics

    @additive
    def combine(self, statistics: Float[np.ndarray, "*draws N 6"]) -> Float[np.ndarray, "*draws C"]:
        """The columns in percent; slot F1 is NaN where neither side has any slot."""
        sums = statistics.sum(axis=-2)
        intent, right, given, wanted, unparsed, texts = np.moveaxis(sums, -1, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            # micro F1: counts of all texts together, 2 right over given and wanted
            f1 = 2 * right / (given + wanted)
            columns = [intent / texts, f1, unparsed / texts]
        return 100 * np.stack(columns, axis=-1)


def build(variant: str, setting: BuildContext) -> Scorer:
    """Build ``intent-slot``; it has no options, and raises UserError for any."""
    scorer_options.no_variant("intent-slot", variant)
    scorer_options.checked_options("intent-slot", setting)
    return IntentSlot()
