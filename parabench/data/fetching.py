"""Downloads of corpora from where their makers publish them.

Over https alone, redirects included; with a limit of size and of idle time; resumed where a
download stopped, if the file is still the same one; checked by its SHA-256 at the end.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from parabench.contracts import UserError
from parabench.data.text_files import file_digest
from parabench.store.files import make_folder, os_errors_as_user_errors, write_atomically

_BLOCK = 1 << 20
DOWNLOAD_FOLDER = Path("data")
"""Where downloads go, and where a specification's addresses are read from."""
_IDLE_SECONDS = 60.0
"""How long a server may take to answer, or to send ``_SLOWEST_BYTES``."""
_SLOWEST_BYTES = 4096
_LARGEST = 64 * 2**30
"""Bytes of a file from an address that a user gives."""
_Open = Callable[[Request], HTTPResponse]
_Advance = Callable[[int, int], object]


@dataclass(frozen=True)
class PublishedCorpus:
    """A corpus on the web.

    ``file``: its name on disk. ``sha256``: of the whole file; where its makers publish none, that
    of the first download is noted beside the file, and every later one is held to it.
    ``largest``: bytes above which a download is refused.
    """

    url: str
    file: str
    sha256: str = ""
    largest: int = _LARGEST


CORPORA = {
    "parabank2": PublishedCorpus(
        "https://cs.jhu.edu/~vandurme/data/parabank-2.0.zip",
        "parabank-2.0.zip",
        largest=8 * 2**30,
    ),
    "paranmt": PublishedCorpus(
        "https://drive.usercontent.google.com/download?id=19NQ87gEFYu3zOIp_VNYQZgmnwRuSIyJd&export=download&confirm=t",
        "para-nmt-5m-processed.zip",
        largest=8 * 2**30,
    ),
}
"""Hu et al. 2019 at Johns Hopkins, about 2.3 GB; Wieting and Gimpel 2018 at a file host. Neither
publishes a checksum.
"""


