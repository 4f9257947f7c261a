"""Coverage of the interval of a score at its edges: few examples, skewed values, rare events.

``python -m benchmarks.intervals`` prints a table in Markdown. A population is the rows of a real
test set, from which samples are drawn; its own value is the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from parabench import registry
from parabench.contracts import BuildContext, Column, Example, additive
from parabench.data.test_sets import read_test_set
from parabench.stats.clusters import ClusterIndex
from parabench.stats.intervals import score_interval
from parabench.stats.leave_one_out import measure_leave_one_out
from parabench.stats.resampling import bootstrap, percentile_ends

TRIALS, DRAWS = 200, 299
COUNTS = (30, 50, 150, 500)
ENGLISH = Path(__file__).parents[1] / "parabench" / "suites" / "parabench-en.jsonl"

Rows = Float[np.ndarray, "N K"]
Sampler = Callable[[np.random.Generator, int], Rows]


@additive
def mean(statistics: Float[np.ndarray, "*draws N 2"]) -> Float[np.ndarray, "*draws 1"]:
    """A mean column: sums over counts."""
    sums = statistics.sum(axis=-2)
    return sums[..., :1] / sums[..., 1:]


def cases() -> Iterator[tuple[str, Callable, Column, Sampler, float]]:
    """Name, combine, column, sampler of rows, truth."""
    share, score = Column("share", "none", "output"), Column("score", "up", "both")
    for rate in (0.02, 0.1):

        def rare(generator: np.random.Generator, count: int, rate: float = rate) -> Rows:
            hits = 100.0 * (generator.random(count) < rate)
            return np.stack([hits, np.ones(count)], axis=-1)

        yield f"share of outputs, {rate:.0%}", mean, share, rare, 100 * rate

    def skewed(generator: np.random.Generator, count: int) -> Rows:
        return np.stack([generator.lognormal(0, 1, count), np.ones(count)], axis=-1)

    yield "mean of log-normal values", mean, score, skewed, float(np.exp(0.5))
    examples = list(read_test_set(ENGLISH))
    for name in ("bleu", "ibleu", "chrf", "parity"):
        yield corpus_case(name, examples, score)


def corpus_case(
    name: str, examples: list[Example], column: Column
) -> tuple[str, Callable, Column, Sampler, float]:
    """A corpus score of half human, half copied answers to parabench-en."""
    scorer = registry.plugin_builder("scorer", name)("", BuildContext())
    texts = [
        list(one.references) if place % 2 or name == "bleu" else [one.source]
        for place, one in enumerate(examples)
    ]
    rows = measure_leave_one_out(scorer, examples, texts)

    @additive
    def first(statistics: Float[np.ndarray, "*draws N K"]) -> Float[np.ndarray, "*draws 1"]:
        return scorer.combine(statistics)[..., :1]

    def sample(generator: np.random.Generator, count: int) -> Rows:
        return rows[generator.integers(len(rows), size=count)]

    return f"{name} on parabench-en", first, column, sample, float(first(rows)[0])


def coverage(combine: Callable, column: Column, draw: Sampler, truth: float, count: int) -> list:
    """The shares of samples whose interval holds the truth: percentile, and ours."""
    generator = np.random.default_rng(count)
    held = []
    for trial in range(TRIALS):
        rows = draw(generator, count)
        draws = bootstrap(combine, rows, trial, DRAWS)
        percentile = percentile_ends(draws)
        ours = score_interval(combine, (column,), rows, draws, ClusterIndex(count), trial)
        held.append([bool(low[0] <= truth <= high[0]) for low, high in (percentile, ours)])
    return [float(share) for share in np.mean(held, axis=0)]


def main() -> None:
    """Print the table."""
    heads = [f"n = {count}" for count in COUNTS]
    print(f"| 95 % interval of | {' | '.join(heads)} |")
    print(f"|---|{'---:|' * len(heads)}")
    for name, combine, column, draw, truth in cases():
        found = [coverage(combine, column, draw, truth, count) for count in COUNTS]
        cells = [f"{100 * before:.1f} → {100 * after:.1f}" for before, after in found]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
