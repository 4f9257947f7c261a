"""Records of Parquet files, a batch in memory; files that unpack beyond all measure are refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from parabench.contracts import UserError
from parabench.data.text_files import BOMB, LONGEST_LINE, check_regular

_BATCH = 1024
"""Rows decoded at once."""


def parquet_records(path: str) -> Iterator[tuple[int, Any]]:
    """Numbered records of a Parquet file, from 1, each a dict by column name.

    Raises UserError where it is no Parquet file, is damaged, or is a compression bomb: pages that
    unpack to a multiple of their size, or one long text that a dictionary repeats in every row.
    """
    from pyarrow import ArrowException, parquet

    check_regular(path)
    try:
        number = 0
        with parquet.ParquetFile(path) as file:
            _check_pages(path, file.metadata)
            texts = _text_columns(file.schema_arrow)
        # texts stay as numbers of dictionary entries, so that a repeated one is held once
        with parquet.ParquetFile(path, read_dictionary=texts) as file:
            for batch in file.iter_batches(batch_size=_BATCH):
                _check_texts(path, batch)
                for record in batch.to_pylist():
                    number += 1
                    yield number, record
    except (OSError, ArrowException, UnicodeDecodeError) as error:
        found = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"read {path}", found, mend="give the path of a Parquet file") from None


def _check_pages(path: str, metadata: Any) -> None:
    """Refuse a file of which some column's pages unpack to far more than they take on disk."""
    floor, times = BOMB
    for group in range(metadata.num_row_groups):
        columns = metadata.row_group(group)
        for number in range(columns.num_columns):
            column = columns.column(number)
            packed, unpacked = column.total_compressed_size, column.total_uncompressed_size
            if unpacked > max(floor, times * packed) or packed < 0 or unpacked < 0:
                found = (
                    f"the column {column.path_in_schema!r} unpacks from {packed:,} bytes "
                    f"to {unpacked:,}"
                )
                raise UserError(
                    f"read {path}", found, mend="write it again, with smaller row groups"
                )


def _text_columns(schema: Any) -> list[str]:
    """Names of the columns that hold texts."""
    from pyarrow import types

    is_text = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    return [field.name for field in schema if any(check(field.type) for check in is_text)]


def _check_texts(path: str, batch: Any) -> None:
    """Refuse a batch with a value that is too long to be repeated in every row."""
    from pyarrow import compute, types

    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if not types.is_dictionary(column.type) or not len(column.dictionary):
            continue
        longest = compute.max(compute.binary_length(column.dictionary)).as_py() or 0
        if longest > LONGEST_LINE and longest * len(column) > BOMB[0]:
            found = f"the column {name!r} holds a text of {longest:,} bytes, many times"
            raise UserError(f"read {path}", found, mend="leave out texts that are no sentences")
