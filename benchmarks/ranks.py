"""Do ranks keep what they promise? Boards of which the truth is known, counted.

``python -m benchmarks.ranks`` prints the last sections of results/statistics.md: systems of noise,
the detectable difference of a board, and how often the first place repeats.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from benchmarks.intervals import ENGLISH
from parabench import registry
from parabench.contracts import BuildContext, Column, Example, Scorer, Signature, additive
from parabench.data.test_sets import read_test_set
from parabench.report.comparisons import detectable_difference, pairwise_comparisons
from parabench.report.results import RunResults, ScorerResults, SystemOutput
from parabench.report.rules import unranked_systems
from parabench.stats.leave_one_out import measure_leave_one_out
from parabench.stats.significance import first_again

SYSTEMS = 10
NOISE_BOARDS, DIFFERENCE_BOARDS, FIRST_BOARDS = 300, 80, 400
DRAWS = 1_999
"""Of the bootstrap and of tests of noise; a run draws 10,000, which 55 corrected tests need."""
COUNT = 150
POOL = 24
"""Shuffled rows that boards are dealt from."""

Rows = Float[np.ndarray, "N K"]


class Means:
    """A column that is a mean of normal values."""

    columns = (Column("quality", "up", "reference", 2),)
    signature = Signature("means")

    def measure(self, examples: object, texts: object) -> Rows:
        """Statistics are drawn, not measured."""
        raise NotImplementedError

    @additive
    def combine(self, statistics: Float[np.ndarray, "*draws N 2"]) -> Float[np.ndarray, "*draws 1"]:
        """Sums over counts."""
        sums = statistics.sum(axis=-2)
        return sums[..., :1] / sums[..., 1:]


class FewerDraws(RunResults):
    """Results of a run whose samples are fewer, so that many boards take minutes."""

    @property
    def resamples(self) -> int:
        """Draws of the bootstrap and of tests."""
        return DRAWS


def board(
    scorer: Scorer,
    statistics: Mapping[str, Rows],
    seed: int,
    kind: type[RunResults] = RunResults,
) -> RunResults:
    """A run of systems, sentinels (``copy``) and people (``human``) on independent examples."""
    count = len(next(iter(statistics.values())))
    examples = tuple(Example(str(number), f"s{number}", ("r",)) for number in range(count))
    outputs = {}
    for name in statistics:
        role = {"h": "human", "c": "sentinel"}.get(name[0], "system")
        outputs[name] = SystemOutput({}, frozenset(), role, name)
    facts = {
        "suite": {"title": "", "note": "", "headline": scorer.columns[0].name},
        "runtime": {"seed": seed},
    }
    measured = {"one": ScorerResults(scorer, "one", statistics)}
    return kind(facts, examples, outputs, measured)


# ---- noise


def noise_means(generator: np.random.Generator) -> tuple[Scorer, dict[str, Rows]]:
    """Ten systems and a sentinel of equal normal values; people are far above."""
    shared = generator.normal(size=COUNT)
    names = ["copy", *(f"s{number}" for number in range(SYSTEMS))]
    values = {name: shared + generator.normal(size=COUNT) for name in names}
    values["human"] = shared + 10
    return Means(), {name: with_ones(one) for name, one in values.items()}


def with_ones(values: Float[np.ndarray, " N"]) -> Rows:
    """Statistics of a mean."""
    return np.stack([values, np.ones(len(values))], axis=-1)


class ShuffledBoards:
    """Ten systems and a sentinel that shuffle the words of parabench-en's sources, by iBLEU."""

    def __init__(self) -> None:
        """Measure the pool and people once."""
        context = BuildContext()
        self.scorer = registry.plugin_builder("scorer", "ibleu")("", context)
        examples = list(read_test_set(ENGLISH))
        texts = [[[shuffled(one.source, seed)] for one in examples] for seed in range(POOL)]
        people = [list(one.references) for one in examples]
        self.pool = [measure_leave_one_out(self.scorer, examples, one) for one in texts]
        self.people = measure_leave_one_out(self.scorer, examples, people)

    def __call__(self, generator: np.random.Generator) -> tuple[Scorer, dict[str, Rows]]:
        """A board dealt from the pool."""
        dealt = generator.permutation(POOL)[: SYSTEMS + 1]
        names = ["copy", *(f"s{number}" for number in range(SYSTEMS))]
        rows = {name: self.pool[place] for name, place in zip(names, dealt, strict=True)}
        return self.scorer, {"human": self.people, **rows}


