"""Leave-one-out references: each one left out in turn, so that all are scored against equally many.

In turn j the references of every example are all but the j-th, and what people wrote is the j-th. A
system's statistics of an example are the mean over the turns: means stay means, and ratios of
summed counts those of all turns pooled.

Columns against samples are measured in the same way: in turn k the k-th sample of a source is
compared with all others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import cycle
from typing import TYPE_CHECKING

from parabench.contracts import Example, Scorer, Signature, UserError
from parabench.stats.folding import fold

if TYPE_CHECKING:
    from parabench.stats.arrays import Statistics

_Row = tuple[Example, str]
"""What a scorer is asked about at once: an example as one turn has it, and a text."""


def protocol_signature(references: int) -> Signature:
    """Return how examples with so many ``references`` are scored; of one none can be left out."""
    items = (
        ("references", str(references)),
        ("left-out", "each" if references > 1 else "none"),
    )
    return Signature("turns", items)


def measure_leave_one_out(
    scorer: Scorer, examples: Sequence[Example], texts: Sequence[Sequence[str]]
) -> Statistics:
    """Measure one system's answers with each reference left out in turn.

    ``texts`` holds what the ``scorer`` is given of each of the ``examples``: one text, or one for
    each turn. All turns are one call, so that a scorer can score each distinct pair of texts once;
    one that reads no references is asked about each text once.

    Returns the mean over the turns. Raises UserError where the scorer does not answer with one row
    for each text.
    """
    return measure_systems(scorer, examples, [texts])[0]


def measure_systems(
    scorer: Scorer, examples: Sequence[Example], texts: Sequence[Sequence[Sequence[str]]]
) -> list[Statistics]:
    """Measure several systems' answers to the same ``examples`` in one call of the ``scorer``.

    ``texts``: of each system, what it wrote of each example, one text or one for each turn.

    Returns the statistics of each system, the mean over its turns. Raises UserError where the
    scorer does not answer with one row for each text.
    """
    rows_of_example = _turns_of(scorer)
    # the rows of all systems, one system after the other, and where each system's end
    asked = list[_Row]()
    ends = list[int]()
    for answers in texts:
        for example, several in zip(examples, answers, strict=True):
            asked += rows_of_example(example, several)
        ends.append(len(asked))
    measured = scorer.measure(
        [example for example, _ in asked],
        [text for _, text in asked],
    )
    if measured.ndim != 2 or len(measured) != len(asked):
        raise UserError(
            f"measure with {scorer.signature.name}",
            f"an array of shape {measured.shape} for {len(asked)} examples",
            mend="let measure return one row for each",
        )
    means = []
    for start, end in zip([0, *ends], ends, strict=False):
        # of one system all examples have equally many turns; people's may be more than a model's
        of_system = measured[start:end]
        by_turn = of_system.reshape(len(examples), -1, measured.shape[1])
        means.append(by_turn.mean(axis=1))
    return means


def _turns_of(scorer: Scorer) -> Callable[[Example, Sequence[str]], list[_Row]]:
    """How an example and its texts become the rows that a scorer is asked about."""
    if compares_samples(scorer):
        return _each_against_the_others
    if needs_references(scorer):
        return _leave_each_out
    return _each_alone


def needs_references(scorer: Scorer) -> bool:
    """Return whether any column of a scorer reads references."""
    return any(column.against in ("reference", "both") for column in scorer.columns)


def compares_samples(scorer: Scorer) -> bool:
    """Return whether a scorer compares what one system wrote for one source."""
    return any(column.against == "samples" for column in scorer.columns)


def drops_a_twin(example: Example, texts: Sequence[str]) -> bool:
    """Whether an ``example`` is measured without the reference that its only text equals.

    ``texts``: what one system wrote of it. Runs made before this rule measured such texts with
    that reference left in.
    """
    if len(example.references) < 2 or len(texts) != 1:
        return False
    return _twin(example.references, texts[0]) is not None


def _each_alone(example: Example, texts: Sequence[str]) -> list[_Row]:
    return [(example, text) for text in texts]


def _each_against_the_others(example: Example, texts: Sequence[str]) -> list[_Row]:
    rows = []
    for turn, text in enumerate(texts):
        others = (*texts[:turn], *texts[turn + 1 :])
        rows.append((replace(example, references=(), samples=others), text))
    return rows


def _leave_each_out(example: Example, texts: Sequence[str]) -> list[_Row]:
    if len(example.references) < 2:
        return _each_alone(example, texts)
    # a system writes one text, which meets every turn; people wrote one for each turn
    turns = range(len(example.references))
    if len(texts) == 1 and (twin := _twin(example.references, texts[0])) is not None:
        # A text that equals a reference would be held against it in all turns but one. It gets what
        # the human's answer gets, which is the same text: the turn without that reference, always.
        return [(without_reference(example, twin), texts[0]) for _ in turns]
    several = zip(turns, cycle(texts), strict=False)
    return [(without_reference(example, turn), text) for turn, text in several]


def _twin(references: Sequence[str], text: str) -> int | None:
    """Which reference a text equals but for case and punctuation; None where it equals none."""
    words = fold(text)
    for turn, reference in enumerate(references):
        if words and fold(reference) == words:
            return turn
    return None


def without_reference(example: Example, turn: int) -> Example:
    """Return an ``example`` as a ``turn`` scores it: without its reference of that number."""
    others = example.references[:turn] + example.references[turn + 1 :]
    return replace(example, references=others, left_out=example.references[turn])