class HttpsRedirects(HTTPRedirectHandler):
    """Follows redirects to https addresses alone: any other could be read or changed on its way."""

    def redirect_request(
        self,
        req: Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> Request | None:
        """The request to the new address; raises URLError where that is not https."""
        if not newurl.startswith("https://"):
            raise URLError(f"redirected to {newurl.split('?')[0]}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def open_https(request: Request) -> HTTPResponse:
    """Send a request; every read of the answer ends after a minute without a byte."""
    response: HTTPResponse = build_opener(HttpsRedirects).open(request, timeout=_IDLE_SECONDS)
    return response


def find_corpus(name: str) -> PublishedCorpus:
    """Find a corpus by its name, or a file by its https address.

    An address gets a file name that no other address gets. Raises UserError for an unknown name.
    """
    if name.startswith("https://"):
        prefix = sha256(name.encode()).hexdigest()[:8]
        return PublishedCorpus(name, f"{prefix}-{name.rpartition('/')[2] or 'download'}")
    if name not in CORPORA:
        choices = [*CORPORA, "https://…"]
        raise UserError(
            f"fetch {name!r}", "no such corpus", choices, "parabench data fetch parabank2"
        )
    return CORPORA[name]


def addresses(text: str) -> list[str]:
    """The https addresses in a specification of corpora."""
    return re.findall(r"(?<=:)https://[^\s,?=]+", text)


def fetch_corpus(
    published: PublishedCorpus, folder: Path, advance: _Advance = max, open_: _Open = open_https
) -> Path:
    """Download a corpus, or finish doing so; the file appears under its name when it is whole.

    ``folder``: where it is put. ``advance``: called with the bytes that are there and those there
    will be. ``open_``: sends a request, for tests.

    Raises UserError without a network, where the server refuses, stalls or sends too much, and
    where the checksum is another one.
    """
    target, part = folder / published.file, folder / f"{published.file}.part"
    if target.exists():
        _check(target, _expected(published, target))
        return target
    with os_errors_as_user_errors(folder):
        make_folder(folder)
    try:
        _download(published, part, advance, open_)
    except (URLError, HTTPException, TimeoutError, ConnectionError) as error:
        found = str(getattr(error, "reason", "") or error)
        have = part.stat().st_size if part.exists() else 0
        mend = (
            f"the same command goes on from {have:,} bytes where there is a network; "
            f"or put the file at {target}"
        )
        raise UserError(f"fetch {published.url}", found, mend=mend) from None
    _check(part, _expected(published, target))
    with os_errors_as_user_errors(target):
        os.replace(part, target)
    _validator_file(part).unlink(missing_ok=True)
    noted = f"{file_digest(str(target))}\n".encode()
    write_atomically(target.with_name(f"{target.name}.sha256"), noted)
    return target


def _download(published: PublishedCorpus, part: Path, advance: _Advance, open_: _Open) -> None:
    """Append to ``part`` what is missing of the file, or begin again where it has changed."""
    have, validator = _resumable(published, part)
    headers = {"User-Agent": "parabench"}
    if have:
        headers["Range"] = f"bytes={have}-"
    if have and validator:  # RFC 9110, 13.1.5: the whole file comes where it is another one by now
        headers["If-Range"] = validator
    try:
        response: Any = open_(Request(published.url, headers=headers))
    except HTTPError as error:
        if error.code != 416 or not have:
            raise
        if _is_whole(error, have):
            return
        part.unlink()  # it is longer than the file: another one's
        raise ConnectionError(
            "the file is another one by now; what was fetched is removed"
        ) from None
    with response:
        _append(published, part, have, response, advance)


def _resumable(published: PublishedCorpus, part: Path) -> tuple[int, str]:
    """Bytes that are there and can be gone on from, and what tells the server which file they are.

    Without a validator and a known checksum nothing would notice that two files were joined: then
    the download begins again.
    """
    noted = _validator_file(part)
    validator = json.loads(noted.read_text()).get("validator", "") if noted.exists() else ""
    if not part.exists() or not (validator or published.sha256):
        return 0, ""
    return part.stat().st_size, str(validator)


def _validator_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _is_whole(error: HTTPError, have: int) -> bool:
    """Whether a server that has nothing behind ``have`` bytes says that these are all."""
    told = error.headers.get("Content-Range", "") if error.headers else ""
    sizes = re.fullmatch(r"bytes \*/(\d+)", str(told))
    return sizes is None or int(sizes[1]) == have


def _append(
    published: PublishedCorpus, part: Path, have: int, response: Any, advance: _Advance
) -> None:
    """Write the body of an answer behind what is there.

    Raises URLError or ConnectionError where it is no file, too large, too slow or cut short.
    """
    if str(response.headers.get("Content-Type")).startswith("text/html"):
        raise ConnectionError("the server sent a web page instead of the file")
    goes_on = response.status == 206
    place = re.match(r"bytes (\d+)-", response.headers.get("Content-Range") or f"bytes {have}-")
    if goes_on and (place is None or int(place[1]) != have):
        raise ConnectionError("the server sent another part of the file than was asked for")
    done = have if goes_on else 0
    length = response.headers.get("Content-Length")
    total = done + int(length or 0)
    if total > published.largest:
        raise URLError(f"{total:,} bytes; the limit is {published.largest:,}")
    with os_errors_as_user_errors(part):
        if not goes_on:
            tag = response.headers.get("ETag") or ""
            # a weak tag does not promise equal bytes, so that it may not be asked with If-Range
            strong = tag if not tag.startswith("W/") else ""
            validator = strong or response.headers.get("Last-Modified") or ""
            write_atomically(_validator_file(part), json.dumps({"validator": validator}).encode())
        with part.open("ab" if goes_on else "wb") as file:
            _copy(response, file, published.largest, lambda size: advance(size, total))
            done = file.tell()
    if done < total:
        raise ConnectionError(f"the connection ended after {done:,} of {total:,} bytes")


def _copy(response: Any, file: IO[bytes], largest: int, advance: Callable[[int], object]) -> None:
    """Copy a body block by block, as it comes.

    Raises TimeoutError where it comes too slowly, URLError where it is longer than ``largest``.
    """
    began, counted = time.monotonic(), 0
    # one read returns what has come, so that a server that sends a byte a minute is noticed
    read = getattr(response, "read1", response.read)
    while block := read(_BLOCK):
        file.write(block)
        counted += len(block)
        if file.tell() > largest:
            raise URLError(f"more than the limit of {largest:,} bytes")
        if time.monotonic() - began > _IDLE_SECONDS:
            if counted < _SLOWEST_BYTES:
                raise TimeoutError(f"{counted} bytes in {_IDLE_SECONDS:.0f} seconds")
            began, counted = time.monotonic(), 0
        advance(file.tell())


def _expected(published: PublishedCorpus, target: Path) -> str:
    noted = target.with_name(f"{target.name}.sha256")
    return published.sha256 or (noted.read_text().strip() if noted.exists() else "")


def _check(path: Path, expected: str) -> None:
    """Raise UserError where a file's SHA-256 is not ``expected``; an empty one is not checked."""
    found = file_digest(str(path))
    if expected and found != expected:
        mend = f"rm {path}, then the same command again"
        different = f"its SHA-256 is {found[:12]}…, not {expected[:12]}…"
        raise UserError(f"use {path}", different, mend=mend)
