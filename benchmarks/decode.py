"""Greedy decoding behind a soft prompt of 111 tokens, new tokens a second: ours, PEFT, a plain transformers loop."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from benchmarks import peers, worlds
from benchmarks.race import Contender, Work
from parabench.contracts import Decoding, Runtime
from parabench.inference.decoding import Row, decode_causal


def contenders(rows: int, targets: int) -> list[Contender]:
    """The yardstick first: PEFT's generate at batch 16."""
    single, half = torch.float32, torch.bfloat16
    entries = [
        ("PEFT generate, batch 16", partial(_peft, rows, single, 16), 0.0),
        ("PEFT generate, batch 32", partial(_peft, rows, single, 32), 0.0),
        ("transformers loop, prefix cached, finished rows dropped, batch 32", partial(_loop, rows, single), 0.0),
        ("parabench", partial(_ours, rows, single), 0.0),
        ("PEFT generate, batch 16, bf16", partial(_peft, rows, half, 16), None),
        ("parabench, bf16", partial(_ours, rows, half), None),
    ]
    return [Contender(name, build, _tokens, "tokens/s", tolerance) for name, build, tolerance in entries]


def _peft(rows: int, dtype: torch.dtype, batch_size: int) -> Work:
    wrapped = peers.peft_model(worlds.opt(dtype), worlds.prompt())
    inputs, stops = worlds.sentences(rows, 0), sorted(worlds.stops())
    return lambda: _grid(peers.peft_generate(wrapped, inputs, stops, worlds.LIMIT, batch_size))


def _loop(rows: int, dtype: torch.dtype) -> Work:
    model, inputs, stops = worlds.opt(dtype), worlds.sentences(rows, 0), set(worlds.stops())
    return lambda: _grid(peers.cached_loop(model, worlds.prompt(), inputs, stops, worlds.LIMIT, 32))


def _ours(rows: int, dtype: torch.dtype) -> Work:
    model, prompt, stops = worlds.opt(dtype), worlds.prompt(), worlds.stops()
    virtual = tuple(-1 - index for index in range(len(prompt)))
    inputs = [Row(virtual + ids, prompt) for ids in worlds.sentences(rows, 0)]
    decoding = Decoding(max_new_tokens=worlds.LIMIT)

    def work() -> np.ndarray:
        batches = decode_causal(model, inputs, decoding, Runtime(), stops, pad=1)
        return _grid([done.ids for done in sorted(done for batch in batches for done in batch)])

    return work


def _grid(texts: Sequence[peers.Ids]) -> np.ndarray:
    return np.array([[*text, *[-1] * (worlds.LIMIT - len(text))] for text in texts])


def _tokens(grid: np.ndarray) -> float:
    """Tokens made: those kept, and the end of each text that has one."""
    return float((grid >= 0).sum() + (grid[:, -1] < 0).sum())
