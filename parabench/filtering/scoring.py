"""Filtering a corpus: paraphrase where asked, measure scorer by scorer, write every row with its
columns, report.

Each pass reads the input again and continues behind the last whole block in the folder.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from parabench.filtering.corpus_scores import (
    FilterOutcome,
    arrays,
    corpus_scores,
    report_bytes,
)
from parabench.filtering.source import ROWS_PER_BLOCK, FilterRow, Source
from parabench.pipeline import plan
from parabench.sequences import in_blocks
from parabench.stats.arrays import per_example
from parabench.store.blocks import BlockFile
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
        # any GPU may go on with what another one began
        device = self.runtime.device.split(":")[0]
        return {
            "rows": self.source.identity,
            "system": str(self.system.signature) if self.system else None,
            "normalise": str(self.normalise.signature),
            "runtime": {"device": device, "dtype": self.runtime.dtype, "seed": self.runtime.seed},
        }

    @property
    def columns(self) -> list[Column]:
        """The columns of all scorers, in order."""
        found = list[Column]()
        for scorer in self.scorers.values():
            found += scorer.columns
        return found


def run_filter(job: Filter, advance: _Advance = lambda what, done, total: None) -> FilterOutcome:
    """Do what the folder does not hold already, then write rows and report from what it holds.

    ``advance``: called with what is being done, how much of it is done, and how much there is.

    Raises UserError where a row cannot be read, no row is left, a scorer's result has another shape
    than asked for, or the folder is another filter's.
    """
    identity = job.identity
    # locked: two processes in one folder would append to the same blocks
    with open_run(job.folder, identity):
        total = _count(job)
        texts = _paraphrase(job, identity, total, advance)
        statistics = {
            name: _measure(job, name, texts, identity, total, advance) for name in job.scorers
        }
        path, written, undefined = _write(job, texts, statistics, total, advance)
        cells = tuple(
            corpus_scores(
                job.scorers,
                statistics,
                undefined,
                job.runtime.seed,
                advance,
            )
        )
        outcome = FilterOutcome(
            path,
            total,
            written,
            job.source.tally.reasons,
            cells,
        )
        write_atomically(job.folder / "report.json", report_bytes(outcome))
    return outcome


def build_scorers(
    suite: Suite,
    names: Sequence[str] | None,
    runtime: Runtime,
) -> dict[str, Scorer]:
    """Build scorers as a ``suite`` defines them; no model is loaded.

    ``names``: which; None for the suite's own. ``runtime``: device, dtype and seed.

    Raises UserError for an unknown name.
    """
    # one text a source: a corpus has no rows of samples
    decoding = plan.with_samples(suite, 1).decoding
    return plan.plan_scorers(
        suite,
        names,
        BuildContext(runtime, decoding),
    )


def measure_rows(
    scorer: Scorer,
    rows: Sequence[FilterRow],
    normalise: Normaliser,
) -> Float[np.ndarray, "B K"]:
    """The statistics of a block of rows.

    ``scorer``: measures them. ``rows``: B examples with their texts. ``normalise``: is applied to
    both.

    Raises UserError where the scorer returns another shape.
    """
    examples = [normalise.example(row.example) for row in rows]
    texts = [normalise(row.text) for row in rows]
    statistics = scorer.measure(examples, texts)
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
    # a pass of its own: progress and the shards' blocks need the number before the first model
    total = sum(1 for _ in job.source.rows())
    left_out = job.source.tally.reasons
    if not total:
        reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
        raise UserError(f"filter {job.source.name}", f"no row is left: {reasons or 'it is empty'}")
    write_atomically(path, canonical_json({"rows": total, "left out": dict(left_out)}))
    return total


def _rows(
    job: Filter,
    texts: BlockFile | None,
    start: int = 0,
) -> Iterator[FilterRow]:
    """The rows from ``start`` on, with the texts that are measured."""
    if texts is None:
        yield from job.source.rows(start)
        return
    made = (text for data, _ in texts.blocks() for text in json.loads(data))
    # strict: a file that has changed since, or a text that is missing, would pair wrongly
    for row, text in zip(
        job.source.rows(start),
        islice(made, start, None),
        strict=True,
    ):
        yield row._replace(text=text)


def _paraphrase(
    job: Filter,
    identity: Mapping[str, Any],
    total: int,
    advance: _Advance,
) -> BlockFile | None:
    """The texts of the system, a block of JSON for each ``GENERATED`` sources; None without one."""
    if job.system is None:
        return None
    texts = BlockFile(job.folder / "texts.json", identity)
    for block in in_blocks(job.source.rows(texts.rows), GENERATED):
        sources = [row.example.source for row in block]
        answers = dict[int, str]()
        # a system answers in batches, and these in any order
        for batch in job.system.paraphrase(sources):
            for done in batch:
                answers[done.position] = done.text
        ordered = [answers[position] for position in range(len(sources))]
        texts.append(canonical_json(ordered), len(sources))
        advance("paraphrasing", texts.rows, total)
    # its memory is the scorers' from here on
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
    """The statistics of one scorer, in blocks of ``ROWS_PER_BLOCK`` rows."""
    scorer = job.scorers[name]
    signature = str(scorer.signature)
    # the signature is in the name: a scorer with other settings is measured beside this one
    settings = sha256(signature.encode()).hexdigest()[:8]
    path = job.folder / "statistics" / f"{slug(name)}-{settings}.f64"
    done = BlockFile(path, {**identity, "scorer": name, "signature": signature})
    rows = _rows(job, texts, done.rows)
    for block in in_blocks(rows, examples_per_call(scorer, ROWS_PER_BLOCK)):
        found = measure_rows(scorer, block, job.normalise)
        # a call may measure more rows than a block of the file holds
        for start in range(0, len(block), ROWS_PER_BLOCK):
            part = found[start : start + ROWS_PER_BLOCK]
            done.append(part.tobytes(), len(part))
        advance(name, done.rows, total)
    release_models(scorer)
    return done


def _write(
    job: Filter,
    texts: BlockFile | None,
    statistics: Mapping[str, BlockFile],
    total: int,
    advance: _Advance,
) -> tuple[Path, int, Counter[str]]:
    """Write the rows that are kept; how many they are, and how often each column is undefined."""
    names = [column.name for column in job.columns]
    path = job.folder / f"scores.{job.form}"
    undefined = Counter[str]()
    written = seen = 0
    blocks = [arrays(one) for one in statistics.values()]
    with writing.table_writer(path, ("id", "source", "text"), names) as write:
        for rows in in_blocks(_rows(job, texts), ROWS_PER_BLOCK):
            block: dict[str, list[Any]] = {
                "id": [row.example.id for row in rows],
                "source": [row.example.source for row in rows],
                "text": [row.text for row in rows],
            }
            # rows and statistics are in blocks of one size, so that they come side by side
            for scorer, stream in zip(job.scorers.values(), blocks, strict=True):
                block |= _column_values(scorer, next(stream))
            for name in names:
                undefined[name] += block[name].count(None)
            chosen = writing.select_rows(block, job.keep)
            write(chosen)
            written += len(chosen["id"])
            seen += len(rows)
            advance("writing", seen, total)
    return path, written, undefined


def _column_values(
    scorer: Scorer, statistics: Float[np.ndarray, "B K"]
) -> dict[str, list[float | None]]:
    """The B values of each column of a scorer, None where one is undefined."""
    values = per_example(scorer.combine, statistics).T  # columns by rows
    found = {}
    for column, of_rows in zip(scorer.columns, values, strict=True):
        found[column.name] = writing.defined(of_rows.tolist())
    return found
