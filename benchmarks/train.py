"""Steps of prompt tuning, 111 virtual tokens before batches of 32 pairs, text tokens a second:
ours, PEFT's plain loop.

Every contender makes the same batches' updates from the same prompt; what is compared is each
batch's loss.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch

from benchmarks import decode, peers, worlds
from benchmarks.options import Options, Race
from benchmarks.race import Contender, Work
from parabench.training.batches import STREAM_START, Batch
from parabench.training.config import TrainingConfig
from parabench.training.loop import run_updates, start_progress
from parabench.training.losses import TrainingRow, prompt_loss

BATCH = 32
RATE = 1e-3


def races(options: Options) -> list[Race]:
    """The yardstick is PEFT's wrapper in a plain loop."""
    entries = [
        ("PEFT and a plain loop, full logits", partial(_peft, options), 0.0),
        ("parabench", partial(_ours, options, torch.float32), 1e-4),
        ("parabench, bf16", partial(_ours, options, torch.bfloat16), 0.1),
    ]
    count = partial(_tokens, options)
    contenders = [
        Contender(name, build, count, "text tokens/s", like) for name, build, like in entries
    ]
    return [
        Race(
            decode.title("train", options), f"{options.rows} pairs, batches of {BATCH}", contenders
        )
    ]


def _batches(options: Options) -> list[list[TrainingRow]]:
    pairs = zip(worlds.inputs(options, 0), worlds.inputs(options, 1), strict=True)
    made = [TrainingRow(list(source), list(target[1:])) for source, target in pairs]
    return [made[start : start + BATCH] for start in range(0, len(made), BATCH)]


def _tokens(options: Options, losses: np.ndarray) -> float:
    return float(
        sum(len(row.source) + len(row.target) for batch in _batches(options) for row in batch)
    )


def _peft(options: Options) -> Work:
    wrapped = peers.peft_model(worlds.decoder(options), worlds.prompt(options))
    batches = [
        [(tuple(row.source), tuple(row.target)) for row in batch] for batch in _batches(options)
    ]
    return lambda: np.array(peers.peft_training(wrapped, worlds.prompt(options), batches, RATE))


def _ours(options: Options, dtype: torch.dtype) -> Work:
    return ours(worlds.decoder(options, dtype), worlds.prompt(options), _batches(options))


def ours(model: Any, start: torch.Tensor, rows: list[list[TrainingRow]]) -> Work:
    """The loss of each batch before its update, by parabench."""
    batches = [Batch(batch, STREAM_START) for batch in rows]
    config = TrainingConfig(steps=len(batches), learning_rate=RATE, schedule="constant", clip=0.0)

    def run() -> np.ndarray:
        prompt = torch.nn.Parameter(start.clone())
        logs = run_updates(
            lambda rows: prompt_loss(model, prompt, rows),
            start_progress([prompt], config),
            batches,
            config,
        )
        return np.array([log.loss for log in logs])

    return run
