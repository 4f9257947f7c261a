"""A file that grows block by block and is read block by block: what a kill leaves of it is cut back
to whole blocks.

``<path>`` holds the blocks end to end. ``<path>.index`` has the identity in line 1, then a line for
each block: its bytes, its rows, its CRC32; each line bears a checksum of its own (``records``).
Nothing is ever held whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

from parabench.contracts import UserError
from parabench.store.files import append_durably, os_errors_as_user_errors, write_atomically
from parabench.store.records import canonical_json, decode_line, encode_line


class BlockFile:
    """The blocks of one identity; ``rows`` are those that stand there whole.

    On opening, everything from the first block on that does not verify is dropped, to be made anew;
    UserError where the file is of another identity.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        self.path, self._index = path, path.with_name(f"{path.name}.index")
        self._start = crc32(canonical_json(identity))
        self._blocks: list[tuple[int, int]] = []  # bytes and rows of each block
        self._size = self._index_size = 0
        if not self._index.exists():
            write_atomically(path, b"")
            write_atomically(self._index, encode_line({"identity": dict(identity)}))
        self._recover(identity)

    @property
    def rows(self) -> int:
        """How many rows stand there."""
        return sum(rows for _, rows in self._blocks)

    def append(self, data: bytes, rows: int) -> None:
        """Add a block; once this returns, no kill and no power cut loses it."""
        self._size = append_durably(self.path, self._size, data)
        line = encode_line({"bytes": len(data), "rows": rows, "crc32": crc32(data)}, self._start)
        self._index_size = append_durably(self._index, self._index_size, line)
        self._blocks.append((len(data), rows))

    def blocks(self) -> Iterator[tuple[bytes, int]]:
        """Each block and its rows, in order."""
        with os_errors_as_user_errors(self.path, "read"), self.path.open("rb") as file:
            for size, rows in self._blocks:
                yield file.read(size), rows

    def _recover(self, identity: Mapping[str, Any]) -> None:
        with (
            os_errors_as_user_errors(self.path, "read"),
            self._index.open("rb") as index,
            self.path.open("rb") as file,
        ):
            first = index.readline()
            if decode_line(first.rstrip(b"\n")) != {"identity": dict(identity)}:
                mend = f"rm {self.path} {self._index}   # then the same command makes it anew"
                raise UserError(
                    f"go on with {self.path}",
                    "it was made with other settings, or is damaged",
                    mend=mend,
                )
            self._index_size, self._size = len(first), 0
            for line in index:
                block = decode_line(line[:-1], self._start) if line.endswith(b"\n") else None
                data = file.read(block["bytes"]) if block else b""
                if block is None or len(data) < block["bytes"] or crc32(data) != block["crc32"]:
                    break
                self._blocks.append((block["bytes"], block["rows"]))
                self._index_size, self._size = (
                    self._index_size + len(line),
                    self._size + block["bytes"],
                )
        for path, size in ((self._index, self._index_size), (self.path, self._size)):
            with os_errors_as_user_errors(path):
                os.truncate(path, size)
