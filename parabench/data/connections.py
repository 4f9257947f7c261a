"""HTTP connections that a watchdog ends, and downloads over https alone.

A socket's timeout bounds one read, not an exchange: a server that sends a byte a second, or one
``100 Continue`` after the other, never lets it expire. So a watchdog shuts the connections down
when the time is over, and whatever waits on them returns with an error.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from functools import partial
from http.client import HTTPException, HTTPMessage, HTTPResponse
from typing import IO, Any
from urllib.error import URLError
from urllib.request import (
    BaseHandler,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    Request,
    build_opener,
)

_IDLE_SECONDS = 60.0
"""How long a server may take for its headers, or to send ``_SLOWEST_BYTES``."""
_SLOWEST_BYTES = 4096


class Watchdog:
    """Shuts the connections of one exchange down after ``seconds``, from another thread."""

    def __init__(self, seconds: float) -> None:
        """Begin to count."""
        self.seconds = seconds
        self.expired = False
        self._sockets: list[socket.socket] = []
        self._timer = self._started()

    def _started(self) -> threading.Timer:
        timer = threading.Timer(self.seconds, self._expire)
        timer.daemon = True
        timer.start()
        return timer

    def renew(self) -> None:
        """Count from the start again."""
        self._timer.cancel()
        self._timer = self._started()

    def close(self) -> None:
        """Stop counting; the connections are left to whoever opened them."""
        self._timer.cancel()
        for one in self._sockets:
            one.close()

    def handlers(self) -> tuple[BaseHandler, BaseHandler]:
        """Handlers for an opener of ``urllib.request``, whose connections this one ends."""
        return _WatchedHTTP(self), _WatchedHTTPS(self)

    def connect(self, *arguments: Any, **named: Any) -> socket.socket:
        """Open a connection as ``socket.create_connection`` does, and keep a handle on it.

        The handle is a duplicate, because TLS takes the descriptor of the original over.
        """
        opened = socket.create_connection(*arguments, **named)
        self._sockets.append(opened.dup())
        return opened

    def _expire(self) -> None:
        self.expired = True
        for one in self._sockets:
            with contextlib.suppress(OSError):  # it may have been closed by the server
                one.shutdown(socket.SHUT_RDWR)


def _watched(
    kind: type[http.client.HTTPConnection],
    watchdog: Watchdog,
    *args: Any,
    **named: Any,
) -> Any:
    """A connection of ``kind`` that opens its sockets through ``watchdog``."""
    connection = kind(*args, **named)
    connection._create_connection = watchdog.connect  # type: ignore[attr-defined]
    return connection


class _WatchedHTTP(HTTPHandler):
    def __init__(self, watchdog: Watchdog) -> None:
        super().__init__()
        self._watchdog = watchdog

    def http_open(self, req: Request) -> Any:
        return self.do_open(partial(_watched, http.client.HTTPConnection, self._watchdog), req)


class _WatchedHTTPS(HTTPSHandler):
    def __init__(self, watchdog: Watchdog) -> None:
        super().__init__()
        self._watchdog = watchdog

    def https_open(self, req: Request) -> Any:
        return self.do_open(partial(_watched, http.client.HTTPSConnection, self._watchdog), req)


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
        """The request to ``newurl``; raises URLError where that is not https.

        ``req``, ``fp``, ``code``, ``msg`` and ``headers`` are those of the answer that redirects.
        """
        if not newurl.startswith("https://"):
            raise URLError(f"redirected to {newurl.split('?')[0]}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class TransferError(Exception):
    """Why a download ends: the network or the server, and never the disk."""


class WatchedResponse:
    """An answer whose body must keep coming: ``_SLOWEST_BYTES`` in ``_IDLE_SECONDS``."""

    def __init__(self, response: HTTPResponse, watchdog: Watchdog) -> None:
        """Wrap an answer whose headers are there."""
        self.status = response.status
        self.headers = response.headers
        self._response = response
        self._watchdog = watchdog
        self._counted = 0  # bytes since the watchdog began to count
        watchdog.renew()

    def read1(self, size: int) -> bytes:
        """What has come of the body, at most ``size`` bytes; empty at its end.

        Raises TransferError where it comes too slowly.
        """
        try:
            block = self._response.read1(size)
        except (OSError, HTTPException):
            if not self._watchdog.expired:
                raise
            block = b""
        # a connection that was shut down looks like a body that has ended
        if self._watchdog.expired:
            seconds = self._watchdog.seconds
            raise TransferError(f"fewer than {_SLOWEST_BYTES:,} bytes in {seconds:.0f} seconds")
        self._counted += len(block)
        if self._counted >= _SLOWEST_BYTES:
            self._watchdog.renew()
            self._counted = 0
        return block

    def __enter__(self) -> WatchedResponse:
        return self

    def __exit__(self, *_: object) -> None:
        self._watchdog.close()
        self._response.close()


def open_https(request: Request) -> WatchedResponse:
    """Send a request, and follow redirects to https addresses.

    Raises TransferError where the headers of the answer do not come within ``_IDLE_SECONDS``, and
    URLError or HTTPException where it fails otherwise.
    """
    watchdog = Watchdog(_IDLE_SECONDS)
    opener = build_opener(HttpsRedirects, *watchdog.handlers())
    try:
        return WatchedResponse(opener.open(request, timeout=_IDLE_SECONDS), watchdog)
    except (OSError, HTTPException):
        watchdog.close()
        if watchdog.expired:
            raise TransferError(f"no answer within {_IDLE_SECONDS:.0f} seconds") from None
        raise
