"""Ten times the rows: what they cost beside one time the rows, which come first among them and must
not change.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks import decode, likelihood, worlds
from benchmarks.options import Options, Race
from benchmarks.race import Contender, Work

TIMES = 10


def races(options: Options) -> list[Race]:
    """The yardstick is the work on a tenth of the rows; equal cost a row is 1.00 x.

    Decoding begins with as many rows as are in flight together: fewer would take less memory.
    """
    return [
        Race(
            f"scale: {name}",
            f"{few} and {TIMES * few} sentences",
            [
                Contender(
                    f"{few} rows", partial(build, options, few, few), partial(_rows, few), "rows/s"
                ),
                Contender(
                    f"{TIMES * few} rows",
                    partial(build, options, TIMES * few, few),
                    partial(_rows, TIMES * few),
                    "rows/s",
                    like,
                ),
            ],
        )
        for name, few, build, like in (
            ("likelihood", max(1, options.rows // 3), _likelihood, 1e-5),
            ("decode", options.rows, _decode, 0.0),
        )
    ]


def _likelihood(options: Options, rows: int, few: int) -> Work:
    sources, targets = worlds.sentences(rows, 0), worlds.sentences(rows, 1)
    return _first(
        few, likelihood.ours(worlds.bart(options), list(zip(sources, targets, strict=True)))
    )


def _decode(options: Options, rows: int, few: int) -> Work:
    model, prompt = worlds.opt(options), worlds.prompt(options)
    return _first(few, decode.ours(model, prompt, worlds.sentences(rows, 0)))


def _first(few: int, work: Callable[[], np.ndarray]) -> Work:
    return lambda: work()[:few]


def _rows(rows: int, output: np.ndarray) -> float:
    return float(rows)
