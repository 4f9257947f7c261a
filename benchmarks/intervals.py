"""Coverage of the interval of a score at its edges: few examples, skewed values, rare events.

``python -m benchmarks.intervals`` prints tables in Markdown. A population is a distribution, or the
rows of a real test set, from which samples are drawn; its own value is the truth. Of shares of
outputs nothing is drawn: the binomial distribution says how often an interval holds the truth.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.stats import beta, binom

from parabench import registry
from parabench.contracts import BuildContext, Column, Example, additive
from parabench.data.test_sets import read_test_set
from parabench.stats.arrays import Combine
from parabench.stats.clusters import ClusterIndex
from parabench.stats.intervals import blaker_interval, score_interval
from parabench.stats.leave_one_out import measure_leave_one_out
from parabench.stats.resampling import bootstrap, percentile_ends

TRIALS, CORPUS_TRIALS, DRAWS = 1_000, 200, 299
COUNTS = (30, 50, 150, 500)
RATES = (0.01, 0.02, 0.05, 0.1, 0.3)
ROOT = Path(__file__).parents[1]
ENGLISH = ROOT / "parabench" / "suites" / "parabench-en.jsonl"

Rows = Float[np.ndarray, "N K"]
Sampler = Callable[[np.random.Generator, int], Rows]


@dataclass(frozen=True)
class Case:
    """A column of samples drawn from a population of which the true value is known."""

    name: str
    combine: Combine
    column: Column
    draw: Sampler
    truth: float
    trials: int = TRIALS


@additive
def mean(statistics: Float[np.ndarray, "*draws N 2"]) -> Float[np.ndarray, "*draws 1"]:
    """A mean column: sums over counts."""
    sums = statistics.sum(axis=-2)
    return sums[..., :1] / sums[..., 1:]


def cases() -> Iterator[Case]:
    """What is estimated."""
    score = Column("score", "up", "both")

    def skewed(generator: np.random.Generator, count: int) -> Rows:
        return np.stack([generator.lognormal(0, 1, count), np.ones(count)], axis=-1)

    def waiting(generator: np.random.Generator, count: int) -> Rows:
        return np.stack([generator.exponential(1, count), np.ones(count)], axis=-1)

    yield Case("mean of exponential values", mean, score, waiting, 1.0)
    yield Case("mean of log-normal values", mean, score, skewed, float(np.exp(0.5)))
    examples = list(read_test_set(ENGLISH))
    people = [list(one.references) for one in examples]
    half = [
        texts if place % 2 else [one.source]
        for place, (one, texts) in enumerate(zip(examples, people, strict=True))
    ]
    yield corpus_case("bleu", "people", examples, people, score)
    yield corpus_case("ibleu", "half human, half copy", examples, half, score)
    yield corpus_case("chrf", "half human, half copy", examples, half, score)
    yield corpus_case("parity", "half human, half copy", examples, half, score)
    for name in ("softprompt-20", "zeroshot-chat"):
        yield corpus_case("parity", name, examples, predictions(name, examples), score)


def predictions(name: str, examples: Sequence[Example]) -> list[list[str]]:
    """What a system of the suite smollm2 wrote."""
    path = ROOT / "results/smollm2/predictions" / f"{name}.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    records = map(json.loads, lines)
    texts = {record["id"]: record["value"]["text"] for record in records}
    return [[texts[one.id]] for one in examples]


def corpus_case(
    name: str,
    what: str,
    examples: list[Example],
    texts: Sequence[Sequence[str]],
    column: Column,
) -> Case:
    """A corpus score of answers to parabench-en."""
    context = BuildContext(
        sources=tuple(one.source for one in examples),
        human_answers=tuple(one.references for one in examples),
    )
    scorer = registry.plugin_builder("scorer", name)("", context)
    rows = measure_leave_one_out(scorer, examples, texts)

    @additive
    def first(statistics: Float[np.ndarray, "*draws N K"]) -> Float[np.ndarray, "*draws 1"]:
        return scorer.combine(statistics)[..., :1]

    def sample(generator: np.random.Generator, count: int) -> Rows:
        return rows[generator.integers(len(rows), size=count)]

    truth = float(first(rows)[0])
    return Case(f"{name} of {what}", first, column, sample, truth, CORPUS_TRIALS)


def coverage(case: Case, count: int) -> list[float]:
    """The shares of samples whose interval holds the truth: percentile, and ours."""
    generator = np.random.default_rng(count)
    held = []
    for trial in range(case.trials):
        rows = case.draw(generator, count)
        draws = bootstrap(case.combine, rows, trial, DRAWS)
        percentile = percentile_ends(draws)
        index = ClusterIndex(count)
        ours = score_interval(case.combine, (case.column,), rows, draws, index, trial)
        held.append([bool(low[0] <= case.truth <= high[0]) for low, high in (percentile, ours)])
    return [float(share) for share in np.mean(held, axis=0)]


def share_coverage(
    rule: Callable[[int, int], tuple[float, float]], count: int, rate: float
) -> float:
    """The exact share of samples whose interval of a proportion holds ``rate``."""
    hits = np.arange(count + 1)
    ends = np.array([rule(int(one), count) for one in hits])
    holds = (ends[:, 0] <= rate) & (rate <= ends[:, 1])
    return float(binom.pmf(hits, count, rate)[holds].sum())


def jeffreys(hits: int, count: int) -> tuple[float, float]:
    """Jeffreys' interval, as it was printed before."""
    low = 0.0 if hits == 0 else float(beta.ppf(0.025, hits + 0.5, count - hits + 0.5))
    high = 1.0 if hits == count else float(beta.ppf(0.975, hits + 0.5, count - hits + 0.5))
    return low, high


def main() -> None:
    """Print the tables."""
    heads = [f"n = {count}" for count in COUNTS]
    print(f"| 95 % interval of a share | {' | '.join(heads)} |")
    print(f"|---|{'---:|' * len(heads)}")
    for rate in RATES:
        found = [
            [share_coverage(rule, count, rate) for rule in (jeffreys, blaker_interval)]
            for count in COUNTS
        ]
        cells = [f"{100 * before:.1f} → {100 * after:.1f}" for before, after in found]
        print(f"| {100 * rate:g} % of outputs | {' | '.join(cells)} |", flush=True)
    print(f"\n| 95 % interval of | {' | '.join(heads)} |")
    print(f"|---|{'---:|' * len(heads)}")
    for case in cases():
        found = [coverage(case, count) for count in COUNTS]
        cells = [f"{100 * before:.1f} → {100 * after:.1f}" for before, after in found]
        print(f"| {case.name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