def shuffled(text: str, seed: int) -> str:
    """The words of a text in an order of chance."""
    words = text.split()
    random.Random(f"{seed} {text}").shuffle(words)
    return " ".join(words)


def ranked_noise(deal: Callable[[np.random.Generator], tuple[Scorer, dict[str, Rows]]]) -> float:
    """The share of boards of noise on which any system may rank."""
    generator = np.random.default_rng(0)
    found = 0
    for trial in range(NOISE_BOARDS):
        scorer, statistics = deal(generator)
        found += len(unranked_systems(board(scorer, statistics, trial, FewerDraws))) < SYSTEMS
    return found / NOISE_BOARDS


# ---- the detectable difference


def told_apart(errors: Sequence[float]) -> tuple[float, float]:
    """The detectable difference as printed, and how often a pair that differs by it is told apart.

    The pair is drawn anew for each board; the other systems stand in the middle between the two.
    ``errors`` are the standard deviations of what each system does by itself.
    """
    generator = np.random.default_rng(1)
    printed = [
        detectable_difference(board(Means(), differing(generator, errors, 0.0, (0, 1)), trial))
        for trial in range(DIFFERENCE_BOARDS // 5)
    ]
    typical = float(np.mean([one for one in printed if one is not None]))
    found = 0
    for trial in range(DIFFERENCE_BOARDS):
        one, other = generator.permutation(SYSTEMS)[:2]
        statistics = differing(generator, errors, typical, (one, other))
        pair = {f"s{one}", f"s{other}"}
        tests = pairwise_comparisons(board(Means(), statistics, trial))
        found += next(test.is_real for test in tests if {test.first, test.second} == pair)
    return typical, found / DIFFERENCE_BOARDS


def differing(
    generator: np.random.Generator,
    errors: Sequence[float],
    difference: float,
    pair: tuple[int, int],
) -> dict[str, Rows]:
    """Ten systems of which two differ, and people, on examples that are easy or hard for all."""
    shared = generator.normal(size=COUNT)
    found = {"human": with_ones(shared + 10)}
    for number, error in enumerate(errors):
        side = int(number == pair[0]) - int(number == pair[1])
        own = error * generator.normal(size=COUNT) + side * difference / 2
        found[f"s{number}"] = with_ones(shared + own)
    return found


# ---- the first place


def first_places(systems: int, spread: float) -> tuple[float, float]:
    """In how many of 100 new test sets the first is said to be first again, and is.

    Truths have a standard deviation of ``spread`` standard errors.
    """
    generator = np.random.default_rng(2)
    said, happened = [], []
    for _ in range(FIRST_BOARDS):
        truth = spread * generator.normal(size=systems)
        values = truth + generator.normal(size=systems)
        draws = values[:, None] + generator.normal(size=(systems, DRAWS))
        again = truth[:, None] + generator.normal(size=(systems, DRAWS))
        said.append(first_again(values, draws))
        happened.append((again.argmax(axis=0) == values.argmax()).mean())
    return 100 * float(np.mean(said)), 100 * float(np.mean(happened))


def main() -> None:
    """Print the tables."""
    print("| ten systems as good as the best sentinel | boards on which any ranks |")
    print("|---|---:|")
    print(f"| means of {COUNT} values | {100 * ranked_noise(noise_means):.1f} % |", flush=True)
    share = ranked_noise(ShuffledBoards())
    print(f"| shuffled sources of parabench-en, iBLEU | {100 * share:.1f} % |", flush=True)
    print("\n| errors of ten systems and people | printed | told apart |")
    print("|---|---:|---:|")
    unequal = [0.5 + number / 6 for number in range(SYSTEMS)]
    for name, errors in (("equal", [1.0] * SYSTEMS), ("0.5 to 2", unequal)):
        printed, apart = told_apart(errors)
        print(f"| {name} | {printed:.2f} | {100 * apart:.0f} % |", flush=True)
    spreads = (0.0, 0.5, 1.0, 2.0, 4.0)
    print(f"\n| spread of truths | {' | '.join(f'{spread:g}' for spread in spreads)} |")
    print(f"|---|{'---:|' * len(spreads)}")
    for systems in (2, 3, 5, 10):
        cells = [
            f"{said:.0f} / {happened:.0f}"
            for said, happened in (first_places(systems, spread) for spread in spreads)
        ]
        print(f"| {systems} systems | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
