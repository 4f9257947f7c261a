"""One exchange ends by its deadline whatever the server does, and no form of a key is shown."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parabench.baselines.exchange import LARGEST_BODY, DeadlineError, Secret, post_json

pytestmark = pytest.mark.loopback
Act = Callable[[socket.socket], None]


@contextmanager
def server(act: Act) -> Iterator[str]:
    """A server that does one thing to each connection, after it has read the request's head."""
    listening = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def one(connection: socket.socket) -> None:
        with connection:
            connection.recv(65536)
            try:
                act(connection)
                over.wait(0.05)
                # closed with the request unread, it would be reset and the answer lost
                connection.setblocking(False)
                while connection.recv(65536):
                    pass
            except OSError:
                return  # the client has shut it down, as it should

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    over.set()
    listening.close()


def drip(data: bytes, again: bytes = b"") -> Act:
    """Send ``data`` byte by byte, then ``again`` for ever: no single read ever waits long."""

    def act(connection: socket.socket) -> None:
        for place in range(len(data)):
            connection.sendall(data[place : place + 1])
            time.sleep(0.02)
        while again:
            connection.sendall(again)
            time.sleep(0.02)
        time.sleep(30)

    return act


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "act",
    [
        drip(b""),  # nothing at all
        drip(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a"),
        drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        drip(HEAD + b"Content-Length: 1000000\r\n\r\n", b" "),
        drip(HEAD + b"\r\n", b" "),  # a body without a length
        drip(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;extension=", b"x"),
        drip(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        drip(HEAD.replace(b"200 OK", b"503 Busy") + b"Content-Length: 9999\r\n\r\n", b" "),
    ],
    ids=["silence", "headers", "continues", "body", "endless", "extension", "chunks", "error"],
)
def test_a_slow_server_is_left_at_the_deadline(act: Act) -> None:
    # without a watchdog this would never end
    with server(act) as url, pytest.raises(DeadlineError, match="within 1 s"):
        post_json(url, {}, {}, 1.0)


def test_an_answer_of_any_status_is_a_reply() -> None:
    def act(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 418 Tea\r\nX-A: b\r\nContent-Length: 2\r\n\r\nhi")

    with server(act) as url:
        reply = post_json(url, {}, {}, 20.0)
    assert (reply.status, reply.body, reply.headers["x-a"]) == (418, b"hi", "b")


def test_a_body_without_end_is_not_read_to_its_end() -> None:
    def act(connection: socket.socket) -> None:
        connection.sendall(HEAD + b"\r\n" + b"9" * (LARGEST_BODY + 100_000))

    with server(act) as url, pytest.raises(ValueError, match="more than"):
        post_json(url, {}, {}, 60.0)


KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=12, max_size=60)


@given(KEYS, st.binary(max_size=7), st.binary(max_size=7))
def test_no_form_of_a_key_is_shown(key: str, before: bytes, after: bytes) -> None:
    encoded = base64.b64encode(before + key.encode() + after).decode()
    forms = [key, json.dumps(key), repr(key), quote(key, safe=""), escape(key), encoded]
    forms += [key.encode().hex(), base64.urlsafe_b64encode(before + key.encode() + after).decode()]
    for form in forms:
        shown = Secret(key).hide_in_message(f"it said {form} to us")
        assert "(the key)" in shown
        assert key not in shown


def test_a_short_key_is_hidden_in_messages_only() -> None:
    assert Secret("EMPTY").hide_in_answer("the EMPTY room") == "the EMPTY room"
    assert Secret("EMPTY").hide_in_message("EMPTY is wrong") == "(the key) is wrong"
    assert Secret("").hide_in_message("nothing to hide") == "nothing to hide"
    assert "sk-" not in repr(Secret("sk-very-secret"))
