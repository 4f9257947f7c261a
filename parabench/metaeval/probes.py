"""Does a column notice that the meaning has changed? Good paraphrases, slightly edited, scored
against themselves.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from parabench.contracts import Column, Example, Scorer, UserError
from parabench.data.normalise import Normaliser
from parabench.data.perturbations import PERTURBATIONS, Perturbation
from parabench.stats import significance


@dataclass(frozen=True)
class ProbeResult:
    """What one perturbation does to one column, on the ``count`` of ``total`` texts that it applies
    to.

    ``lowered`` is the share of texts that the edit makes worse in the column's own direction, a tie
    not counting. ``effect`` is the column on edited texts minus the column on the same texts
    unedited, with its 95 % interval over clusters; for a column that is a mean, it is the mean
    effect.
    """

    column: Column
    perturbation: Perturbation
    count: int
    total: int
    lowered: float
    effect: float
    low: float
    high: float


@dataclass(frozen=True)
class Probe:
    """A reference, taken out of its example to be the text, and its edits; None where a rule does
    not apply.
    """

    example: Example
    text: str
    edits: tuple[str | None, ...]


def make_probes(examples: Sequence[Example], seed: int) -> list[Probe]:
    """One reference of every example by the seed, judged by the others; UserError if one has no
    other.
    """
    made = []
    for example in examples:
        if len(example.references) < 2:
            found = f"example {example.id!r} has {len(example.references)}"
            raise UserError(
                "probe with one reference judged by others",
                found,
                mend="give every example two or more",
            )
        generator = random.Random(f"{seed}-{example.id}")
        place = generator.randrange(len(example.references))
        text, others = (
            example.references[place],
            example.references[:place] + example.references[place + 1 :],
        )
        edits = tuple(rule.edit(text, generator) for rule in PERTURBATIONS)
        made.append(Probe(replace(example, references=others), text, edits))
    return made


def probe_scorer(
    scorer: Scorer, made: Sequence[Probe], seed: int, plain: Normaliser, resamples: int = 1000
) -> Iterator[ProbeResult]:
    """Every perturbation against every column that has a better direction; texts are normalised as
    in a run.
    """
    before = _measure(scorer, made, [probe.text for probe in made], plain)
    for place, rule in enumerate(PERTURBATIONS):
        rows = [row for row, probe in enumerate(made) if probe.edits[place] is not None]
        edited = [text for probe in made if (text := probe.edits[place]) is not None]
        if rows:
            chosen = [made[row] for row in rows]
            after = _measure(scorer, chosen, edited, plain)
            yield from _compared(
                scorer, rule, chosen, after, before[rows], len(made), seed, resamples
            )


def _measure(
    scorer: Scorer, made: Sequence[Probe], texts: Sequence[str], plain: Normaliser
) -> Float[np.ndarray, "N K"]:
    return scorer.measure(
        [plain.example(probe.example) for probe in made], [plain(text) for text in texts]
    )


def _compared(
    scorer: Scorer,
    rule: Perturbation,
    made: Sequence[Probe],
    after: Float[np.ndarray, "N K"],
    before: Float[np.ndarray, "N K"],
    total: int,
    seed: int,
    resamples: int,
) -> Iterator[ProbeResult]:
    clusters = [probe.example.cluster or probe.example.id for probe in made]
    effect, low, high = significance.difference(
        scorer.combine, after, before, seed, resamples, clusters=clusters
    )
    steps = _by_example(scorer, after) - _by_example(scorer, before)
    for place, column in enumerate(scorer.columns):
        if column.better != "none":
            sign = 1 if column.better == "up" else -1
            share = float((sign * steps[:, place] < -1e-9).mean())
            ends = (float(effect[place]), float(low[place]), float(high[place]))
            yield ProbeResult(column, rule, len(made), total, share, *ends)


def _by_example(scorer: Scorer, statistics: Float[np.ndarray, "N K"]) -> Float[np.ndarray, "N C"]:
    return np.stack([scorer.combine(row[None]) for row in statistics])
