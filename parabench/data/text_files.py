"""Packed and plain text files as lines of bytes; one line at a time is in memory.

A file may be plain, gzip, zstandard, or a member of a zip archive (``file.zip!member``).
"""

from __future__ import annotations

import gzip
import io
import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, NamedTuple, cast

from parabench.contracts import UserError
from parabench.data.zstandard_reader import ZstandardReader
from parabench.store.files import check_regular

LONGEST_LINE = 64 * 1024
"""Bytes of a line; a longer one is no sentence."""
BOMB = 64 * 2**20, 200
"""A file that unpacks to more than so many bytes, and so many times what was read of it, is refused
as a compression bomb.
"""
_CHUNK = 1 << 20
_TEXT_SUFFIXES = (".tsv", ".txt", ".csv", ".jsonl", ".json")


class _Unpacked(NamedTuple):
    """A stream of unpacked bytes, and how many packed bytes were read for it so far."""

    stream: IO[bytes]
    packed_bytes: Callable[[], int]


@contextmanager
def opened(path: str) -> Iterator[_Unpacked]:
    """Open a plain or packed file for reading.

    Raises UserError where it is absent, damaged, or no regular file: a pipe may never end.
    """
    import zstandard

    # what the readers of packed files raise where the content is not what its headers say
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
        # fewer than above: a ValueError of the caller's is no damage
        except damage as error:
            raise _unreadable(path, error) from None


def _unpacked(stack: ExitStack, path: str) -> _Unpacked:
    name, _, member = path.partition("!")
    check_regular(name)
    file = _entered(stack, name)
    if name.endswith(".zip"):
        archive = stack.enter_context(zipfile.ZipFile(file))
        chosen = archive.getinfo(_member(archive, name, member))
        unzipped = stack.enter_context(archive.open(chosen))
        # the position in the archive counts other members too: the member's own size is the bound
        return _Unpacked(unzipped, lambda: min(file.tell(), chosen.compress_size))
    if name.endswith(".gz"):
        gunzipped = gzip.GzipFile(fileobj=file)
        return _Unpacked(stack.enter_context(cast(IO[bytes], gunzipped)), file.tell)
    if name.endswith(".zst"):
        return _Unpacked(io.BufferedReader(ZstandardReader(file)), file.tell)
    return _Unpacked(file, file.tell)


def _entered(stack: ExitStack, name: str) -> IO[bytes]:
    return stack.enter_context(Path(name).open("rb"))


def read_whole(path: Path, largest: int) -> bytes:
    """All bytes of a small file.

    ``largest``: bytes that it may have.

    Raises UserError where it has more, or is a pipe or a device; OSError where it cannot be opened.
    """
    check_regular(path)
    with path.open("rb") as file:
        # files of the kernel have no size before they are read
        data = file.read(largest + 1)
    if len(data) > largest:
        found = f"more than {largest:,} bytes, where a small file is needed"
        raise UserError(f"read {path}", found, mend="give the path of another file")
    return data


def _member(
    archive: zipfile.ZipFile,
    name: str,
    member: str,
) -> str:
    """The member that is meant: the one that is named, or the only one with texts.

    ``name``: the archive's, for errors. Raises UserError with the members where neither is there.
    """
    names = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
    texts = [entry for entry in names if entry.endswith(_TEXT_SUFFIXES)]
    if member in names:
        return member
    if not member and len(texts) == 1:
        return texts[0]
    found = f"no member {member!r}" if member else "several members"
    raise UserError(
        f"read {name}",
        found,
        names,
        f"{name}!MEMBER",
    )


class _DamageError(UserError):
    """Why a file cannot be opened or unpacked."""


def _unreadable(path: str, error: BaseException) -> UserError:
    # an EOFError of some readers has no text at all
    found = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return _DamageError(
        f"read {path}",
        found,
        mend="give the path of a whole, readable file",
    )


def raw_lines(path: str, longest: int = LONGEST_LINE) -> Iterator[bytes]:
    """Read the lines of the file at ``path``, line feeds included.

    ``longest``: bytes that a line may have; of a longer one its first ``longest + 1`` bytes come,
    and the rest is skipped.

    Raises UserError where the file cannot be read or is a compression bomb.
    """
    _check_bomb(path)
    with opened(path) as file:
        unpacked = 0
        is_start = True  # of a line; else it is the rest of one that is too long
        while raw := file.stream.readline(longest + 1):
            unpacked += len(raw)
            _check_size(path, unpacked, file)
            if is_start:
                yield raw
            # without a line feed and yet not cut, it is the last line
            is_start = raw.endswith(b"\n") or len(raw) <= longest


def _check_size(path: str, unpacked: int, file: _Unpacked) -> None:
    """Raise UserError where a file unpacks to far more than was read of it.

    What was read so far decides, so that a bomb is refused long before its end.
    """
    floor, times = BOMB
    limit = max(floor, times * file.packed_bytes())
    if unpacked > limit:
        found = f"it unpacks to more than {limit // 2**20} MiB, over {times} times its size"
        raise UserError(
            f"read {path}",
            found,
            mend="unpack it yourself if you trust it",
        )


def _check_bomb(path: str) -> None:
    """Unpack a packed file once without a look at its lines; raise UserError for a bomb.

    Rows cost a hundred times as much as unpacking them: a bomb of short lines would be refused
    only after minutes. A file is unpacked again only where it has changed.
    """
    name = path.partition("!")[0]
    if not name.endswith((".gz", ".zst", ".zip")):
        return
    try:
        status = os.stat(name)
    except OSError:
        return  # opening it says why
    if (path, status.st_size, status.st_mtime_ns, BOMB) in _NO_BOMBS:
        return
    try:
        with opened(path) as file:
            unpacked = 0
            while block := file.stream.read(_CHUNK):
                unpacked += len(block)
                _check_size(path, unpacked, file)
    except _DamageError:
        return  # rows before the damage are read, and then it is told
    _NO_BOMBS.add((path, status.st_size, status.st_mtime_ns, BOMB))


_NO_BOMBS = set[tuple[str, int, int, tuple[int, int]]]()
"""Files that were unpacked to their end, as they were then."""


def unpacked_suffix(path: str | Path) -> str:
    """The suffix that tells the format, without that of the packing: ``.jsonl`` of ``a.jsonl.gz``.

    Of a zip archive with a named member, the member's.
    """
    name = str(path)
    member = name.partition("!")[2]
    inner = Path(member or name)
    if inner.suffix in (".gz", ".zst", ".zip"):
        inner = Path(inner.stem)
    return inner.suffix.lower()


def file_digest(path: str) -> str:
    """SHA-256 of a file's bytes on disk, packed as they are.

    Raises UserError where it cannot be read.
    """
    name = path.partition("!")[0]
    check_regular(name)
    digest = sha256()
    try:
        with Path(name).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        found = error.strerror or str(error)
        mend = "give the path of a readable file"
        raise UserError(
            f"read {path}",
            found,
            mend=mend,
        ) from None
    return digest.hexdigest()
