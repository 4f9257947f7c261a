"""Does a column notice that the meaning has changed? Perturbation tests.

A good paraphrase is edited slightly so that it no longer means the same, and both are scored. After
CheckList (Ribeiro et al. 2020) and DEMETR (Karpinska et al. 2022).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from parabench.contracts import Column, Example, Scorer, UserError
from parabench.data.normalise import Normaliser
from parabench.data.perturbations import PERTURBATIONS, Perturbation
from parabench.stats.arrays import per_example
from parabench.stats.intervals import only_of_enough
from parabench.stats.resampling import difference

_NO_CHANGE = 1e-9
"""A column that moves by less has not moved: it may add the same numbers in another order."""


@dataclass(frozen=True)
class ProbeResult:
    """What one perturbation does to one column, on the ``count`` of ``total`` texts it applies to.

    ``lowered`` is the share of texts that the edit makes worse in the column's own direction; a tie
    does not count. ``effect`` is the column on edited texts minus the column on the same texts
    unedited, with its 95 % interval over clusters, NaN where there are too few for one; for a
    column that is a mean, it is the mean effect.
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
    """A reference taken out of its example to be the text, and its edits by perturbation.

    An edit is None where its rule does not apply. ``example`` keeps the other references.
    """

    example: Example
    text: str
    edits: tuple[str | None, ...]


def make_probes(examples: Sequence[Example], seed: int) -> list[Probe]:
    """Draw one reference of every example by ``seed``, to be judged by the others.

    Raises:
        UserError: where an example has fewer than two references.
    """
    made = []
    for example in examples:
        if len(example.references) < 2:
            raise UserError(
                "probe with one reference judged by others",
                f"example {example.id!r} has {len(example.references)}",
                mend="give every example two or more",
            )
        # A generator for each example: leaving some out does not change the draws of the rest.
        generator = random.Random(f"{seed}-{example.id}")
        place = generator.randrange(len(example.references))
        text = example.references[place]
        others = example.references[:place] + example.references[place + 1 :]
        edits = tuple(rule.edit(text, generator) for rule in PERTURBATIONS)
        made.append(Probe(replace(example, references=others), text, edits))
    return made


def probe_scorer(
    scorer: Scorer,
    made: Sequence[Probe],
    seed: int,
    plain: Normaliser,
    resamples: int = 1000,
    advance: Callable[[int, int], None] | None = None,
) -> Iterator[ProbeResult]:
    """Test every perturbation on every column of a scorer that has a better direction.

    Args:
        scorer: measures the texts before and after each edit.
        made: the probes.
        seed: of the bootstrap.
        plain: normalises texts as a run does.
        resamples: bootstrap samples of whole clusters.
        advance: hears how many perturbations are done, and of how many.
    """
    texts = [probe.text for probe in made]
    # The unedited texts are measured once, whatever number of edits they are compared with.
    before = _measure(scorer, made, texts, plain)
    for place, rule in enumerate(PERTURBATIONS):
        if advance is not None:
            advance(place, len(PERTURBATIONS))
        rows = []
        edited = []
        for row, probe in enumerate(made):
            edit = probe.edits[place]
            if edit is not None:
                rows.append(row)
                edited.append(edit)
        if not rows:
            continue
        chosen = [made[row] for row in rows]
        after = _measure(scorer, chosen, edited, plain)
        # An example without a cluster is one by itself.
        clusters = [probe.example.cluster or probe.example.id for probe in chosen]
        compared = _compare(
            scorer,
            after,
            before[rows],
            clusters,
            seed,
            resamples,
        )
        for column, lowered, effect, low, high in compared:
            yield ProbeResult(
                column,
                rule,
                len(rows),
                len(made),
                lowered,
                effect,
                low,
                high,
            )
    if advance is not None:
        advance(len(PERTURBATIONS), len(PERTURBATIONS))


def _measure(
    scorer: Scorer,
    made: Sequence[Probe],
    texts: Sequence[str],
    plain: Normaliser,
) -> Float[np.ndarray, "N K"]:
    examples = [plain.example(probe.example) for probe in made]
    plain_texts = [plain(text) for text in texts]
    return scorer.measure(examples, plain_texts)


def _compare(
    scorer: Scorer,
    after: Float[np.ndarray, "N K"],
    before: Float[np.ndarray, "N K"],
    clusters: Sequence[str],
    seed: int,
    resamples: int,
) -> Iterator[tuple[Column, float, float, float, float]]:
    """Of each column: share lowered, effect, and both ends of its interval."""
    effect, low, high = difference(
        scorer.combine,
        after,
        before,
        seed,
        resamples,
        clusters=clusters,
    )
    low, high = only_of_enough(low, high, len(set(clusters)))
    # What each edit did by itself, [N, C]; the effect above is of all of them together.
    steps = per_example(scorer.combine, after) - per_example(scorer.combine, before)
    for place, column in enumerate(scorer.columns):
        if column.better == "none":
            continue
        sign = 1 if column.better == "up" else -1
        gains = sign * steps[:, place]
        is_lowered = gains < -_NO_CHANGE
        share = float(is_lowered.mean())
        yield column, share, float(effect[place]), float(low[place]), float(high[place])
