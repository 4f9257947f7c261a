"""Corpora on the web: where their makers publish them, and what their files are called here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from parabench.contracts import UserError

DOWNLOAD_FOLDER = Path("data")
"""Where downloads go, and where a specification's addresses are read from."""
_LARGEST = 64 * 2**30
"""Bytes of a file from an address that a user gives."""


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
        # without "confirm" the host sends a page that asks whether the file is wanted
        "https://drive.usercontent.google.com/download"
        "?id=19NQ87gEFYu3zOIp_VNYQZgmnwRuSIyJd&export=download&confirm=t",
        "para-nmt-5m-processed.zip",
        largest=8 * 2**30,
    ),
}
"""Hu et al. 2019 at Johns Hopkins, about 2.3 GB; Wieting and Gimpel 2018 at a file host. Neither
publishes a checksum.
"""


def find_corpus(name: str) -> PublishedCorpus:
    """Find a corpus by its name, or a file by its https address.

    An address gets a file name that no other address gets. Raises UserError for an unknown name.
    """
    if name.startswith("https://"):
        # the address decides the prefix: two servers may both have a train.tsv
        prefix = sha256(name.encode()).hexdigest()[:8]
        last_part = name.rpartition("/")[2] or "download"
        return PublishedCorpus(name, f"{prefix}-{last_part}")
    if name not in CORPORA:
        choices = [*CORPORA, "https://…"]
        mend = "parabench data fetch parabank2"
        raise UserError(
            f"fetch {name!r}",
            "no such corpus",
            choices,
            mend,
        )
    return CORPORA[name]


def addresses(text: str) -> list[str]:
    """The https addresses in a specification of corpora."""
    return re.findall(r"(?<=:)https://[^\s,?=]+", text)
