"""The columns of a whole filtered corpus: values, intervals, and the report of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from parabench.contracts import Column, Scorer
from parabench.filtering import writing
from parabench.stats.streaming import streamed_columns, streamed_interval
from parabench.store.blocks import BlockFile

if TYPE_CHECKING:
    from jaxtyping import Float


class CorpusScore(NamedTuple):
    """One column of the whole corpus: its value, the 95 % interval, and the rows in which it is
    undefined.
    """

    column: Column
    signature: str
    value: float
    low: float
    high: float
    undefined: int


@dataclass(frozen=True)
class FilterOutcome:
    """What a filter did.

    ``path``: the scored rows. ``rows``, ``kept``: how many there were and are kept. ``left_out``:
    lines that are no rows, by reason. ``cells``: the columns over the whole corpus.
    """

    path: Path
    rows: int
    kept: int
    left_out: Mapping[str, int]
    cells: tuple[CorpusScore, ...]


def arrays(statistics: BlockFile) -> Iterator[Float[np.ndarray, "B K"]]:
    """The statistics of a scorer, block by block."""
    for data, rows in statistics.blocks():
        yield np.frombuffer(data, dtype=np.float64).reshape(rows, -1)


def corpus_scores(
    scorers: Mapping[str, Scorer],
    statistics: Mapping[str, BlockFile],
    undefined: Mapping[str, int],
    seed: int,
    advance: Callable[[str, int, int], None],
) -> Iterator[CorpusScore]:
    """Each column of the whole corpus; statistics are read block by block, as often as needed.

    ``scorers``, ``statistics``: of each name, the scorer and what it measured. ``undefined``: rows
    in which a column is undefined. ``seed``: of the intervals' resampling. ``advance``: called as
    scorers are done.
    """
    for number, (name, scorer) in enumerate(scorers.items(), 1):
        one = statistics[name]
        # bound as a default: the function is called while this scorer is at hand
        read = lambda one=one: arrays(one)  # noqa: E731
        values = streamed_columns(scorer, read)
        lows, highs = streamed_interval(scorer, read, seed)
        for column, value, low, high in zip(scorer.columns, values, lows, highs, strict=True):
            yield CorpusScore(
                column=column,
                signature=str(scorer.signature),
                value=float(value),
                low=float(low),
                high=float(high),
                undefined=undefined[column.name],
            )
        advance("intervals", number, len(scorers))


def report_bytes(outcome: FilterOutcome) -> bytes:
    """The columns of the whole corpus, as JSON; undefined numbers are null."""
    columns = {}
    for cell in outcome.cells:
        value, low, high = writing.defined([cell.value, cell.low, cell.high])
        columns[cell.column.name] = {
            "against": cell.column.against,
            "better": cell.column.better,
            "value": value,
            "low": low,
            "high": high,
            "undefined": cell.undefined,
            "signature": cell.signature,
        }
    found = {
        "rows": outcome.rows,
        "kept": outcome.kept,
        "left out": dict(outcome.left_out),
        "columns": columns,
    }
    # without allow_nan a number that is none would be refused here, not by whoever reads it
    return (json.dumps(found, indent=1, allow_nan=False) + "\n").encode()
