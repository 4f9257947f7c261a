"""Filtering a corpus: paraphrase where asked, measure scorer by scorer, write every row with its
columns, report.

Each pass reads the input anew and goes on behind the last whole block that stands in the folder.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from parabench.contracts import (
    BuildContext,
    Column,
    Runtime,
    Scorer,
    System,
    UserError,
    examples_per_call,
    release_models,
)
from parabench.data.normalise import Normaliser
from parabench.filtering import writing
from parabench.filtering.source import ROWS_PER_BLOCK, FilterRow, Source
from parabench.pipeline import plan
from parabench.stats.arrays import per_example
from parabench.stats.streaming import streamed_columns, streamed_interval
from parabench.store.blocks import BlockFile, in_blocks
from parabench.store.files import write_atomically
from parabench.store.records import canonical_json, slug
from parabench.store.run_folder import open_run
from parabench.suites.suite import Suite

if TYPE_CHECKING:
    from jaxtyping import Float

GENERATED = 8192
"""Sources paraphrased together."""

_Advance = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Filter:
    """What is measured of which rows, which of them are kept, and where all of it is written.

    With a ``system``, the texts are its paraphrases of the sources, and not those of the file.
    """

    source: Source
    scorers: Mapping[str, Scorer]
    normalise: Normaliser
    runtime: Runtime
    folder: Path
    system: System | None = None
    keep: tuple[writing.Condition, ...] = ()
    form: str = "parquet"

    @property
    def identity(self) -> dict[str, Any]:
        """All that two runs must share to be one; scorers are kept apart by their signatures."""
        device = self.runtime.device.split(":")[0]
        return {
            "rows": self.source.identity,
            "system": str(self.system.signature) if self.system else None,
            "normalise": str(self.normalise.signature),
            "runtime": {"device": device, "dtype": self.runtime.dtype, "seed": self.runtime.seed},
        }


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
    """Where the scored rows are, how many there were and are kept, the lines left out by reason,
    and the columns.
    """

    path: Path
    rows: int
    kept: int
    left_out: Mapping[str, int]
    cells: tuple[CorpusScore, ...]


def run_filter(job: Filter, advance: _Advance = lambda what, done, total: None) -> FilterOutcome:
    """Do what the folder does not hold already, then write rows and report anew from what it
    holds.
    """
    identity = job.identity
    with open_run(job.folder, identity):
        total = _count(job)
        texts = _paraphrase(job, identity, total, advance)
        statistics = {
            name: _measure(job, name, texts, identity, total, advance) for name in job.scorers
        }
        path, written, undefined = _write(job, texts, statistics, total, advance)
        cells = tuple(_cells(job, statistics, undefined, advance))
        outcome = FilterOutcome(path, total, written, job.source.tally.reasons, cells)
        write_atomically(job.folder / "report.json", _report(outcome))
    return outcome


def build_scorers(suite: Suite, names: Sequence[str] | None, runtime: Runtime) -> dict[str, Scorer]:
    """The scorers of these names, or the suite's own, as a suite defines them; nothing is
    loaded.
    """
    return plan.plan_scorers(
        suite, names, BuildContext(runtime, plan.with_samples(suite, 1).decoding)
    )


def measure_rows(
    scorer: Scorer, rows: Sequence[FilterRow], normalise: Normaliser
) -> Float[np.ndarray, "B K"]:
    """The statistics of a block of rows."""
    examples = [normalise.example(row.example) for row in rows]
    statistics = scorer.measure(examples, [normalise(row.text) for row in rows])
    if statistics.ndim != 2 or len(statistics) != len(rows):
        found = f"an array of shape {statistics.shape} for {len(rows)} rows"
        raise UserError(f"measure with {scorer.signature.name}", found)
    return np.ascontiguousarray(statistics, dtype=np.float64)


def _count(job: Filter) -> int:
    """How many rows there are; what a first pass counted is kept for the next time."""
    path = job.folder / "rows.json"
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        return int(found["rows"])
    total = sum(1 for _ in job.source.rows())
    if not total:
        reasons = ", ".join(
            f"{count} {reason}" for reason, count in job.source.tally.reasons.items()
        )
        raise UserError(f"filter {job.source.name}", f"no row is left: {reasons or 'it is empty'}")
    write_atomically(
        path, canonical_json({"rows": total, "left out": dict(job.source.tally.reasons)})
    )
    return total


def _rows(job: Filter, texts: BlockFile | None, start: int = 0) -> Iterator[FilterRow]:
    """The rows from ``start`` on, with the texts that are measured."""
    if texts is None:
        yield from job.source.rows(start)
    else:
        made = (text for data, _ in texts.blocks() for text in json.loads(data))
        for row, text in zip(job.source.rows(start), islice(made, start, None), strict=True):
            yield row._replace(text=text)


def _paraphrase(
    job: Filter, identity: Mapping[str, Any], total: int, advance: _Advance
) -> BlockFile | None:
    if job.system is None:
        return None
    texts = BlockFile(job.folder / "texts.json", identity)
    for block in in_blocks(job.source.rows(texts.rows), GENERATED):
        sources = [row.example.source for row in block]
        answers = {
            done.position: done.text for batch in job.system.paraphrase(sources) for done in batch
        }
        texts.append(
            canonical_json([answers[position] for position in range(len(sources))]), len(sources)
        )
        advance("paraphrasing", texts.rows, total)
    release_models(job.system)
    return texts


def _measure(
    job: Filter,
    name: str,
    texts: BlockFile | None,
    identity: Mapping[str, Any],
    total: int,
    advance: _Advance,
) -> BlockFile:
    scorer = job.scorers[name]
    signature = str(scorer.signature)
    path = (
        job.folder / "statistics" / f"{slug(name)}-{sha256(signature.encode()).hexdigest()[:8]}.f64"
    )
    done = BlockFile(path, {**identity, "scorer": name, "signature": signature})
    for block in in_blocks(_rows(job, texts, done.rows), examples_per_call(scorer, ROWS_PER_BLOCK)):
        found = measure_rows(scorer, block, job.normalise)
        for start in range(
            0, len(block), ROWS_PER_BLOCK
        ):  # as texts are stored and columns written
            part = found[start : start + ROWS_PER_BLOCK]
            done.append(part.tobytes(), len(part))
        advance(name, done.rows, total)
    release_models(scorer)
    return done


def arrays(statistics: BlockFile) -> Iterator[Float[np.ndarray, "B K"]]:
    """The statistics of a scorer, block by block."""
    for data, rows in statistics.blocks():
        yield np.frombuffer(data, dtype=np.float64).reshape(rows, -1)


def _write(
    job: Filter,
    texts: BlockFile | None,
    statistics: Mapping[str, BlockFile],
    total: int,
    advance: _Advance,
) -> tuple[Path, int, Counter[str]]:
    """Write the rows that are kept; how many they are, and how often each column is undefined."""
    names = [column.name for scorer in job.scorers.values() for column in scorer.columns]
    path, undefined, written, seen = job.folder / f"scores.{job.form}", Counter[str](), 0, 0
    blocks = [arrays(one) for one in statistics.values()]
    with writing.table_writer(path, ("id", "source", "text"), names) as write:
        for rows in in_blocks(_rows(job, texts), ROWS_PER_BLOCK):
            block: dict[str, list[Any]] = {
                "id": [row.example.id for row in rows],
                "source": [row.example.source for row in rows],
                "text": [row.text for row in rows],
            }
            for scorer, stream in zip(job.scorers.values(), blocks, strict=True):
                values = per_example(scorer.combine, next(stream)).T
                block |= {
                    column.name: writing.defined(v.tolist())
                    for column, v in zip(scorer.columns, values, strict=True)
                }
            undefined.update({name: block[name].count(None) for name in names})
            chosen = writing.select_rows(block, job.keep)
            write(chosen)
            written, seen = written + len(chosen["id"]), seen + len(rows)
            advance("writing", seen, total)
    return path, written, undefined


def _cells(
    job: Filter,
    statistics: Mapping[str, BlockFile],
    undefined: Mapping[str, int],
    advance: _Advance,
) -> Iterator[CorpusScore]:
    for number, (name, scorer) in enumerate(job.scorers.items(), 1):
        one = statistics[name]
        values = streamed_columns(scorer, lambda one=one: arrays(one))  # type: ignore[misc]
        ends = streamed_interval(scorer, lambda one=one: arrays(one), job.runtime.seed)  # type: ignore[misc]
        for column, value, low, high in zip(scorer.columns, values, *ends, strict=True):
            yield CorpusScore(
                column,
                str(scorer.signature),
                float(value),
                float(low),
                float(high),
                undefined[column.name],
            )
        advance("intervals", number, len(job.scorers))


def _report(outcome: FilterOutcome) -> bytes:
    """The columns of the whole corpus, as JSON; undefined numbers are null."""
    columns = {
        cell.column.name: {
            "against": cell.column.against,
            "better": cell.column.better,
            **dict(
                zip(
                    ("value", "low", "high"),
                    writing.defined([cell.value, cell.low, cell.high]),
                    strict=True,
                )
            ),
            "undefined": cell.undefined,
            "signature": cell.signature,
        }
        for cell in outcome.cells
    }
    found = {
        "rows": outcome.rows,
        "kept": outcome.kept,
        "left out": dict(outcome.left_out),
        "columns": columns,
    }
    return (json.dumps(found, indent=1, allow_nan=False) + "\n").encode()
