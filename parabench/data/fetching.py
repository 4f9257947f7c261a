"""Downloads of corpora from where their makers publish them.

Over https alone, redirects included; with a limit of size and of idle time; resumed where a
download stopped, if the file is still the same one; checked by its SHA-256 at the end.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.request import Request

from parabench.contracts import UserError
from parabench.data.catalogue import PublishedCorpus
from parabench.data.connections import TransferError, open_https
from parabench.data.text_files import file_digest
from parabench.store.files import make_folder, os_errors_as_user_errors, write_atomically

_BLOCK = 1 << 20
_Open = Callable[[Request], Any]
_Advance = Callable[[int, int], object]


def fetch_corpus(
    published: PublishedCorpus,
    folder: Path,
    advance: _Advance = max,
    open_: _Open = open_https,
) -> Path:
    """Download a corpus, or finish doing so; the file appears under its name when it is whole.

    ``published``: what is fetched. ``folder``: where it is put. ``advance``: called with the bytes
    that are there and those there will be. ``open_``: sends a request, for tests.

    Raises UserError without a network, where the server refuses, stalls or sends too much, and
    where the checksum is another one.
    """
    target = folder / published.file
    part = folder / f"{published.file}.part"
    if target.exists():
        # a file of this name that someone else put there is held to the checksum too
        _check(target, _expected(published, target))
        return target
    with os_errors_as_user_errors(folder):
        make_folder(folder)
    try:
        _download(published, part, advance, open_)
    except (TransferError, URLError, HTTPException, TimeoutError, ConnectionError) as error:
        found = str(getattr(error, "reason", "") or error)
        have = part.stat().st_size if part.exists() else 0
        mend = (
            f"the same command goes on from {have:,} bytes where there is a network; "
            f"or put the file at {target}"
        )
        raise UserError(
            f"fetch {published.url}",
            found,
            mend=mend,
        ) from None
    # checked before it gets its name: a file of that name is a whole one
    _check(part, _expected(published, target))
    with os_errors_as_user_errors(target):
        os.replace(part, target)
    _validator_file(part).unlink(missing_ok=True)
    noted = f"{file_digest(str(target))}\n".encode()
    write_atomically(target.with_name(f"{target.name}.sha256"), noted)
    return target


def _download(
    published: PublishedCorpus,
    part: Path,
    advance: _Advance,
    open_: _Open,
) -> None:
    """Append to ``part`` what is missing of the file, or begin again where it has changed."""
    have, validator = _resumable(published, part)
    headers = {"User-Agent": "parabench"}
    if have:
        headers["Range"] = f"bytes={have}-"
    # RFC 9110, 13.1.5: the whole file comes where it is another one by now
    if have and validator:
        headers["If-Range"] = validator
    try:
        response: Any = open_(Request(published.url, headers=headers))
    except HTTPError as error:
        # 416: nothing of the file is behind the bytes that are there
        if error.code != 416 or not have:
            raise
        if _is_whole(error, have):
            return
        # the part is longer than the file, so it is a part of another one
        part.unlink()
        found = "the file is another one by now; what was fetched is removed"
        raise ConnectionError(found) from None
    with response:
        _append(published, part, have, response, advance)


def _resumable(published: PublishedCorpus, part: Path) -> tuple[int, str]:
    """Bytes that are there and can be gone on from, and what tells the server which file they are.

    Without a validator and a known checksum nothing would notice that two files were joined: then
    the download begins again.
    """
    validator = _noted_validator(part)
    if not part.exists() or not (validator or published.sha256):
        return 0, ""
    return part.stat().st_size, validator


def _noted_validator(part: Path) -> str:
    """What was noted when the download began; empty where nothing was, or it is damaged."""
    try:
        noted = json.loads(_validator_file(part).read_text(encoding="utf-8"))
        return str(noted["validator"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _validator_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _is_whole(error: HTTPError, have: int) -> bool:
    """Whether a server that has nothing behind ``have`` bytes says that these are all.

    One that does not say how large the file is is believed: the checksum decides.
    """
    told = error.headers.get("Content-Range", "") if error.headers else ""
    sizes = re.fullmatch(r"bytes \*/(\d+)", str(told))
    return sizes is None or int(sizes[1]) == have


def _append(
    published: PublishedCorpus,
    part: Path,
    have: int,
    response: Any,
    advance: _Advance,
) -> None:
    """Write the body of an answer behind what is there.

    Raises URLError or ConnectionError where it is no file, too large, too slow or cut short.
    """
    if str(response.headers.get("Content-Type")).startswith("text/html"):
        raise ConnectionError("the server sent a web page instead of the file")
    # 206 is a part of the file; with any other answer the whole comes, and writing begins anew
    is_part = response.status == 206
    told = response.headers.get("Content-Range") or f"bytes {have}-"
    place = re.match(r"bytes (\d+)-", told)
    if is_part and (place is None or int(place[1]) != have):
        raise ConnectionError("the server sent another part of the file than was asked for")
    done = have if is_part else 0
    length = response.headers.get("Content-Length") or "0"
    # a server that does not say its length, or says nonsense, is bounded while the body comes
    total = done + (int(length) if length.isdecimal() else 0)
    if total > published.largest:
        raise URLError(f"{total:,} bytes; the limit is {published.largest:,}")
    with os_errors_as_user_errors(part):
        if not is_part:
            # before the first byte: a part without a validator would be begun again
            noted = json.dumps({"validator": _validator(response)})
            write_atomically(_validator_file(part), noted.encode())
        with part.open("ab" if is_part else "wb") as file:
            _copy(
                response,
                file,
                published.largest,
                lambda size: advance(size, total),
            )
            done = file.tell()
    if done < total:
        raise ConnectionError(f"the connection ended after {done:,} of {total:,} bytes")


def _validator(response: Any) -> str:
    """What tells later which file an answer is of; empty where the server says nothing."""
    tag = response.headers.get("ETag") or ""
    # a weak tag does not promise equal bytes, so that it may not be asked with If-Range
    if tag.startswith("W/"):
        tag = ""
    return tag or response.headers.get("Last-Modified") or ""


def _copy(
    response: Any,
    file: IO[bytes],
    largest: int,
    advance: Callable[[int], object],
) -> None:
    """Copy the body of a ``response`` into ``file``, block by block, as it comes.

    ``largest``: bytes of the file at most. ``advance``: called with the bytes that are there.

    Raises TransferError where the body breaks off, or is longer than ``largest``.
    """
    while True:
        try:
            # what has come, and not a whole block: a slow server is noticed, and progress seen
            block = response.read1(_BLOCK)
        # around the writing, an error of the network would be told as one of the disk
        except (OSError, HTTPException) as error:
            raise TransferError(str(error) or type(error).__name__) from None
        if not block:
            return
        if file.tell() + len(block) > largest:
            raise TransferError(f"more than the limit of {largest:,} bytes")
        file.write(block)
        advance(file.tell())


def _expected(published: PublishedCorpus, target: Path) -> str:
    """The checksum that a file must have; empty where none is known yet."""
    if published.sha256:
        return published.sha256
    noted = target.with_name(f"{target.name}.sha256")
    return noted.read_text().strip() if noted.exists() else ""


def _check(path: Path, expected: str) -> None:
    """Raise UserError where a file's SHA-256 is not ``expected``; an empty one is not checked."""
    found = file_digest(str(path))
    if expected and found != expected:
        mend = f"rm {path}, then the same command again"
        different = f"its SHA-256 is {found[:12]}…, not {expected[:12]}…"
        raise UserError(
            f"use {path}",
            different,
            mend=mend,
        )
