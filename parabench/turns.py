"""Each reference left out in turn, so that everybody, people included, is scored against equally many.

In turn j the references of every example are all but the j-th, and what people wrote is the j-th. A system's statistics
of an example are the mean over the turns: means stay means, and ratios of summed counts those of all turns pooled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import cycle
from typing import TYPE_CHECKING, Any

from parabench.contracts import Example, Scorer, Signature, UserError

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float


def signature(references: int) -> Signature:
    """How examples with so many references are scored; with a single one there is none to leave out."""
    return Signature("turns", (("references", str(references)), ("left-out", "each" if references > 1 else "none")))


def texts(record: Mapping[str, Any]) -> list[str]:
    """What a record of predictions holds: one text, or one for each turn."""
    return record.get("turns") or [record["text"]]


def measure(scorer: Scorer, examples: Sequence[Example], texts: Sequence[Sequence[str]]) -> Float[np.ndarray, "N K"]:
    """A scorer's statistics of every example, the mean over its turns; ``texts`` holds one text, or one for each turn.

    All turns are one call, so that a scorer can score each distinct pair of texts once; one that reads no references
    is asked about each text once. UserError where it does not answer with one row for each.
    """
    comparing = needs_references(scorer)
    given = zip(examples, texts, strict=True)
    asked = [pair for example, several in given for pair in _turns(example, several, comparing)]
    rows = scorer.measure([example for example, _ in asked], [text for _, text in asked])
    if rows.ndim != 2 or len(rows) != len(asked):
        found = f"an array of shape {rows.shape} for {len(asked)} examples"
        raise UserError(f"measure with {scorer.signature.name}", found, mend="let measure return one row for each")
    return rows.reshape(len(examples), -1, rows.shape[1]).mean(axis=1)


def needs_references(scorer: Scorer) -> bool:
    """Whether any column of a scorer reads references."""
    return any(column.against in ("reference", "both") for column in scorer.columns)


def _turns(example: Example, texts: Sequence[str], comparing: bool) -> list[tuple[Example, str]]:
    if not comparing or len(example.references) < 2:
        return [(example, text) for text in texts]
    turns = zip(range(len(example.references)), cycle(texts), strict=False)
    return [(without(example, turn), text) for turn, text in turns]


def without(example: Example, turn: int) -> Example:
    """The example as it is scored in a turn."""
    return replace(example, references=example.references[:turn] + example.references[turn + 1 :])
