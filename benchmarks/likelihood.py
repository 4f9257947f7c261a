"""BARTScore's measurement, pairs a second: ours, neulab/BARTScore's loop, and one pair at a
time.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from benchmarks import checkouts, peers, worlds
from benchmarks.options import Options, Race
from benchmarks.race import Contender, Work
from parabench.contracts import Runtime
from parabench.inference.likelihood import seq2seq_log_likelihood


def races(options: Options) -> list[Race]:
    """One target a source, and four; the yardstick is neulab/BARTScore at its default batch
    size.
    """
    several = _contenders(options, 4)
    return [
        Race("likelihood", f"{options.rows} pairs", _contenders(options, 1)),
        Race(
            "likelihood, four targets a source",
            f"{options.rows} pairs",
            [*several[:1], *several[-4:]],
        ),
    ]


def _contenders(options: Options, targets: int) -> list[Contender]:
    entries = [
        ("neulab/BARTScore's loop, batch 4", partial(_peer, options, targets, 4), 0.0),
        ("one pair at a time", partial(_peer, options, targets, 1), 1e-5),
    ]
    # the same loop at its best: fed by length, so that little is padding
    for size in (8, 32):
        name = f"neulab/BARTScore's loop, sorted, batch {size}"
        entries.append((name, partial(_peer, options, targets, size, True), 1e-5))
    if options.neulab:
        entries.insert(
            1, ("neulab/BARTScore itself, batch 4", partial(_neulab, options, targets), 1e-5)
        )
    if options.origin:
        entries.insert(
            1, ("the origin's BartScore itself, one pair", partial(_origin, options, targets), 1e-5)
        )
    entries += [
        ("parabench", partial(_ours, options, targets, torch.float32), 1e-5),
        ("parabench, bf16", partial(_ours, options, targets, torch.bfloat16), 1e-2),
    ]
    return [Contender(name, build, len, "pairs/s", tolerance) for name, build, tolerance in entries]


def pairs(rows: int, targets: int) -> list[tuple[peers.Ids, peers.Ids]]:
    """``rows`` pairs, so many targets a source."""
    sources = worlds.sentences(rows, 0)
    return [
        (sources[index // targets], target)
        for index, target in enumerate(worlds.sentences(rows, 1))
    ]


def _peer(options: Options, targets: int, batch_size: int, is_sorted: bool = False) -> Work:
    model, work = worlds.bart(options), pairs(options.rows, targets)
    order = list(range(len(work)))
    if is_sorted:
        order.sort(key=lambda at: (len(work[at][0]), len(work[at][1])))

    def run() -> np.ndarray:
        scores = np.empty(len(work))
        scores[order] = peers.bartscore_loop(model, [work[at] for at in order], batch_size)
        return scores

    return run


def _neulab(options: Options, targets: int) -> Work:
    scorer = checkouts.neulab(options.neulab, worlds.bart(options))
    sources, written = checkouts.as_texts(pairs(options.rows, targets))
    return lambda: np.array(scorer.score(sources, written, batch_size=4))


def _origin(options: Options, targets: int) -> Work:
    score = checkouts.origin(options.origin, worlds.bart(options))
    work = pairs(options.rows, targets)
    return lambda: np.array([score(*pair) for pair in work])


def _ours(options: Options, targets: int, dtype: torch.dtype) -> Work:
    return ours(worlds.bart(options, dtype), pairs(options.rows, targets))


def ours(model: torch.nn.Module, work: list[tuple[peers.Ids, peers.Ids]]) -> Work:
    """Mean log-likelihood a token of every pair, by parabench."""

    def run() -> np.ndarray:
        sums = seq2seq_log_likelihood(model, work, Runtime())
        return sums[:, 0] / sums[:, 1]

    return run
