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
        # Arrow's messages go on over several lines about its own sources
        found = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"read {path}",
            found,
            mend="give the path of a Parquet file",
        ) from None


def _check_pages(path: str, metadata: Any) -> None:
    """Raise UserError where some column's pages unpack to far more than they take on disk."""
    for group_number in range(metadata.num_row_groups):
        group = metadata.row_group(group_number)
        for number in range(group.num_columns):
            _check_column(path, group.column(number))


def _check_column(path: str, column: Any) -> None:
    floor, times = BOMB
    packed = column.total_compressed_size
    unpacked = column.total_uncompressed_size
    # sizes are signed in the file: a negative one would pass every upper bound
    are_sizes = packed >= 0 and unpacked >= 0
    if are_sizes and unpacked <= max(floor, times * packed):
        return
    found = f"the column {column.path_in_schema!r} unpacks from {packed:,} bytes to {unpacked:,}"
    raise UserError(
        f"read {path}",
        found,
        mend="write it again, with smaller row groups",
    )


def _text_columns(schema: Any) -> list[str]:
    """Names of the columns that hold texts."""
    from pyarrow import types

    checks = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    found = []
    for field in schema:
        if any(check(field.type) for check in checks):
            found.append(field.name)
    return found


def _check_texts(path: str, batch: Any) -> None:
    """Raise UserError where a batch has a value that is too long to be repeated in every row."""
    from pyarrow import compute, types

    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if not types.is_dictionary(column.type) or not len(column.dictionary):
            continue
        # a dictionary holds each text once; rows made of it would each hold a copy
        longest = compute.max(compute.binary_length(column.dictionary)).as_py() or 0
        if longest > LONGEST_LINE and longest * len(column) > BOMB[0]:
            found = f"the column {name!r} holds a text of {longest:,} bytes, many times"
            raise UserError(
                f"read {path}",
                found,
                mend="leave out texts that are no sentences",
            )
