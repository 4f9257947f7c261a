"""Crash-safe file writes: atomic replace, durable append, and nothing thrown away.

What a function here has returned from, no kill and no power cut undoes. What the disk refuses is a
UserError.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shlex
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from typing import IO

from parabench.contracts import UserError

CHUNK_BYTES = 1 << 18
"""Bytes of a long file that are held at once."""


def write_atomically(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Write a whole file so that it is found either as it was or complete.

    ``data`` that come in parts are written as they come. A symbolic link at ``path`` is replaced,
    not followed. Raises UserError for what the disk refuses.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    chunks = [data] if isinstance(data, bytes) else joined_to_chunks(data)
    with os_errors_as_user_errors(path):
        make_folder(path.parent)
        try:
            # The order matters: the bytes are on disk before the name is, so that no crash can
            # leave the name of a file that is not whole; the folder's sync keeps the name.
            with _opened(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as file:
                for chunk in chunks:
                    _write(file, chunk)
                os.fsync(file)
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def append_durably(
    path: Path,
    size: int,
    data: bytes,
) -> int:
    """Add ``data`` to the file at ``path``, in one write and one fsync; returns its new size.

    Raises UserError where it does not have ``size`` bytes: somebody else writes it, or an earlier
    write was torn.
    """
    with os_errors_as_user_errors(path), _opened(path, os.O_WRONLY | os.O_APPEND) as file:
        if os.fstat(file).st_size != size:
            found = "it changed since it was opened"
            raise UserError(f"append to {path}", found, mend="run the same command again")
        _write(file, data)
        os.fsync(file)
    return size + len(data)


def quarantine_tail(
    path: Path,
    size: int,
    quarantine: Path,
) -> Path | None:
    """Move what a file has behind its first ``size`` bytes into the folder ``quarantine``.

    Returns where it is now; None where ``path`` has nothing there.
    """
    with os_errors_as_user_errors(path, "read"), path.open("rb") as opened:
        opened.seek(size)
        tail = opened.read()
    if not tail:
        return None
    # Kept before it is cut off: a crash between the two leaves it twice rather than nowhere.
    kept = quarantine / _label(path, tail)
    write_atomically(kept, tail)
    with os_errors_as_user_errors(path), _opened(path, os.O_WRONLY) as file:
        os.ftruncate(file, size)
        os.fsync(file)
    return kept


def quarantine_file(path: Path, quarantine: Path) -> Path:
    """Move a whole file into the quarantine folder; returns where it is now."""
    kept = quarantine / _label(path, read_bytes(path))
    with os_errors_as_user_errors(path):
        make_folder(quarantine)
        os.replace(path, kept)
        # The new name first: a power cut between the two leaves both names, not none.
        sync_folder(quarantine)
        sync_folder(path.parent)
    return kept


def read_bytes(path: Path) -> bytes:
    """All of a file; UserError where it cannot be read, and for a pipe or a device."""
    check_regular(path)
    with os_errors_as_user_errors(path, "read"):
        return path.read_bytes()


def check_regular(path: str | Path) -> None:
    """Raise UserError where ``path`` is a pipe, a device or a socket, whose content may never end.

    What does not exist passes: opening it says so.
    """
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError):
        return
    # a folder passes as well: opening it says what it is
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return
    raise UserError(
        f"read {path}",
        "a pipe, device or socket, where a file is needed",
        mend=f"save its content first: cat {path} > FILE",
    )


def in_chunks(file: IO[bytes]) -> Iterator[bytes]:
    """The rest of an open file, a quarter of a megabyte at a time."""
    return iter(partial(file.read, CHUNK_BYTES), b"")


def file_equals(path: Path, data: Iterable[bytes]) -> bool:
    """Whether a file consists of exactly these parts."""
    with os_errors_as_user_errors(path, "read"), path.open("rb") as file:
        for part in data:
            if file.read(len(part)) != part:
                return False
        return not file.read(1)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, each name safe before the next."""
    if not folder.exists():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut; a link to a folder is followed."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def refuse_links(folder: Path, names: Iterable[str]) -> None:
    """Raise UserError where one of these names in a folder is a symbolic link.

    The folder itself may be reached by one, as on a cluster whose scratch is linked into a home;
    but what a link inside it points to, nobody said that a run may write.
    """
    for name in names:
        path = folder / name
        if path.is_symlink():
            mend = (
                f"put the folder itself in the place of the symbolic link {shlex.quote(str(path))}"
            )
            raise UserError(f"write {path}", "it is a symbolic link", mend=mend)


