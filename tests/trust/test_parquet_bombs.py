"""Parquet files whose pages are not what the footer says: refused within seconds and a little
memory, with the column.
"""

from __future__ import annotations

import resource
import struct
import sys
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from parabench.contracts import UserError
from parabench.data.parquet import parquet_records
from parabench.data.parquet_pages import PageError, page_headers

ROWS = 3000
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {"use_dictionary": False},
    "dictionary": {},
    "zstd": {"compression": "zstd"},
    "second version": {"data_page_version": "2.0", "compression": "gzip"},
    "small pages": {"data_page_size": 2000, "row_group_size": 700, "write_page_index": True},
    "differences": {
        "use_dictionary": False,
        "column_encoding": {"source": "DELTA_BYTE_ARRAY", "target": "DELTA_LENGTH_BYTE_ARRAY"},
    },
}


def table(rows: int = ROWS) -> pyarrow.Table:
    return pyarrow.table(
        {
            "source": [f"the sentence of the number {n}" for n in range(rows)],
            "target": [f"sentence {n % 7}" for n in range(rows)],
        }
    )


def written(folder: Path, **options: Any) -> Path:
    parquet.write_table(table(), folder / "a.parquet", **options)
    return folder / "a.parquet"


@pytest.mark.parametrize("name", OPTIONS)
def test_every_way_of_writing_is_read(tmp_path: Path, name: str) -> None:
    found = list(parquet_records(str(written(tmp_path, **OPTIONS[name]))))
    assert [record for _, record in found] == table().to_pylist()
    assert [number for number, _ in found] == list(range(1, ROWS + 1))


@pytest.mark.parametrize("name", OPTIONS)
def test_page_headers_are_those_that_the_footer_sums(tmp_path: Path, name: str) -> None:
    """Arrow's footer counts the headers too: a few dozen bytes a page."""
    path = written(tmp_path, **OPTIONS[name])
    metadata = parquet.ParquetFile(path).metadata
    with path.open("rb") as file:
        for group in range(metadata.num_row_groups):
            for number in range(metadata.num_columns):
                column = metadata.row_group(group).column(number)
                start = column.dictionary_page_offset or column.data_page_offset
                pages = list(page_headers(file, start, column.total_compressed_size))
                unpacked = sum(page.unpacked for page in pages)
                assert 0 <= column.total_uncompressed_size - unpacked <= 200 * len(pages)
                assert sum(page.values for page in pages) >= column.num_values


def varint(number: int) -> bytes:
    """As the compact protocol writes a positive i32: zigzag, seven bits a byte."""
    number, found = number << 1, bytearray()
    while number >= 0x80:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def with_page(path: Path, header: bytes) -> None:
    """Put another header in the place of the first column's first page, and pad it."""
    column = parquet.ParquetFile(path).metadata.row_group(0).column(0)
    start = column.dictionary_page_offset or column.data_page_offset
    data = bytearray(path.read_bytes())
    data[start : start + len(header)] = header
    path.write_bytes(data)


def page(unpacked: int, packed: int, values: int = 10) -> bytes:
    """type = data page, the two sizes, and a DataPageHeader: values, plain, RLE, RLE."""
    sizes = b"\x15\x00" + b"\x15" + varint(unpacked) + b"\x15" + varint(packed)
    return sizes + b"\x2c\x15" + varint(values) + b"\x15\x00\x15\x06\x15\x06\x00\x00"


