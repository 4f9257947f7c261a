"""Does the interval of a difference hold the truth as often as it says? Simulated.

``python -m benchmarks.difference_intervals [CASE …]`` prints a table of results/statistics.md. The
population is parabench-en: the difference of two rows' scores on its 348 examples is the truth.
Samples of them are drawn with replacement. The rule is that of the report and of ``compare``:
expanded percentiles of the paired bootstrap, and none where either row's column rests on few
examples.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from benchmarks.corpus_intervals import COUNTS, DRAWS, population, texts_of
from parabench import registry
from parabench.contracts import Scorer
from parabench.stats.intervals import rests_on_few
from parabench.stats.leave_one_out import measure_leave_one_out
from parabench.stats.resampling import expanded_level, percentile_ends

TRIALS = 400
CASES = (
    "bleu:people:zeroshot-chat",
    "ibleu:zeroshot-chat:lora-8",
    "chrf:zeroshot-chat:lora-8",
    "rouge:zeroshot-chat:lora-8",
    "sari:zeroshot-chat:lora-8",
    "parity:zeroshot-chat:lora-8",
    "parity:people:lora-8",
)
"""Scorer and two rows: people, or systems of the suite smollm2."""
SHOWN = {"rouge": ("rougeL",), "chrf": ("chrf",)}
"""Of scorers with many columns those that are shown."""

Rows = Float[np.ndarray, "N K"]


def coverage(
    scorer: Scorer, first: Rows, second: Rows, count: int, trials: int
) -> tuple[Bool[np.ndarray, "T C"], Bool[np.ndarray, "T C"]]:
    """Of every sample and column whether the interval holds the truth, and is printed."""
    generator = np.random.default_rng(count)
    truth = scorer.combine(first) - scorer.combine(second)
    held, printed = [], []
    for _ in range(trials):
        chosen = generator.integers(len(first), size=count)
        one, other = first[chosen], second[chosen]
        weights = generator.multinomial(count, np.full(count, 1 / count), DRAWS)
        drawn = scorer.combine((weights @ one)[:, None]) - scorer.combine(
            (weights @ other)[:, None]
        )
        low, high = percentile_ends(drawn, expanded_level(count))
        held.append((low <= truth) & (truth <= high))
        few = rests_on_few(scorer.combine, one) | rests_on_few(scorer.combine, other)
        printed.append(~few)
    return np.array(held), np.array(printed)


def main(cases: Sequence[str]) -> None:
    """Print the table."""
    examples, context = population()
    print("| difference in | of | n | held | printed | held where printed |")
    print("|---|---|---:|---:|---:|---:|")
    for case in cases:
        name, *rows = case.split(":")
        scorer = registry.plugin_builder("scorer", name)("", context)
        first, second = (
            measure_leave_one_out(scorer, examples, texts_of(row, examples)) for row in rows
        )
        for count in COUNTS:
            held, printed = coverage(scorer, first, second, count, TRIALS)
            for place, column in enumerate(scorer.columns):
                if name in SHOWN and column.name not in SHOWN[name]:
                    continue
                kept = printed[:, place]
                last = f"{100 * held[kept, place].mean():.1f}" if kept.sum() >= 50 else "–"
                print(
                    f"| {column.name} | {rows[0]}, {rows[1]} | {count} "
                    f"| {100 * held[:, place].mean():.1f} | {100 * kept.mean():.0f} % | {last} |",
                    flush=True,
                )


if __name__ == "__main__":
    main(sys.argv[1:] or CASES)
