"""One HTTP exchange that ends by a deadline, whatever the server does, and tells no secret.

A socket's timeout bounds one read, not an exchange: a server that sends a byte a second, or one
``100 Continue`` after the other, never lets it expire. So a watchdog shuts the connection down when
the deadline has come, and whatever waits on it returns with an error.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from html import escape
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, quote_plus
from urllib.request import (
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    Request,
    build_opener,
)

LARGEST_BODY = 1 << 20
"""Bytes of an answer that are read at most."""
_CHUNK = 1 << 14
_SHORTEST_SECRET_IN_TEXTS = 8
"""A shorter key ("EMPTY", as local servers take it) may well be a word of an answer."""


@dataclass(frozen=True)
class Reply:
    """What a server sent: the status, the headers by their names in lower case, and the body."""

    status: int
    headers: dict[str, str]
    body: bytes


class DeadlineError(Exception):
    """The deadline came before the server's answer was complete."""


class _NoRedirect(HTTPRedirectHandler):
    """Follows no redirect: it would carry the key to whomever it names."""

    def redirect_request(self, *_: Any) -> None:
        return None


class _Watch:
    """Shuts the connections of one exchange down, from another thread."""

    def __init__(self) -> None:
        self.expired = False
        self._sockets: list[socket.socket] = []

    def connect(self, *arguments: Any, **named: Any) -> socket.socket:
        """Open a connection as ``socket.create_connection`` does, and keep a handle on it.

        The handle is a duplicate, because TLS takes the descriptor of the original over.
        """
        opened = socket.create_connection(*arguments, **named)
        self._sockets.append(opened.dup())
        return opened

    def expire(self) -> None:
        """Make every read and write on the connections fail now."""
        self.expired = True
        for one in self._sockets:
            with contextlib.suppress(OSError):  # it may have been closed by the server
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the handles."""
        for one in self._sockets:
            one.close()


def _watched(
    kind: type[http.client.HTTPConnection], watch: _Watch, *args: Any, **named: Any
) -> Any:
    """A connection of ``kind`` that opens its sockets through ``watch``."""
    connection = kind(*args, **named)
    connection._create_connection = watch.connect  # type: ignore[attr-defined]
    return connection


class _WatchedHTTP(HTTPHandler):
    def __init__(self, watch: _Watch) -> None:
        super().__init__()
        self._watch = watch

    def http_open(self, req: Request) -> Any:
        return self.do_open(partial(_watched, http.client.HTTPConnection, self._watch), req)


class _WatchedHTTPS(HTTPSHandler):
    def __init__(self, watch: _Watch) -> None:
        super().__init__()
        self._watch = watch

    def https_open(self, req: Request) -> Any:
        return self.do_open(partial(_watched, http.client.HTTPSConnection, self._watch), req)


@contextmanager
def _limited(seconds: float) -> Iterator[tuple[OpenerDirector, _Watch]]:
    """An opener whose connections are shut down after so many seconds."""
    watch = _Watch()
    timer = threading.Timer(seconds, watch.expire)
    timer.daemon = True
    timer.start()
    try:
        yield build_opener(_NoRedirect, _WatchedHTTP(watch), _WatchedHTTPS(watch)), watch
    finally:
        timer.cancel()
        watch.close()


def post_json(url: str, question: Any, headers: dict[str, str], seconds: float) -> Reply:
    """POST ``question`` as JSON to ``url`` and return the reply, of whatever status.

    ``seconds`` is for the whole exchange: connecting, the headers and the body.

    Raises DeadlineError where they do not suffice, ValueError where the body is longer than
    ``LARGEST_BODY``, and OSError or http.client.HTTPException where the exchange fails otherwise.
    """
    content = {"Content-Type": "application/json", **headers}
    request = Request(url, json.dumps(question).encode(), content)
    end = time.monotonic() + seconds
    with _limited(seconds) as (opener, watch):
        try:
            try:
                response: Any = opener.open(request, timeout=seconds)
            except HTTPError as error:  # a status that urllib takes for a failure is an answer too
                response = error
            with response:
                body = _read_body(response, end)
                names = {name.lower(): value for name, value in response.headers.items()}
            if watch.expired:  # what was shut down looks like a body or a head that has ended
                raise TimeoutError
            return Reply(int(response.status), names, body)
        except (OSError, http.client.HTTPException) as error:
            if watch.expired or isinstance(error, TimeoutError):
                raise DeadlineError(f"no complete answer within {seconds:.0f} s") from None
            raise


def _read_body(response: Any, end: float) -> bytes:
    """The whole body, read in pieces so that neither its length nor its pace is trusted."""
    parts, size = list[bytes](), 0
    while part := response.read1(_CHUNK):
        parts.append(part)
        size += len(part)
        if size > LARGEST_BODY:
            raise ValueError(f"an answer of more than {LARGEST_BODY} bytes")
        if time.monotonic() > end:
            raise TimeoutError
    # http.client takes a connection that breaks off for the end of a body
    declared = response.headers.get("Content-Length", "")
    if declared.isdecimal() and int(declared) > size:
        raise http.client.IncompleteRead(b"".join(parts), int(declared) - size)
    return b"".join(parts)


@dataclass(frozen=True)
class Secret:
    """A key that is sent to a server and shown to nobody, in none of the forms it may come back."""

    key: str = field(default="", repr=False)

    def hide_in_message(self, text: str) -> str:
        """``text`` without the key; to be called before a text is cut, or half of it remains."""
        return self._hide(text, 1)

    def hide_in_answer(self, text: str) -> str:
        """The same for a text that a model wrote, where a very short key may be a word."""
        return self._hide(text, _SHORTEST_SECRET_IN_TEXTS)

    def _hide(self, text: str, shortest: int) -> str:
        if len(self.key) < shortest:
            return text
        # the longest forms first, so that no form is hidden in part by a shorter one within it
        for form in sorted(self._forms(), key=len, reverse=True):
            text = text.replace(form, "(the key)")
        return text

    def _forms(self) -> set[str]:
        """The key as it may be echoed: plain, quoted for JSON, Python, URLs or HTML, in base64."""
        raw = self.key.encode()
        forms = {self.key, json.dumps(self.key)[1:-1], repr(self.key)[1:-1]}
        forms |= {quote(self.key, safe=""), quote_plus(self.key), escape(self.key)}
        # base64 of a header that holds the key begins at any of three alignments of the key
        for before in ("", "x", "xx"):
            start = -(-len(before) * 4 // 3)
            for encode in (base64.b64encode, base64.urlsafe_b64encode):
                encoded = encode(before.encode() + raw).decode().rstrip("=")
                inner = encoded[start:-1]  # the last character depends on what follows the key
                if len(inner) >= _SHORTEST_SECRET_IN_TEXTS:
                    forms.add(inner)
        return forms | {raw.hex(), raw.hex().upper()}