HOSTILE: dict[str, tuple[Callable[[int], bytes], str]] = {
    "a page of 2 GB": (lambda size: page(2**31 - 1, size), "unpack from"),
    "a page of 1 GB": (lambda size: page(2**30, size), "unpack from"),
    "a negative page": (lambda size: b"\x15\x00\x15\x03\x15\x02\x00", "negative size"),
    "a page behind its column": (lambda size: page(100, 10**6), "behind its column"),
    "a billion values": (lambda size: page(100, size, 10**9), "rows in"),
    "nested for ever": (lambda size: b"\x1c" * 40, "nested too deeply"),
    "a list of 2^60": (lambda size: b"\x19\xf5" + b"\xff" * 8 + b"\x0f", "no page begins"),
    "a number without end": (lambda size: b"\x15" + b"\xff" * 40, "more than 64 bits"),
    "a map": (lambda size: b"\x1b" * 10, "of the kind 11"),
}


def _read(path: Path) -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (600 << 20),) * 2)
    try:
        for _ in parquet_records(str(path)):
            pass
    except UserError as error:
        print(error, flush=True)
        sys.exit(3)


def refused_in_little_memory(path: Path) -> int | None:
    """The exit status of a process that may have 600 MiB more: 3 where it refused."""
    process = get_context("fork").Process(target=_read, args=(path,))
    process.start()
    process.join(30)
    process.kill()
    return process.exitcode


@pytest.mark.parametrize("name", HOSTILE)
def test_a_page_that_contradicts_the_footer(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    make, says = HOSTILE[name]
    path = written(tmp_path, **OPTIONS["plain"])
    column = parquet.ParquetFile(path).metadata.row_group(0).column(0)
    header = make(column.total_compressed_size)
    if name in ("a page of 2 GB", "a page of 1 GB", "a billion values"):
        # the page with its header fills the column
        header = make(column.total_compressed_size - len(header))
        assert len(header) == len(make(column.total_compressed_size))
    with_page(path, header)
    assert refused_in_little_memory(path) == 3
    said = capfd.readouterr().out
    assert says in said
    assert "a.parquet" in said
    assert "'source'" in said or "rows in" in said


def test_texts_that_grow_by_differences_are_refused(tmp_path: Path) -> None:
    """Each row is a megabyte of which one byte is new: a gigabyte in a page of one megabyte."""
    long = "x" * 2**20
    parquet.write_table(
        pyarrow.table({"source": [f"{long}{n}" for n in range(1000)], "target": ["y"] * 1000}),
        tmp_path / "a.parquet",
        use_dictionary=False,
        column_encoding={"source": "DELTA_BYTE_ARRAY", "target": "PLAIN"},
        compression="none",
    )
    process = get_context("fork").Process(target=_first, args=(tmp_path / "a.parquet",))
    process.start()
    process.join(60)
    assert process.exitcode == 0


def _first(path: Path) -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (600 << 20),) * 2)
    sys.exit(0 if next(parquet_records(str(path)))[0] == 1 else 1)


@pytest.mark.parametrize("rows", [10**12, -1])
def test_rows_that_the_footer_makes_up_are_refused(tmp_path: Path, rows: int) -> None:
    """A footer's own count of rows, changed where it is written: zigzag varints of 64 bits."""
    path = written(tmp_path, **OPTIONS["plain"])
    metadata = parquet.ParquetFile(path).metadata
    assert metadata.num_rows == ROWS
    data = path.read_bytes()
    length = struct.unpack("<I", data[-8:-4])[0]
    footer, body = data[-8 - length : -8], data[: -8 - length]
    told = varint(ROWS)
    assert footer.count(b"\x16" + told) >= 1
    other = bytearray()
    number = (rows << 1) ^ (rows >> 63)
    while number >= 0x80:
        other.append(number & 0x7F | 0x80)
        number >>= 7
    other.append(number)
    footer = footer.replace(b"\x16" + told, b"\x16" + bytes(other))
    path.write_bytes(body + footer + struct.pack("<I", len(footer)) + b"PAR1")
    with pytest.raises(UserError, match=r"a\.parquet"):
        list(parquet_records(str(path)))


def test_bytes_that_are_no_header_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\x15\x00\x15")
    with (tmp_path / "x").open("rb") as file, pytest.raises(PageError):
        list(page_headers(file, 0, 10))
