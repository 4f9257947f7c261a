"""Run alone or under torchrun by ``test_ranks.py``: one epoch, and which rows each process
computed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from parabench.training.batches import Batching, iterate_batches
from parabench.training.config import TrainingConfig
from parabench.training.loop import run_updates, start_progress
from parabench.training.losses import TrainingRow
from parabench.training.ranks import join_processes

ROWS, FOLDER = int(sys.argv[1]), Path(sys.argv[2])
SEEN: list[int] = []
WEIGHT = torch.nn.Parameter(torch.zeros(1))


def encode(numbers: Sequence[int]) -> list[TrainingRow]:
    return [TrainingRow([number], [0] * (1 + number % 7)) for number in numbers]


def loss(rows: Sequence[TrainingRow]) -> Tensor:
    SEEN.extend(row.source[0] for row in rows)
    return WEIGHT.sum()


with join_processes("cpu") as ranks:
    config = TrainingConfig(
        steps=ROWS, optimizer="sgd", learning_rate=1e-9, batching=Batching(rows=32, epochs=1)
    )
    for _ in run_updates(
        loss,
        start_progress([WEIGHT], config),
        iterate_batches(range(ROWS), encode, config.batching),
        config,
        ranks,
    ):
        pass
    (FOLDER / f"{ranks.process.rank}-of-{ranks.process.size}.json").write_text(json.dumps(SEEN))
