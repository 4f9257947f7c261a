"""BARTScore's measurement, pairs a second: ours, neulab/BARTScore's loop, and one pair at a time."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from benchmarks import peers, worlds
from benchmarks.race import Contender, Work
from parabench.contracts import Runtime
from parabench.inference.likelihood import seq2seq_log_likelihood


def contenders(rows: int, targets: int) -> list[Contender]:
    """The yardstick first: neulab/BARTScore at its default batch size."""
    entries = [
        ("neulab/BARTScore's loop, batch 4", partial(_peer, rows, targets, 4), 0.0),
        ("one pair at a time", partial(_peer, rows, targets, 1), 1e-5),
        ("neulab/BARTScore's loop, batch 32", partial(_peer, rows, targets, 32), 1e-5),
        ("parabench", partial(_ours, rows, targets, torch.float32), 1e-5),
        ("parabench, bf16", partial(_ours, rows, targets, torch.bfloat16), 1e-2),
    ]
    return [Contender(name, build, len, "pairs/s", tolerance) for name, build, tolerance in entries]


def _pairs(rows: int, targets: int) -> list[tuple[peers.Ids, peers.Ids]]:
    sources = worlds.sentences(rows, 0)
    return [(sources[index // targets], target) for index, target in enumerate(worlds.sentences(rows * targets, 1))]


def _peer(rows: int, targets: int, batch_size: int) -> Work:
    model, pairs = worlds.bart(), _pairs(rows, targets)
    return lambda: np.array(peers.bartscore_loop(model, pairs, batch_size))


def _ours(rows: int, targets: int, dtype: torch.dtype) -> Work:
    model, pairs = worlds.bart(dtype), _pairs(rows, targets)

    def work() -> np.ndarray:
        sums = seq2seq_log_likelihood(model, pairs, Runtime())
        return sums[:, 0] / sums[:, 1]

    return work
