"""Scored rows out, streamed: Parquet or JSON lines, whole or not at all."""

from __future__ import annotations

import json
import operator
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from parabench.contracts import UserError
from parabench.store.files import os_errors_as_user_errors, sync_folder

_Columns = Mapping[str, list[Any]]
"""Names and values of one block of rows."""

OUTPUT_FORMATS = ("parquet", "jsonl")
COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
# a name without spaces, a comparison, and a decimal number; "nan" and "inf" bound nothing
_CONDITION = re.compile(r"\s*(\S+?)\s*(>=|<=|>|<)\s*(-?\d+\.?\d*(?:[eE]-?\d+)?)\s*")


@dataclass(frozen=True)
class Condition:
    """``bartscore-s2h>=-2``: what a row must satisfy to be kept; an undefined value never does."""

    column: str
    sign: str
    bound: float

    def holds(self, value: float | None) -> bool:
        """Whether a row with this value is kept."""
        if value is None:
            return False
        return COMPARISONS[self.sign](value, self.bound)


def conditions(text: str | None, columns: Sequence[str]) -> tuple[Condition, ...]:
    """Read ``a>=1,b<2`` as conditions on ``columns`` that there are.

    Raises UserError for another form, and for a column that there is not.
    """
    found = []
    for part in filter(None, (text or "").split(",")):
        asked = f"keep the rows where {part!r}"
        match = _CONDITION.fullmatch(part)
        if match is None:
            raise UserError(
                asked,
                "not of the form COLUMN>=NUMBER",
                list(COMPARISONS),
            )
        column, sign, bound = match.groups()
        if column not in columns:
            raise UserError(
                asked,
                f"no column {column!r}",
                columns,
            )
        found.append(Condition(column, sign, float(bound)))
    return tuple(found)


def select_rows(block: _Columns, wanted: Sequence[Condition]) -> _Columns:
    """The rows of a block that satisfy all conditions."""
    count = len(next(iter(block.values())))
    chosen = list(range(count))
    # one condition after the other, each on what is left by those before it
    for condition in wanted:
        values = block[condition.column]
        chosen = [at for at in chosen if condition.holds(values[at])]
    found = {}
    for name, values in block.items():
        found[name] = [values[at] for at in chosen]
    return found


def defined(values: Sequence[float]) -> list[float | None]:
    """Numbers as they are written: what is undefined becomes null."""
    return [value if isfinite(value) else None for value in values]


@contextmanager
def table_writer(
    path: Path,
    texts: Sequence[str],
    numbers: Sequence[str],
) -> Iterator[Callable[[_Columns], None]]:
    """Write blocks to ``path``, which appears when all are written; its suffix decides the format.

    ``texts``, ``numbers``: names of the columns of each kind, in order.

    Raises UserError where the disk cannot hold them.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    opened = _parquet if path.suffix == ".parquet" else _lines
    with os_errors_as_user_errors(path):
        with opened(temporary, texts, numbers) as write:
            yield write
        os.replace(temporary, path)
        # a new name is safe once its folder is on disk
        sync_folder(path.parent)


@contextmanager
def _parquet(
    path: Path,
    texts: Sequence[str],
    numbers: Sequence[str],
) -> Iterator[Callable[[_Columns], None]]:
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    # given, and not inferred: a block of nulls alone would have a type of its own
    fields = [(name, pyarrow.string()) for name in texts]
    fields += [(name, pyarrow.float64()) for name in numbers]
    schema = pyarrow.schema(fields)
    with ParquetWriter(path, schema, compression="zstd") as writer:
        yield lambda block: writer.write_table(pyarrow.table(dict(block), schema=schema))


@contextmanager
def _lines(
    path: Path,
    texts: Sequence[str],
    numbers: Sequence[str],
) -> Iterator[Callable[[_Columns], None]]:
    with path.open("w", encoding="utf-8", newline="\n") as file:

        def write(block: _Columns) -> None:
            for values in zip(*block.values(), strict=True):
                row = dict(zip(block, values, strict=True))
                file.write(json.dumps(row, ensure_ascii=False) + "\n")

        yield write