@contextmanager
def os_errors_as_user_errors(path: Path, verb: str = "write") -> Iterator[None]:
    """Turn an ``OSError`` into a UserError in the system's own words, with a mend that can help.

    ``verb`` says what was being done with ``path``. Free space is told, and room asked for, only
    where the disk is the cause.
    """
    try:
        yield
    except OSError as error:
        found = error.strerror or str(error)
        if error.errno in _DISK_ERRORS:
            found += f" ({_free_megabytes(path)} MB free)"
        asked = f"{verb} {path}"
        raise UserError(asked, found, mend=_mend(error, path)) from error


_DISK_ERRORS = (
    errno.ENOSPC,  # full
    errno.EDQUOT,  # full for this user
    errno.EFBIG,  # a file too large for the file system
    errno.EIO,
    errno.EROFS,
)


def _mend(error: OSError, path: Path) -> str:
    """What helps against an error of the system; empty where nothing is known to help."""
    quoted = shlex.quote(str(path))
    if error.errno in _DISK_ERRORS:
        return "make room or mend the disk; then the same command resumes where it was"
    if error.errno in (errno.EACCES, errno.EPERM):
        folder = shlex.quote(str(path.parent))
        return f"ls -ld {folder} {quoted}   # and give yourself the right to it"
    if error.errno == errno.ELOOP:
        return f"put the file itself in the place of the symbolic link {quoted}"
    if error.errno in (errno.ENOTDIR, errno.EISDIR, errno.EEXIST):
        return (
            "give another path: a file stands where a folder is wanted, "
            f"or a folder where a file is ({quoted})"
        )
    if error.errno == errno.ENAMETOOLONG:
        return "give a shorter name"
    return ""


def _free_megabytes(path: Path) -> int:
    """Free space of the disk that holds a path, or would."""
    absolute = path.absolute()
    candidates = [absolute, *absolute.parents]
    existing = next(place for place in candidates if os.path.exists(place))
    return shutil.disk_usage(existing).free // 10**6


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    """An open file descriptor. A symbolic link at ``path`` is refused (ELOOP), not followed."""
    file = os.open(path, flags | os.O_NOFOLLOW, 0o666)
    try:
        yield file
    finally:
        os.close(file)


def joined_to_chunks(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Small parts joined to larger ones, so that a system call is not paid for each."""
    held = list[bytes]()
    size = 0
    for part in parts:
        held.append(part)
        size += len(part)
        if size >= CHUNK_BYTES:
            yield b"".join(held)
            held = []
            size = 0
    yield b"".join(held)


def _write(file: int, data: bytes) -> None:
    rest = memoryview(data)
    # Less is written than asked only where the disk is full, and then the next call says so.
    while rest:
        written = os.write(file, rest)
        rest = rest[written:]


def _label(path: Path, data: bytes) -> str:
    """A name in the quarantine folder: the file's, and eight digits of the hash of what is kept."""
    digest = sha256(data).hexdigest()
    return f"{path.parent.name}.{path.name}.{digest[:8]}"


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, read once for as long as its size and time stay."""
    status = path.stat()
    return _hash_once(path.resolve(), status.st_size, status.st_mtime_ns)


@cache
def _hash_once(
    path: Path,
    size: int,
    modified: int,
) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
