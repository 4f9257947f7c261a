"""A file that grows block by block and is read block by block.

``<path>`` holds the blocks end to end. ``<path>.index`` has the identity in line 1, then a line for
each block: its bytes, its rows, its CRC32; each line bears a checksum of its own (``records``).
What a kill leaves is cut back to whole blocks. The file is never held whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any
from zlib import crc32

from parabench.contracts import UserError
from parabench.store.append_only import AppendOnlyFile
from parabench.store.files import os_errors_as_user_errors
from parabench.store.records import canonical_json, decode_record, encode_record


class BlockFile:
    """The blocks of one identity; ``rows`` are those that are stored whole."""

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        """Open the file at ``path``, or make it.

        Everything from the first block on that does not verify is dropped, to be made again. Raises
        UserError where the file is of another ``identity``.
        """
        self.path = path
        index = path.with_name(f"{path.name}.index")
        header = {"identity": dict(identity)}
        # Lines of another identity do not verify.
        self._checksum_start = crc32(canonical_json(identity))
        self._blocks: list[tuple[int, int]] = []  # bytes and rows of each block
        if not index.exists():
            # The index last: blocks without one are of no identity, and made again.
            self._data = AppendOnlyFile.create(path)
            self._index = AppendOnlyFile.create(index, encode_record(header))
            return
        with (
            os_errors_as_user_errors(path, "read"),
            index.open("rb") as index_file,
            path.open("rb") as data_file,
        ):
            first = index_file.readline()
            if decode_record(first.rstrip(b"\n")) != header:
                raise UserError(
                    f"go on with {path}",
                    "it was made with other settings, or is damaged",
                    mend=f"rm {path} {index}   # then the same command makes it again",
                )
            index_size = len(first) + self._read_blocks(index_file, data_file)
        data_size = sum(size for size, _ in self._blocks)
        self._index = AppendOnlyFile.reopen(index, index_size)
        self._data = AppendOnlyFile.reopen(path, data_size)

    def _read_blocks(self, index: IO[bytes], data: IO[bytes]) -> int:
        """Take over all blocks up to the first that does not verify; the bytes of their lines."""
        line_bytes = 0
        for line in index:
            if not line.endswith(b"\n"):
                break
            block = decode_record(line[:-1], self._checksum_start)
            if block is None:
                break
            content = data.read(block["bytes"])
            is_whole = len(content) == block["bytes"]
            if not is_whole or crc32(content) != block["crc32"]:
                break
            self._blocks.append((len(content), block["rows"]))
            line_bytes += len(line)
        return line_bytes

    @property
    def rows(self) -> int:
        """How many rows are stored."""
        return sum(rows for _, rows in self._blocks)

    def append(self, data: bytes, rows: int) -> None:
        """Add a block of ``rows`` rows; once this returns, no kill and no power cut loses it."""
        # The data first: a line of the index is believed only if its block verifies.
        self._data.append(data)
        entry = {
            "bytes": len(data),
            "rows": rows,
            "crc32": crc32(data),
        }
        self._index.append(encode_record(entry, self._checksum_start))
        self._blocks.append((len(data), rows))

    def blocks(self) -> Iterator[tuple[bytes, int]]:
        """Each block and its rows, in order."""
        with os_errors_as_user_errors(self.path, "read"), self.path.open("rb") as file:
            for size, rows in self._blocks:
                yield file.read(size), rows
