"""Downloads against a server that is slow, large, changed or leads elsewhere: every wait ends, and
nothing but the file that was asked for gets its name.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from parabench.contracts import UserError
from parabench.data import connections
from parabench.data.catalogue import PublishedCorpus, find_corpus
from parabench.data.fetching import fetch_corpus

pytestmark = pytest.mark.loopback

CONTENT = bytes(range(256)) * 400
OTHER = CONTENT[::-1]
PACE = 0.05
"""Seconds between the bytes of a slow server: each well within a socket's own time-out."""


class Server(ThreadingHTTPServer):
    """Answers every request by ``answer``, and notes the requests' headers."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, answer: Callable[[BaseHTTPRequestHandler], None]) -> None:
        self.asked = list[dict[str, str]]()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(dict(self.headers))
                try:
                    answer(self)
                except OSError:
                    self.close_connection = True  # the client has gone, as it should

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/corpus.tsv"


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[BaseHTTPRequestHandler], None]], Server]]:
    servers = list[Server]()

    def begin(answer: Callable[[BaseHTTPRequestHandler], None]) -> Server:
        servers.append(Server(answer))
        return servers[-1]

    yield begin
    for one in servers:
        one.shutdown()
        one.server_close()


Serve = Callable[[Callable[[BaseHTTPRequestHandler], None]], Server]


def corpus(server: Server, sha256: str = "", largest: int = 1 << 20) -> PublishedCorpus:
    return PublishedCorpus(server.url, "corpus.tsv", sha256, largest)


def trickle(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    """``data`` for ever, a byte at a time."""
    while True:
        for byte in data:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            time.sleep(PACE)


def slow_headers(handler: BaseHTTPRequestHandler) -> None:
    trickle(handler, b"HTTP/1.1 200 OK\r\n" + b"X-Wait: yes\r\n" * 50)


def endless_continue(handler: BaseHTTPRequestHandler) -> None:
    trickle(handler, b"HTTP/1.1 100 Continue\r\n\r\n")


def silence(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(5)


def slow_body(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    trickle(handler, b"x")


def slow_chunk(handler: BaseHTTPRequestHandler) -> None:
    """A chunk whose extension never ends is one read to the client."""
    handler.protocol_version = "HTTP/1.1"
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"5;")
    trickle(handler, b"e")


@pytest.mark.parametrize("answer", [slow_headers, endless_continue, silence, slow_body, slow_chunk])
def test_a_server_that_never_ends_is_left(
    tmp_path: Path,
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
    answer: Callable[[BaseHTTPRequestHandler], None],
) -> None:
    monkeypatch.setattr(connections, "_IDLE_SECONDS", 0.4)
    server = serve(answer)
    with pytest.raises(UserError) as caught:
        fetch_corpus(corpus(server), tmp_path)
    assert f"fetch {server.url}" in str(caught.value)
    assert "0 seconds" in str(caught.value) or "timed out" in str(caught.value)
    assert not (tmp_path / "corpus.tsv").exists()


def test_a_steady_server_has_all_the_time_it_needs(
    tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice the time-out in all, and never too slow within it."""
    monkeypatch.setattr(connections, "_IDLE_SECONDS", 3.0)
    monkeypatch.setattr(connections, "_SLOWEST_BYTES", 100)

    def steady(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(CONTENT)))
        handler.end_headers()
        for start in range(0, len(CONTENT), 10_240):
            handler.wfile.write(CONTENT[start : start + 10_240])
            handler.wfile.flush()
            time.sleep(0.6)

    path = fetch_corpus(corpus(serve(steady)), tmp_path)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("declares", [True, False])
