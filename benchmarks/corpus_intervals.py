"""Which interval of a corpus score holds the truth as often as it says? Seven rules, simulated.

``python -m benchmarks.corpus_intervals [CASE …]`` prints a table of results/statistics.md. The
population is a row of parabench-en: 348 examples, whose own score is the truth. Samples of it are
drawn with replacement. The last rule, the hull of the percentile interval, the bootstrap-t interval
and Hall's, is that of ``parabench.stats.intervals``, which prints it only where the column does not
rest on few examples.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from benchmarks.intervals import ENGLISH, predictions
from parabench import registry
from parabench.contracts import BuildContext, Example, Scorer
from parabench.data.test_sets import read_test_set
from parabench.stats.arrays import Combine
from parabench.stats.intervals import rests_on_few
from parabench.stats.leave_one_out import measure_leave_one_out
from parabench.stats.resampling import percentile_ends
from parabench.stats.studentised import influence_moments, studentised_ends

COUNTS = (30, 50, 150, 500)
DRAWS = 999
TRIALS = {"bleu:people": 300}
OTHER_TRIALS = 200
CASES = ("bleu:people", "bleu:zeroshot-chat", "sari:people", "ibleu:half")
"""Scorer and row: people, answers half of which are copies, or a system of the suite smollm2."""
RULES = ("percentile", "BCa", "log-t", "bootstrap-t", "Hall's", "hull of t and Hall's", "hull")

Rows = Float[np.ndarray, "N K"]
Ends = Float[np.ndarray, "2 C"]


def texts_of(name: str, examples: Sequence[Example]) -> list[list[str]]:
    """What a row of the table wrote."""
    people = [list(one.references) for one in examples]
    if name == "people":
        return people
    if name == "half":
        pairs = enumerate(zip(examples, people, strict=True))
        return [texts if place % 2 else [one.source] for place, (one, texts) in pairs]
    return predictions(name, examples)


def intervals(combine: Combine, rows: Rows, seed: int) -> Float[np.ndarray, "rules 2 C"]:
    """The ends of every column's 95 % interval by ``RULES``."""
    count = len(rows)
    generator = np.random.default_rng(seed)
    weights = generator.multinomial(count, np.full(count, 1 / count), DRAWS)
    value = combine(rows.sum(axis=0)[None])
    (error,), (skewness,) = influence_moments(combine, rows, np.ones((1, count)))
    drawn = combine((weights @ rows)[:, None])
    errors, skews = influence_moments(combine, rows, weights.astype(float))
    percentile = np.stack(percentile_ends(drawn))
    by_t, by_hall = studentised_ends(value, error, skewness, drawn, errors, skews, count)
    both = hull(by_t, by_hall)
    with np.errstate(all="ignore"):
        log_t = (np.log(drawn) - np.log(value)) / (errors / drawn)
    log_t[~np.isfinite(log_t)] = np.nan
    low, high = percentile_ends(log_t)
    with np.errstate(all="ignore"):
        by_log = value * np.exp(np.stack([-high, -low]) * error / value)
    corrected = accelerated(combine, rows, value, drawn)
    everything = [percentile, corrected, by_log, by_t, by_hall, both, hull(percentile, both)]
    return np.stack(everything)


def hull(one: Ends, other: Ends) -> Ends:
    """The least interval that holds both."""
    return np.stack([np.fmin(one[0], other[0]), np.fmax(one[1], other[1])])


def accelerated(
    combine: Combine,
    rows: Rows,
    value: Float[np.ndarray, " C"],
    drawn: Float[np.ndarray, "R C"],
) -> Ends:
    """BCa, bias-corrected and accelerated (Efron 1987)."""
    without = combine((rows.sum(axis=0) - rows)[:, None])
    steps = without.mean(axis=0) - without
    spread = (steps**2).sum(axis=0) ** 1.5
    acceleration = (steps**3).sum(axis=0) / (6 * spread + 1e-300)
    below = (drawn < value).mean(axis=0) + (drawn == value).mean(axis=0) / 2
    bias = stats.norm.ppf(np.clip(below, 0.001, 0.999))
    z = bias + stats.norm.ppf([[0.025], [0.975]])
    levels = 100 * stats.norm.cdf(bias + z / (1 - acceleration * z))
    columns = range(len(value))
    return np.stack([np.nanpercentile(drawn[:, c], levels[:, c]) for c in columns], axis=-1)


def coverage(
    scorer: Scorer, rows: Rows, count: int, trials: int
) -> tuple[Bool[np.ndarray, "T rules C"], Bool[np.ndarray, "T C"]]:
    """Of every sample and column whether each rule's interval holds the truth, and is printed."""
    generator = np.random.default_rng(count)
    truth = scorer.combine(rows)
    held, printed = [], []
    for trial in range(trials):
        sample = rows[generator.integers(len(rows), size=count)]
        ends = intervals(scorer.combine, sample, trial)
        held.append((ends[:, 0] <= truth) & (truth <= ends[:, 1]))
        printed.append(~rests_on_few(scorer.combine, sample))
    return np.array(held), np.array(printed)


def population() -> tuple[list[Example], BuildContext]:
    """The examples of parabench-en, and what scorers are told of them."""
    examples = list(read_test_set(ENGLISH))
    context = BuildContext(
        sources=tuple(one.source for one in examples),
        human_answers=tuple(one.references for one in examples),
    )
    return examples, context


def main(cases: Sequence[str]) -> None:
    """Print the table."""
    examples, context = population()
    print(f"| score | n | {' | '.join(RULES)} | printed | hull where printed |")
    print(f"|---|---:|{'---:|' * (len(RULES) + 2)}")
    for case in cases:
        name, row = case.split(":")
        scorer = registry.plugin_builder("scorer", name)("", context)
        rows = measure_leave_one_out(scorer, examples, texts_of(row, examples))
        for count in COUNTS:
            held, printed = coverage(scorer, rows, count, TRIALS.get(case, OTHER_TRIALS))
            for place, column in enumerate(scorer.columns):
                shares = held[:, :, place].mean(axis=0)
                # a score below 0 has no logarithm
                cells = [f"{100 * share:.1f}" if share else "–" for share in shares]
                kept = printed[:, place]
                # of a few samples a share says nothing
                last = f"{100 * held[kept, -1, place].mean():.1f}" if kept.sum() >= 20 else "–"
                print(
                    f"| {column.name}, {row} | {count} | {' | '.join(cells)} "
                    f"| {100 * kept.mean():.0f} % | {last} |",
                    flush=True,
                )


if __name__ == "__main__":
    main(sys.argv[1:] or CASES)
