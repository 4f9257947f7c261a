"""Greedy decoding behind a soft prompt of 111 tokens, new tokens a second: ours, PEFT, a plain
transformers loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from benchmarks import peers, worlds
from benchmarks.options import Options, Race
from benchmarks.race import Contender, Work
from parabench.contracts import Decoding, Runtime
from parabench.inference.decoding import decode_causal
from parabench.inference.prompt_ids import PromptIds


def races(options: Options) -> list[Race]:
    """The yardstick is PEFT's generate at batch 16."""
    single, half = torch.float32, torch.bfloat16
    entries = [
        ("PEFT generate, batch 16", partial(_peft, options, single, 16), 0.0),
        (
            "PEFT generate, sorted, batch 32",
            partial(_peft, options, single, 32, True),
            0.0,
        ),
        (
            "transformers loop, prefix cached, finished rows dropped, batch 32",
            partial(_loop, options, single),
            0.0,
        ),
        ("parabench", partial(_ours, options, single), 0.0),
        ("parabench, bf16", partial(_ours, options, half), None),
    ]
    if options.model:
        # PEFT takes no position ids: before padding on the left, rotary positions of a prompt are
        # those of another distance, so that its texts depend on the batch. The loop's do not.
        loop = entries.pop(2)
        entries = [loop, *((name, build, None) for name, build, _ in entries[:2]), *entries[2:]]
    contenders = [
        Contender(name, build, _tokens, "tokens/s", like) for name, build, like in entries
    ]
    return [
        Race(
            title("decode", options),
            f"{options.rows} sentences, at most {worlds.LIMIT} new tokens",
            contenders,
        )
    ]


def _peft(options: Options, dtype: torch.dtype, batch_size: int, is_sorted: bool = False) -> Work:
    wrapped = peers.peft_model(worlds.decoder(options, dtype), worlds.prompt(options))
    inputs, stops = worlds.inputs(options, 0), sorted(_stops(options))
    order = list(range(len(inputs)))
    if is_sorted:
        order.sort(key=lambda at: -len(inputs[at]))

    def run() -> np.ndarray:
        rows = [inputs[at] for at in order]
        made = peers.peft_generate(wrapped, rows, stops, worlds.LIMIT, batch_size)
        in_order = dict(zip(order, made, strict=True))
        return _grid([in_order[at] for at in range(len(inputs))])

    return run


def _loop(options: Options, dtype: torch.dtype) -> Work:
    model, prompt = worlds.decoder(options, dtype), worlds.prompt(options)
    inputs, stops = worlds.inputs(options, 0), set(_stops(options))
    return lambda: _grid(peers.cached_loop(model, prompt, inputs, stops, worlds.LIMIT, 32))


def _ours(options: Options, dtype: torch.dtype) -> Work:
    model, prompt = worlds.decoder(options, dtype), worlds.prompt(options)
    return ours(model, prompt, worlds.inputs(options, 0), _stops(options))


def title(work: str, options: Options) -> str:
    """The race's name; one with a chosen model is another race, with aims of its own."""
    if not options.model:
        return work
    return f"{work}, {options.model.rpartition('/')[2].partition('#')[0]}"


def _stops(options: Options) -> frozenset[int]:
    return worlds.stops(worlds.vocabulary(options))


def ours(
    model: torch.nn.Module,
    prompt: torch.Tensor,
    inputs: Sequence[peers.Ids],
    stops: frozenset[int] | None = None,
) -> Work:
    """The new ids of every row, by parabench. ``stops`` end a text (None: those of the races)."""
    virtual = tuple(-1 - index for index in range(len(prompt)))
    if stops is None:
        stops = worlds.stops()
    rows = [PromptIds(virtual + ids, prompt) for ids in inputs]
    decoding = Decoding(max_new_tokens=worlds.LIMIT)

    def run() -> np.ndarray:
        batches = decode_causal(model, rows, decoding, Runtime(), stops, pad=1)
        return _grid([done.ids for done in sorted(done for batch in batches for done in batch)])

    return run


def _grid(texts: Sequence[peers.Ids]) -> np.ndarray:
    return np.array([[*text, *[-1] * (worlds.LIMIT - len(text))] for text in texts])


def _tokens(grid: np.ndarray) -> float:
    """Tokens made: those kept, and the end of each text that has one."""
    return float((grid >= 0).sum() + (grid[:, -1] < 0).sum())
