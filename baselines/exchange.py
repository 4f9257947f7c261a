"""One HTTP exchange that ends by a deadline, whatever the server does, and tells no secret.

``parabench.data.connections`` has the watchdog that shuts the connection down when the deadline has
come.
"""

from __future__ import annotations

import base64
import http.client
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, quote_plus
from urllib.request import HTTPRedirectHandler, OpenerDirector, Request, build_opener

from parabench.data.connections import Watchdog

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


@contextmanager
def _limited(seconds: float) -> Iterator[tuple[OpenerDirector, Watchdog]]:
    """An opener whose connections are shut down after so many seconds."""
    watchdog = Watchdog(seconds)
    try:
        yield build_opener(_NoRedirect, *watchdog.handlers()), watchdog
    finally:
        watchdog.close()


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
    parts = list[bytes]()
    size = 0
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
