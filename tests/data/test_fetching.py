"""Downloads from a stand-in for a server: whole, cut short and gone on with, spoiled, refused,
absent.
"""

from __future__ import annotations

import hashlib
import io
from email.message import Message
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request

import pytest

from parabench.contracts import UserError
from parabench.data import specs
from parabench.data.catalogue import (
    CORPORA,
    DOWNLOAD_FOLDER,
    PublishedCorpus,
    addresses,
    find_corpus,
)
from parabench.data.fetching import fetch_corpus

CONTENT = bytes(range(256)) * 40
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Response(io.BytesIO):
    def __init__(self, status: int, length: int, sent: bytes) -> None:
        super().__init__(sent)
        self.status, self.headers = status, {"Content-Length": str(length)}


class Server:
    """Answers as HTTP/1.1 servers do (RFC 9110, sections 14 and 15.5.17); the first answer ends
    after ``short``.
    """

    def __init__(self, short: int = len(CONTENT)) -> None:
        self.short, self.starts = short, list[int]()

    def __call__(self, request: Request) -> Response:
        start = int(
            request.get_header("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-")
        )
        if start >= len(CONTENT):
            raise HTTPError(request.full_url, 416, "Range Not Satisfiable", Message(), None)
        self.starts.append(start)
        sent = CONTENT[start : self.short if len(self.starts) == 1 else None]
        return Response(206 if start else 200, len(CONTENT) - start, sent)


def published(sha256: str = DIGEST) -> PublishedCorpus:
    return PublishedCorpus("https://example.org/corpus.bin", "corpus.bin", sha256)


def test_a_download_that_was_cut_goes_on_where_it_stopped(tmp_path: Path) -> None:
    server = Server(short=5000)
    with pytest.raises(UserError, match="5,000 of 10,240 bytes"):
        fetch_corpus(published(), tmp_path, open_=server)
    assert not (tmp_path / "corpus.bin").exists()
    assert fetch_corpus(published(), tmp_path, open_=server).read_bytes() == CONTENT
    fetch_corpus(published(), tmp_path, open_=server)
    assert server.starts == [0, 5000]


def test_a_download_killed_before_it_was_named_is_not_made_again(tmp_path: Path) -> None:
    (tmp_path / "corpus.bin.part").write_bytes(CONTENT)
    server = Server()
    assert fetch_corpus(published(), tmp_path, open_=server).read_bytes() == CONTENT
    assert server.starts == []


def test_a_spoiled_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="SHA-256"):
        fetch_corpus(published("0" * 64), tmp_path / "one", open_=Server())
    fetch_corpus(published(""), tmp_path / "two", open_=Server())
    (tmp_path / "two" / "corpus.bin").write_bytes(CONTENT[:-1])
    with pytest.raises(UserError, match="SHA-256"):
        fetch_corpus(published(""), tmp_path / "two", open_=Server())


def test_what_cannot_be_had_is_said(tmp_path: Path) -> None:
    def absent(request: Request) -> Response:
        raise HTTPError(request.full_url, 404, "Not Found", Message(), None)

    def page(request: Request) -> Response:
        response = Response(200, 9, b"<!DOCTYPE")
        response.headers["Content-Type"] = "text/html; charset=utf-8"
        return response

    def offline(request: Request) -> Response:
        raise URLError("Name or service not known")

    with pytest.raises(UserError, match="Not Found"):
        fetch_corpus(published(), tmp_path, open_=absent)
    with pytest.raises(UserError, match="a web page instead"):
        fetch_corpus(published(""), tmp_path, open_=page)
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match="put the file at"):
        fetch_corpus(published(), tmp_path, open_=offline)
    with pytest.raises(UserError, match="no such corpus"):
        find_corpus("parabank3")
    assert all(corpus.url.startswith("https://") for corpus in CORPORA.values())


def test_addresses_in_a_specification_are_read_as_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = "tsv:https://one.example/a.tsv.gz?case=lower=0.5,jsonl:https://two.example/a.tsv.gz=0.5,tsv:here.tsv=1"
    one, two = addresses(text)
    assert (one, two) == ("https://one.example/a.tsv.gz", "https://two.example/a.tsv.gz")
    with pytest.raises(UserError, match=f"parabench data fetch {one}"):
        specs.parse_corpora(text)
    for address in (one, two):
        server = Server()
        fetch_corpus(find_corpus(address), DOWNLOAD_FOLDER, open_=server)
        assert server.starts == [0]
    paths = [spec.path for spec in specs.parse_corpora(text)]
    assert len({*paths}) == 3
    assert all(
        path.endswith("-a.tsv.gz") and Path(path).read_bytes() == CONTENT for path in paths[:2]
    )
