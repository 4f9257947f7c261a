"""Does the interval of an agreement with people hold the truth as often as it says? Simulated.

``python -m benchmarks.agreement_intervals`` prints a table of results/statistics.md. Sources are
drawn, and items of them: people and the column both see how good an item is and how hard its source
makes it, with errors of their own, and the column sees it better on some sources. The truth is the
value of thousands of sources.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from numpy.random import Generator

from parabench.metaeval.correlation import (
    IntervalEstimate,
    correlations,
    ratio_with_interval,
)
from parabench.metaeval.within_sources import PairsOfSources, pairwise_accuracy
from parabench.stats.clusters import ClusterIndex

SOURCES = (10, 20, 30, 50, 150)
ITEMS = (4, 30)
"""Items of each source."""
TRIALS, RESAMPLES = 400, 500
MANY = 20_000
SHOWN = ("pearson", "pearson-within", "pairs")

Sample = tuple[Float[np.ndarray, " N"], Float[np.ndarray, " N"], list[str]]


def sample(generator: Generator, sources: int, items: int) -> Sample:
    """Values of a column, ratings of people, and the source of each item."""
    # hard sources are rarer than easy ones, and some columns are better on some sources
    hardness = generator.exponential(0.7, size=(sources, 1))
    eye = generator.uniform(0.2, 1.0, size=(sources, 1))
    good = generator.normal(size=(sources, items))
    people = np.clip(good - hardness + generator.normal(0, 0.5, good.shape), -3, 1)
    column = eye * good - 0.5 * hardness + generator.normal(0, 0.8, good.shape)
    names = np.repeat([f"source {place}" for place in range(sources)], items)
    return column.ravel(), people.ravel(), names.tolist()


def estimates(drawn: Sample, seed: int) -> Mapping[str, IntervalEstimate]:
    """What ``metric agreement`` prints of one column."""
    values, people, names = drawn
    # The other measures differ from it in nothing that an interval over sources would see.
    index = ClusterIndex(len(values), names)
    compared_pairs = PairsOfSources.of(values, people, index)
    found = correlations(values, people, index, compared_pairs, seed, RESAMPLES, ("pearson",))
    agreed, compared = pairwise_accuracy(compared_pairs)
    pairs = ratio_with_interval(agreed, compared, None, seed, RESAMPLES)
    return {**found, "pairs": pairs}


def main() -> None:
    """Print the table."""
    print(f"| sources | items of each | {' | '.join(SHOWN)} |\n|---:|---:|{'---:|' * len(SHOWN)}")
    for items in ITEMS:
        generator = np.random.default_rng(items)
        truth = estimates(sample(generator, MANY // items * 4, items), 0)
        for sources in SOURCES:
            held = dict.fromkeys(SHOWN, 0)
            for trial in range(TRIALS):
                found = estimates(sample(generator, sources, items), trial)
                for name in SHOWN:
                    held[name] += found[name].low <= truth[name].value <= found[name].high
            cells = " | ".join(f"{100 * held[name] / TRIALS:.1f}" for name in SHOWN)
            print(f"| {sources} | {items} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