def test_a_file_over_the_limit_is_refused(tmp_path: Path, serve: Serve, declares: bool) -> None:
    def large(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        if declares:
            handler.send_header("Content-Length", "100000000000")
        handler.end_headers()
        while True:
            handler.wfile.write(CONTENT)

    with pytest.raises(UserError, match=r"limit (is|of) 1,048,576"):
        fetch_corpus(corpus(serve(large)), tmp_path)
    written = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert written <= (1 << 20) + 1000


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1:9/corpus.tsv",
        "http://example.org/corpus.tsv",
        "file:///etc/passwd",
        "ftp://example.org/corpus.tsv",
        "//127.0.0.1:9/corpus.tsv",
    ],
)
def test_a_redirect_to_what_is_not_https_is_refused(
    tmp_path: Path, serve: Serve, target: str
) -> None:
    codes = iter([301, 302, 303, 307, 308])

    def elsewhere(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(next(codes))
        handler.send_header("Location", target)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    server = serve(elsewhere)
    for _ in range(5):
        with pytest.raises(UserError, match=r"not https|is not allowed"):
            fetch_corpus(corpus(server), tmp_path)
    assert len(server.asked) == 5
    assert not list(tmp_path.iterdir())


class Versions:
    """A file with an ETag that is cut at 50,000 bytes at first, and may be another one later."""

    def __init__(self, tag: str | None, later: bytes = CONTENT) -> None:
        self.tag, self.later, self.answers = tag, later, 0

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        self.answers += 1
        content = CONTENT if self.answers == 1 else self.later
        tag = self.tag and f'"{hashlib.md5(content).hexdigest()}"'
        if self.tag == "weak":
            tag = f"W/{tag}"
        asked, condition = handler.headers.get("Range"), handler.headers.get("If-Range")
        start = 0
        # RFC 9110, 13.1.5: a part only where the condition holds
        if asked and (condition is None or condition == tag):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        handler.send_response(206 if start else 200)
        if start:
            told = f"bytes {start}-{len(content) - 1}/{len(content)}"
            handler.send_header("Content-Range", told)
        if tag:
            handler.send_header("ETag", tag)
        handler.send_header("Content-Length", str(len(content) - start))
        handler.end_headers()
        handler.wfile.write(content[start : 50_000 if self.answers == 1 else None])


@pytest.mark.parametrize(
    ("tag", "later", "is_resumed"),
    [
        ("strong", CONTENT, True),
        ("strong", OTHER, False),
        ("weak", CONTENT, False),
        ("weak", OTHER, False),
        (None, CONTENT, False),
        (None, OTHER, False),
    ],
)
def test_two_versions_of_a_file_are_never_joined(
    tmp_path: Path, serve: Serve, tag: str | None, later: bytes, is_resumed: bool
) -> None:
    server = serve(Versions(tag, later))
    with pytest.raises(UserError, match="50,000 of 102,400 bytes"):
        fetch_corpus(corpus(server), tmp_path)
    assert fetch_corpus(corpus(server), tmp_path).read_bytes() == later
    again = server.asked[1]
    assert ("If-Range" in again) == (tag == "strong")
    assert ("Range" in again) == (tag == "strong")
    whole = hashlib.sha256(later).hexdigest()
    assert (tmp_path / "corpus.tsv.sha256").read_text().strip() == whole
    assert is_resumed == (tag == "strong" and later == CONTENT)


def test_a_pinned_checksum_refuses_another_file(tmp_path: Path, serve: Serve) -> None:
    def other(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(OTHER)))
        handler.end_headers()
        handler.wfile.write(OTHER)

    pinned = corpus(serve(other), hashlib.sha256(CONTENT).hexdigest())
    with pytest.raises(UserError, match="its SHA-256 is"):
        fetch_corpus(pinned, tmp_path)
    assert not (tmp_path / "corpus.tsv").exists()


@pytest.mark.parametrize("noted", [b"", b"{", b"[]", b'{"validator": ', b"\xff"])
def test_a_damaged_note_begins_the_download_again(
    tmp_path: Path, serve: Serve, noted: bytes
) -> None:
    (tmp_path / "corpus.tsv.part").write_bytes(OTHER[:1000])
    (tmp_path / "corpus.tsv.part.json").write_bytes(noted)
    versions = Versions("strong")
    versions.answers = 1
    server = serve(versions)
    assert fetch_corpus(corpus(server), tmp_path).read_bytes() == CONTENT
    assert "Range" not in server.asked[0]


def test_a_length_that_is_no_number_is_not_believed(tmp_path: Path, serve: Serve) -> None:
    def nonsense(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: many\r\n\r\n" + CONTENT)

    assert fetch_corpus(corpus(serve(nonsense)), tmp_path).read_bytes() == CONTENT


def test_a_full_disk_is_not_told_as_a_network(tmp_path: Path, serve: Serve) -> None:
    (tmp_path / "corpus.tsv.part").mkdir()
    with pytest.raises(UserError) as caught:
        fetch_corpus(corpus(serve(Versions("strong"))), tmp_path)
    assert "write " in str(caught.value)
    assert "network" not in str(caught.value)


def test_an_address_without_tls_is_refused() -> None:
    with pytest.raises(UserError, match="no such corpus"):
        find_corpus("http://example.org/corpus.tsv")
