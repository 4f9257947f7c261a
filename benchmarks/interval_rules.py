"""Which interval of a mean holds the truth as often as it says? Six rules, simulated.

``python -m benchmarks.interval_rules`` prints a table of results/statistics.md. The last rule, the
hull of the percentile interval, the bootstrap-t interval and Hall's, is that of
``parabench.stats.intervals``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy import stats

TRIALS = {30: 1_000, 50: 800, 150: 500}
"""Samples of each size."""
DRAWS = 999
RULES = ("percentile", "BCa", "bootstrap-t", "Hall's", "hull of t and Hall's", "hull")

Sampler = Callable[[np.random.Generator, int], np.ndarray]
POPULATIONS: Mapping[str, tuple[Sampler, float]] = {
    "log-normal": (lambda generator, n: generator.lognormal(0, 1, n), float(np.exp(0.5))),
    "gamma, shape 1/4": (lambda generator, n: generator.gamma(0.25, 1, n), 0.25),
    "exponential": (lambda generator, n: generator.exponential(1, n), 1.0),
    "beta (1/2, 2)": (lambda generator, n: generator.beta(0.5, 2, n), 0.2),
    "normal": (lambda generator, n: generator.normal(1, 1, n), 1.0),
}
"""Distributions, and their means."""


def intervals(x: np.ndarray, weights: np.ndarray) -> list[tuple[float, float]]:
    """The 95 % intervals of the mean of ``x`` by ``RULES``; ``weights`` [R, N] are the samples."""
    n, mean, deviation = len(x), x.mean(), x.std()
    drawn = weights @ x / n
    second, third = weights @ x**2 / n, weights @ x**3 / n
    spread = np.sqrt(np.maximum(second - drawn**2, 1e-300))
    percentile = np.percentile(drawn, [2.5, 97.5])
    skewness = ((x - mean) ** 3).mean() / deviation**3
    bias = stats.norm.ppf((drawn < mean).mean())
    z = bias + stats.norm.ppf([0.025, 0.975])
    levels = stats.norm.cdf(bias + z / (1 - skewness / (6 * np.sqrt(n)) * z))
    t = (drawn - mean) / spread
    low, high = mean - deviation * np.percentile(t, [97.5, 2.5])
    # Hall 1992: a monotone cubic that takes skewness out, and its inverse
    skews = (third - 3 * drawn * second + 2 * drawn**3) / spread**3
    cubic = t + skews * t**2 / 3 + skews**2 * t**3 / 27 + skews / (6 * n)
    ends = np.percentile(cubic, [97.5, 2.5]) - skewness / (6 * n)
    hall = mean - deviation * 3 / skewness * (np.cbrt(1 + skewness * ends) - 1)
    return [
        (percentile[0], percentile[1]),
        tuple(np.percentile(drawn, 100 * levels)),
        (low, high),
        (hall[0], hall[1]),
        (min(low, hall[0]), max(high, hall[1])),
        (min(low, hall[0], percentile[0]), max(high, hall[1], percentile[1])),
    ]


def coverage(draw: Sampler, truth: float, n: int, generator: np.random.Generator) -> np.ndarray:
    """The shares of samples whose interval holds the truth, by rule."""
    held = []
    for _ in range(TRIALS[n]):
        weights = generator.multinomial(n, np.full(n, 1 / n), DRAWS).astype(float)
        ends = intervals(draw(generator, n), weights)
        held.append([low <= truth <= high for low, high in ends])
    return np.mean(held, axis=0)


def main() -> None:
    """Print the table."""
    generator = np.random.default_rng(0)
    print(f"| mean of | n | {' | '.join(RULES)} |")
    print(f"|---|---:|{'---:|' * len(RULES)}")
    for n in TRIALS:
        for name, (draw, truth) in POPULATIONS.items():
            shares = coverage(draw, truth, n, generator)
            cells = " | ".join(f"{100 * share:.1f}" for share in shares)
            print(f"| {name} | {n} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
