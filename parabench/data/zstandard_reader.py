"""A reader of zstandard files that notices where one was cut off."""

from __future__ import annotations

import io
from typing import IO, Any

_PACKED_CHUNK = 256
"""Packed bytes handed to zstandard at once: a block of 4 bytes unpacks to 128 KiB at most, so that
these unpack to 8 MiB at most.
"""


class ZstandardReader(io.RawIOBase):
    """Zstandard frames one after the other.

    The reader of the zstandard package takes a file that was cut off for a whole one; this one
    raises EOFError.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._frame: Any = None
        self._packed = b""  # read, and not yet unpacked
        self._ready = memoryview(b"")  # unpacked, and not yet handed out

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            packed = self._packed or self._file.read(_PACKED_CHUNK)
            if not packed:
                if self._frame:
                    raise EOFError("it ends in the middle")
                return 0
            self._ready = self._next(packed)
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _next(self, packed: bytes) -> memoryview:
        import zstandard

        frame = self._frame or zstandard.ZstdDecompressor().decompressobj()
        unpacked = frame.decompress(packed)
        # behind the end of a frame another one may begin
        self._frame, self._packed = (None, frame.unused_data) if frame.eof else (frame, b"")
        return memoryview(unpacked)
