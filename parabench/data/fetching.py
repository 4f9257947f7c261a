"""Corpora from where their makers publish them: over https, going on where a download stopped,
checked at the end.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from parabench.contracts import UserError
from parabench.data.text_files import file_digest
from parabench.store.files import make_folder, os_errors_as_user_errors, write_atomically

_BLOCK = 1 << 20
DOWNLOAD_FOLDER = Path("data")
"""Where downloads go, and where a specification's addresses are read from."""
_Open = Callable[[Request], HTTPResponse]
_Advance = Callable[[int, int], object]


@dataclass(frozen=True)
class PublishedCorpus:
    """A corpus on the web; without a known SHA-256 the first download's is noted beside the file
    and held from then.
    """

    url: str
    file: str
    sha256: str = ""


CORPORA = {
    "parabank2": PublishedCorpus(
        "https://cs.jhu.edu/~vandurme/data/parabank-2.0.zip", "parabank-2.0.zip"
    ),
    "paranmt": PublishedCorpus(
        "https://drive.usercontent.google.com/download?id=19NQ87gEFYu3zOIp_VNYQZgmnwRuSIyJd&export=download&confirm=t",
        "para-nmt-5m-processed.zip",
    ),
}
"""Where their makers publish them: Hu et al. 2019 at Johns Hopkins, Wieting and Gimpel 2018 at a
file host.
"""


def find_corpus(name: str) -> PublishedCorpus:
    """A corpus by its name, or a file by its https address, under a name that no other address
    gets.
    """
    if name.startswith("https://"):
        return PublishedCorpus(
            name, f"{sha256(name.encode()).hexdigest()[:8]}-{name.rpartition('/')[2] or 'download'}"
        )
    if name not in CORPORA:
        raise UserError(
            f"fetch {name!r}",
            "no such corpus",
            [*CORPORA, "https://…"],
            "parabench data fetch parabank2",
        )
    return CORPORA[name]


def addresses(text: str) -> list[str]:
    """The https addresses in a specification of corpora."""
    return re.findall(r"(?<=:)https://[^\s,?=]+", text)


def fetch_corpus(
    published: PublishedCorpus, folder: Path, advance: _Advance = max, open_: _Open = urlopen
) -> Path:
    """Download into ``folder``, or finish doing so; the file appears under its name when it is
    whole and right.

    UserError without a network, where the server refuses, and where the checksum is another one.
    """
    target, part = folder / published.file, folder / f"{published.file}.part"
    if target.exists():
        _check(target, _expected(published, target))
        return target
    with os_errors_as_user_errors(folder):
        make_folder(folder)
    try:
        _download(published.url, part, advance, open_)
    except (URLError, HTTPException, TimeoutError, ConnectionError) as error:
        found = str(getattr(error, "reason", "") or error)
        have = part.stat().st_size if part.exists() else 0
        mend = f"the same command goes on from {have:,} bytes where there is a network; or put the file at {target}"
        raise UserError(f"fetch {published.url}", found, mend=mend) from None
    _check(part, _expected(published, target))
    with os_errors_as_user_errors(target):
        os.replace(part, target)
    write_atomically(
        target.with_name(f"{target.name}.sha256"), f"{file_digest(str(target))}\n".encode()
    )
    return target


def _download(url: str, part: Path, advance: _Advance, open_: _Open) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = Request(
        url, headers={"Range": f"bytes={have}-", "User-Agent": "parabench"} if have else {}
    )
    try:
        response: Any = open_(request)
    except HTTPError as error:
        if error.code == 416 and have:  # nothing is left after what we have
            return
        raise
    if str(response.headers.get("Content-Type")).startswith("text/html"):
        raise ConnectionError("the server sent a web page instead of the file")
    with (
        response,
        os_errors_as_user_errors(part),
        part.open("ab" if response.status == 206 else "wb") as file,
    ):
        done = file.tell()
        total = done + int(response.headers.get("Content-Length") or 0)
        while block := response.read(_BLOCK):
            file.write(block)
            done += len(block)
            advance(done, total)
    if done < total:
        raise ConnectionError(f"the connection ended after {done:,} of {total:,} bytes")


def _expected(published: PublishedCorpus, target: Path) -> str:
    noted = target.with_name(f"{target.name}.sha256")
    return published.sha256 or (noted.read_text().strip() if noted.exists() else "")


def _check(path: Path, expected: str) -> None:
    found = file_digest(str(path))
    if expected and found != expected:
        mend = f"rm {path}, then the same command again"
        raise UserError(
            f"use {path}", f"its SHA-256 is {found[:12]}…, not {expected[:12]}…", mend=mend
        )
