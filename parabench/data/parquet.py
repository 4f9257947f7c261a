"""Records of Parquet files, a batch in memory; files that unpack beyond all measure are refused."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from parabench.contracts import UserError
from parabench.data.parquet_pages import PageError, page_headers
from parabench.data.text_files import BOMB, LONGEST_LINE
from parabench.store.files import check_regular

_BATCH = 1024
"""Rows decoded at once."""
_MOST_ROWS = 10_000_000
"""Rows of a file that are believed whatever its size; above, so many a byte as a bomb may have."""

_DELTA_CODINGS = {"DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"}


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
            decoding = _check_pages(path, file.metadata)
            texts = _text_columns(file.schema_arrow)
            # Arrow makes no dictionary of these
            texts = [name for name in texts if name not in decoding.delta_coded]
        # texts stay as numbers of dictionary entries, so that a repeated one is held once
        with parquet.ParquetFile(path, read_dictionary=texts) as file:
            for batch in file.iter_batches(batch_size=decoding.rows):
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


class _Decoding(NamedTuple):
    """Rows that may be decoded at once, and the columns whose texts are written as differences."""

    rows: int
    delta_coded: set[str]


def _check_pages(path: str, metadata: Any) -> _Decoding:
    """How the file may be decoded; raises UserError for a compression bomb.

    Footer and page headers are both looked at: a reader allocates what a page's header says, and
    nothing makes it agree with the footer.
    """
    size = os.path.getsize(path)
    _check_rows(path, metadata.num_rows, size)
    largest_page = 0
    delta_coded = set[str]()
    with Path(path).open("rb") as file:
        for group_number in range(metadata.num_row_groups):
            group = metadata.row_group(group_number)
            for number in range(group.num_columns):
                column = group.column(number)
                _check_column(path, column)
                largest_page = max(largest_page, _largest_page(path, file, column, size))
                if not _DELTA_CODINGS.isdisjoint(column.encodings):
                    delta_coded.add(column.path_in_schema)
    if not delta_coded:
        return _Decoding(_BATCH, delta_coded)
    # a text is written as what it shares with the one before it and the rest: each may be nearly
    # as long as its page, however few bytes it takes
    rows = max(1, BOMB[0] // max(1, largest_page))
    return _Decoding(min(_BATCH, rows), delta_coded)


def _check_rows(path: str, rows: int, size: int) -> None:
    """Raise UserError for more rows, or values, than a file of this size may hold.

    A run of one value takes a few bytes however long it is.
    """
    if not 0 <= rows <= max(_MOST_ROWS, BOMB[1] * size):
        found = f"{rows:,} rows in {size:,} bytes"
        raise UserError(f"read {path}", found, mend="leave out rows that are all the same")


def _check_column(path: str, column: Any) -> None:
    floor, times = BOMB
    packed = column.total_compressed_size
    unpacked = column.total_uncompressed_size
    # sizes are signed in the file: a negative one would pass every upper bound
    are_sizes = packed >= 0 and unpacked >= 0
    if are_sizes and unpacked <= max(floor, times * packed):
        return
    name = column.path_in_schema
    raise _bomb(path, f"the column {name!r} unpacks from {packed:,} bytes to {unpacked:,}")


def _largest_page(path: str, file: IO[bytes], column: Any, size: int) -> int:
    """Bytes of a column's largest page, unpacked.

    Raises UserError where its pages cannot be read, or unpack to far more than they take on disk.
    """
    floor, times = BOMB
    name = column.path_in_schema
    start = column.data_page_offset
    # A dictionary, where there is one, lies before the pages that refer to it.
    if column.has_dictionary_page:
        start = min(start, column.dictionary_page_offset)
    largest = unpacked = values = 0
    try:
        for page in page_headers(file, start, column.total_compressed_size):
            largest = max(largest, page.unpacked)
            unpacked += page.unpacked
            values += page.values
    except (PageError, ValueError) as error:
        mend = "write the file again"
        raise UserError(f"read {path}", f"the column {name!r}: {error}", mend=mend) from None
    if unpacked > max(floor, times * column.total_compressed_size):
        packed = column.total_compressed_size
        told = f"the pages of the column {name!r} unpack from {packed:,} bytes to {unpacked:,}"
        raise _bomb(path, f"{told}, where the footer says {column.total_uncompressed_size:,}")
    _check_rows(path, values, size)
    return largest


def _bomb(path: str, found: str) -> UserError:
    return UserError(f"read {path}", found, mend="write it again, with smaller row groups")


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
