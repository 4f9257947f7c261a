"""Text files as lines, whatever they are packed in; nothing is ever held whole."""

from __future__ import annotations

import gzip
import io
import lzma
import struct
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, cast

from parabench.contracts import UserError

LONGEST_LINE = 64 * 1024
BOMB = 64 * 2**20, 200
"""A file that unpacks to more than so many bytes and so many times its own size is no corpus but an
attack.
"""


@contextmanager
def opened(path: str) -> Iterator[IO[bytes]]:
    """The unpacked bytes of a plain, gzip, zstandard or zip file (``file.zip!member``); UserError
    where damaged.
    """
    import zstandard

    damage = (
        OSError,
        EOFError,
        zlib.error,
        lzma.LZMAError,
        zipfile.BadZipFile,
        zstandard.ZstdError,
    )
    with ExitStack() as stack:
        try:
            file = _unpacked(stack, path)
        # headers of zip files raise all of these
        except (*damage, ValueError, RuntimeError, struct.error) as error:
            raise _unreadable(path, error) from None
        try:
            yield file
        except damage as error:
            raise _unreadable(path, error) from None


class _Zstandard(io.RawIOBase):
    """Frames of zstandard one after the other; zstandard's own reader takes a file that was cut off
    for a whole one.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._frame: Any = None
        self._packed, self._ready = b"", memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            packed = self._packed or self._file.read(1024)  # which unpacks to 32 MiB at most
            if not packed:
                if self._frame:
                    raise EOFError("it ends in the middle")
                return 0
            self._ready = self._next(packed)
        count = min(len(buffer), len(self._ready))
        buffer[:count], self._ready = self._ready[:count], self._ready[count:]
        return count

    def _next(self, packed: bytes) -> memoryview:
        import zstandard

        frame = self._frame or zstandard.ZstdDecompressor().decompressobj()
        unpacked = frame.decompress(packed)
        self._frame, self._packed = (None, frame.unused_data) if frame.eof else (frame, b"")
        return memoryview(unpacked)


def _unpacked(stack: ExitStack, path: str) -> IO[bytes]:
    name, _, member = path.partition("!")
    if name.endswith(".zip"):
        archive = stack.enter_context(zipfile.ZipFile(name))
        return stack.enter_context(archive.open(_member(archive, name, member)))
    if name.endswith(".gz"):
        return stack.enter_context(cast(IO[bytes], gzip.open(name, "rb")))
    if name.endswith(".zst"):
        return io.BufferedReader(_Zstandard(stack.enter_context(Path(name).open("rb"))))
    return stack.enter_context(Path(name).open("rb"))


def _unreadable(path: str, error: BaseException) -> UserError:
    found = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return UserError(f"read {path}", found, mend="give the path of a whole, readable file")


def raw_lines(path: str) -> Iterator[bytes]:
    """Lines with their line feeds; of one that is too long, its first bytes, one more than a line
    may have.

    UserError for a file that unpacks beyond all measure; nothing but one line is ever in memory.
    """
    with opened(path) as file:
        floor, times = BOMB
        unpacked, limit = 0, max(floor, times * Path(path.partition("!")[0]).stat().st_size)
        whole = True
        while raw := file.readline(LONGEST_LINE + 1):
            unpacked += len(raw)
            if unpacked > limit:
                found = f"it unpacks to more than {limit // 2**20} MiB, over {times} times its size"
                raise UserError(f"read {path}", found, mend="unpack it yourself if you trust it")
            if whole:
                yield raw
            whole = raw.endswith(b"\n") or len(raw) <= LONGEST_LINE


def numbered_lines(path: str, tally: SkipCounts) -> Iterator[tuple[int, str]]:
    """Lines from 1, split at line feeds alone; those that are blank, too long or no UTF-8 are
    counted.
    """
    for number, raw in enumerate(raw_lines(path), 1):
        if len(raw) > LONGEST_LINE:
            tally.count(f"longer than {LONGEST_LINE} bytes", number)
            continue
        try:
            line = decoded(raw, number).rstrip("\r\n")
        except UnicodeDecodeError:
            tally.count("not UTF-8", number)
            continue
        if line.strip():
            yield number, line
        else:
            tally.count("blank", number)


def decoded(raw: bytes, number: int) -> str:
    """A line as strict UTF-8; before the first a byte order mark may stand."""
    return raw.decode("utf-8-sig" if number == 1 else "utf-8")


def file_digest(path: str) -> str:
    """SHA-256 of the file as it lies there, packed."""
    digest = sha256()
    try:
        with Path(path.partition("!")[0]).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise UserError(
            f"read {path}", error.strerror or str(error), mend="give the path of a readable file"
        ) from None
    return digest.hexdigest()


def _member(archive: zipfile.ZipFile, name: str, member: str) -> str:
    names = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
    texts = [entry for entry in names if entry.endswith((".tsv", ".txt", ".csv", ".jsonl"))]
    if member in names:
        return member
    if not member and len(texts) == 1:
        return texts[0]
    raise UserError(
        f"read {name}",
        f"no member {member!r}" if member else "several members",
        names,
        f"{name}!MEMBER",
    )


_SHOWN = 5
"""Line numbers that a tally keeps for each reason."""


class SkipCounts:
    """Counts by reason; ``kept`` counts what was left in."""

    def __init__(self) -> None:
        """Nothing counted yet."""
        self.reasons: Counter[str] = Counter()
        self.lines: defaultdict[str, list[int]] = defaultdict(list)
        self.kept = 0

    def count(self, reason: str, line: int) -> None:
        """One row left out."""
        self.reasons[reason] += 1
        if len(self.lines[reason]) < _SHOWN:
            self.lines[reason].append(line)

    def clear(self) -> None:
        """Begin anew, for another pass over the same rows."""
        self.reasons.clear()
        self.lines.clear()
        self.kept = 0
