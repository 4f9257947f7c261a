"""Each reference left out in turn, so that everybody, people included, is scored against equally
many.

In turn j the references of every example are all but the j-th, and what people wrote is the j-th. A
system's statistics of an example are the mean over the turns: means stay means, and ratios of
summed counts those of all turns pooled.

Columns against samples are measured in the same way: in turn k the k-th sample of a source stands
before all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle
from typing import TYPE_CHECKING

from parabench.contracts import Example, Scorer, Signature, UserError

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float


def protocol_signature(references: int) -> Signature:
    """How examples with so many references are scored; with a single one there is none to leave
    out.
    """
    return Signature(
        "turns",
        (("references", str(references)), ("left-out", "each" if references > 1 else "none")),
    )


def measure_leave_one_out(
    scorer: Scorer, examples: Sequence[Example], texts: Sequence[Sequence[str]]
) -> Float[np.ndarray, "N K"]:
    """A scorer's statistics of every example, the mean over its turns; ``texts`` holds what it is
    given of each.

    All turns are one call, so that a scorer can score each distinct pair of texts once; one that
    reads no references is asked about each text once. UserError where it does not answer with one
    row for each.
    """
    return measure_systems(scorer, examples, [texts])[0]


def measure_systems(
    scorer: Scorer, examples: Sequence[Example], texts: Sequence[Sequence[Sequence[str]]]
) -> list[Float[np.ndarray, "N K"]]:
    """Measure several systems' answers to the same examples in one call of the scorer.

    ``texts``: of each system, what it wrote of each example, one text or one for each turn.

    Returns the statistics of each system, the mean over its turns. Raises UserError where the
    scorer does not answer with one row for each text.
    """
    turns = _among if compares_samples(scorer) else _turns if needs_references(scorer) else _alone
    asked = list[tuple[Example, str]]()
    ends = list[int]()
    for answers in texts:
        for example, several in zip(examples, answers, strict=True):
            asked += turns(example, several)
        ends.append(len(asked))
    rows = scorer.measure([example for example, _ in asked], [text for _, text in asked])
    if rows.ndim != 2 or len(rows) != len(asked):
        raise UserError(
            f"measure with {scorer.signature.name}",
            f"an array of shape {rows.shape} for {len(asked)} examples",
            mend="let measure return one row for each",
        )
    # of one system all examples have equally many turns; people's may be more than a model's
    parts = [rows[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    return [part.reshape(len(examples), -1, rows.shape[1]).mean(axis=1) for part in parts]


def needs_references(scorer: Scorer) -> bool:
    """Whether any column of a scorer reads references."""
    return any(column.against in ("reference", "both") for column in scorer.columns)


def compares_samples(scorer: Scorer) -> bool:
    """Whether a scorer compares what one system wrote for one source."""
    return any(column.against == "samples" for column in scorer.columns)


def _alone(example: Example, texts: Sequence[str]) -> list[tuple[Example, str]]:
    return [(example, text) for text in texts]


def _among(example: Example, texts: Sequence[str]) -> list[tuple[Example, str]]:
    others = ((*texts[:turn], *texts[turn + 1 :]) for turn in range(len(texts)))
    return [
        (replace(example, references=(), samples=rest), text)
        for rest, text in zip(others, texts, strict=True)
    ]


def _turns(example: Example, texts: Sequence[str]) -> list[tuple[Example, str]]:
    if len(example.references) < 2:
        return _alone(example, texts)
    turns = zip(range(len(example.references)), cycle(texts), strict=False)
    return [(without_reference(example, turn), text) for turn, text in turns]


def without_reference(example: Example, turn: int) -> Example:
    """The example as it is scored in a turn."""
    others = example.references[:turn] + example.references[turn + 1 :]
    return replace(example, references=others, left_out=example.references[turn])
