"""Ways in which a server answers otherwise than asked, and what each must come to.

Every mode is a server on this machine that does one thing to each connection. Asked for a sentence
within a deadline of two seconds, the endpoint ends in time with a paraphrase, with a row that is
unanswered and says why, or with a message to the user; and the key is in none of these.
"""

from __future__ import annotations

import json
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from parabench.contracts import BuildContext, UserError
from tests.baselines.test_exchange import Act, server

KEY = "sk-a-key-that-nobody-may-read"
TEXT = "In April the old farmer sold the horse."
SOURCE = "The old farmer sold the horse in April."
DEADLINE, LATEST = 2.0, 20.0
"""Seconds that are given, and after which an end is late: other work may take the processor."""


def sent(data: bytes) -> Act:
    """Send these bytes, then close."""
    return lambda connection: connection.sendall(data)


def reply(status: int, body: Any, *headers: str) -> Act:
    """An answer with a body of JSON, or of these bytes."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Status", *headers, f"Content-Length: {len(data)}", "", ""]
    return sent("\r\n".join(lines).encode() + data)


def chat(content: Any, ending: Any = "stop", **message: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"content": content, **message}, "finish_reason": ending}]}


def error(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


def dripping(head: bytes, again: bytes) -> Act:
    """A head, then a few bytes for ever."""

    def act(connection: socket.socket) -> None:
        connection.sendall(head)
        for _ in range(2000):
            connection.sendall(again)
            time.sleep(0.02)

    return act


def events(*parts: Any) -> bytes:
    lines = [f"data: {json.dumps(part)}\n\n" for part in parts]
    return "".join([*lines, "data: [DONE]\n\n"]).encode()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
LATE = "Wed, 21 Oct 2099 07:28:00 GMT"
PLAIN = json.dumps(chat(TEXT)).encode()
ANSWER, UNANSWERED, MESSAGE = "a paraphrase", "unanswered with its reason", "a message"

MODES: dict[str, tuple[Act, str]] = {
    # what is a paraphrase
    "a plain answer": (reply(200, chat(TEXT)), ANSWER),
    "thoughts before it": (reply(200, chat(f"<think>hm\nso</think>\n{TEXT}")), ANSWER),
    "thoughts beside it": (reply(200, chat(TEXT, reasoning_content="so")), ANSWER),
    "a preamble": (reply(200, chat(f"Here is a paraphrase:\n\n{TEXT}")), ANSWER),
    "in parts": (reply(200, chat([{"type": "text", "text": TEXT}])), ANSWER),
    "as a stream": (
        reply(200, events({"choices": [{"delta": {"content": TEXT}}]}),
              "Content-Type: text/event-stream"),
        ANSWER,
    ),
    "in chunks": (
        sent(CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (len(PLAIN), PLAIN)),
        ANSWER,
    ),
    "without a length": (sent(HEAD + b"\r\n" + PLAIN), ANSWER),
    "odd token counts": (
        reply(200, PLAIN[:-1] + b',"usage":{"prompt_tokens":1e999}}'),
        ANSWER,
    ),
    "behind a byte order mark": (reply(200, b"\xef\xbb\xbf" + PLAIN), ANSWER),
    "thoughts in other marks": (reply(200, chat(f"[THINK]so[/THINK]{TEXT}")), ANSWER),
    "a label before it": (reply(200, chat(f"Paraphrase: {TEXT}")), ANSWER),
    "status 201": (reply(201, chat(TEXT)), ANSWER),
    # what is no answer to this sentence
    "nothing": (reply(200, chat(None)), UNANSWERED),
    "an empty text": (reply(200, chat("")), UNANSWERED),
    "filtered at the end": (reply(200, chat(None, "content_filter")), UNANSWERED),
    "filtered as 400": (reply(400, error("no", code="content_filter")), UNANSWERED),
    "filtered as 403": (reply(403, error("no", type="content_policy_violation")), UNANSWERED),
    "filtered as 200": (reply(200, error("no", code="content_filter")), UNANSWERED),
    "a refusal": (reply(200, chat(None, refusal="I can't")), UNANSWERED),
    "a refusal in words": (reply(200, chat("I'm sorry, but I can't help with that.")), UNANSWERED),
    "thoughts alone": (reply(200, chat("<think>and so", "length")), UNANSWERED),
    "a tool call": (reply(200, chat(None, "tool_calls", tool_calls=[{}])), UNANSWERED),
    "half a character": (reply(200, PLAIN.replace(b"horse", b"\\ud800")), UNANSWERED),
    "a text beyond all files": (reply(200, chat("word " * 9000)), UNANSWERED),
    "a number as text": (reply(200, chat(7)), UNANSWERED),
    "too long for the model": (reply(400, error("x", code="context_length_exceeded")), UNANSWERED),
    "no message in a choice": (reply(200, {"choices": ["text"]}), UNANSWERED),
    "empty choices": (reply(200, {"choices": []}), UNANSWERED),
    "a refusal in other words": (reply(200, chat("Sorry, but I can't do that.")), UNANSWERED),
    "a refusal in Chinese": (reply(200, chat("抱歉，我无法提供帮助。")), UNANSWERED),
    "a refusal as its ending": (reply(200, chat("I am", "refusal")), UNANSWERED),
    "sensitive, as its ending": (reply(200, chat("In", "sensitive")), UNANSWERED),
    "inspected and refused": (
        reply(400, error("no", code="data_inspection_failed")), UNANSWERED
    ),
    "moderated as 403": (
        reply(403, error("Your input requires moderation")), UNANSWERED
    ),
    "too large a request": (reply(413, b"<html>too large"), UNANSWERED),
    "beyond the context": (
        reply(400, error("no", type="exceed_context_size_error")), UNANSWERED
    ),
    "a channel of thoughts alone": (
        reply(200, chat("<|channel|>analysis<|message|>So the", "length")), UNANSWERED
    ),
    # what ends the run with a message, at once or at the deadline
    "a wrong key": (reply(401, error(f"the key {KEY} is wrong")), MESSAGE),
    "no such model": (reply(404, error("no such model")), MESSAGE),
    "no credit": (reply(429, error("no credit", code="insufficient_quota")), MESSAGE),
    "busy": (reply(429, error("slow down"), "Retry-After: 1.5"), MESSAGE),
    "a pause until a date": (reply(503, b"", f"Retry-After: {LATE}"), MESSAGE),
    "a pause of milliseconds": (reply(503, b"", "Retry-After-Ms: 900"), MESSAGE),
    "status 520": (reply(520, b"<html>error code: 520</html>"), MESSAGE),
    "status 529": (reply(529, error("overloaded", type="overloaded_error")), MESSAGE),
    "an error with status 200": (reply(200, error("worker died", code=503)), MESSAGE),
    "a redirect": (reply(307, b"", "Location: http://127.0.0.1:9/stolen"), MESSAGE),
    "a refused temperature": (reply(400, error("not 0", param="temperature")), MESSAGE),
    "the limit refused for ever": (reply(400, error("no", param="max_tokens")), MESSAGE),
    "an error within a choice": (
        reply(200, {"choices": [{"error": {"message": "died", "code": 502},
                                 "finish_reason": "error", "message": {"content": "In"}}]}),
        MESSAGE,
    ),
    "broken off by the server": (reply(200, chat("In April the", "abort")), MESSAGE),
    "words without an error": (reply(200, {"code": 429, "msg": "too many requests"}), MESSAGE),
    "a detail without an error": (reply(200, {"detail": "Not Found"}), MESSAGE),
    "a web page": (reply(200, b"<html>"), MESSAGE),
    "no bytes": (reply(200, b""), MESSAGE),
    "half of it": (sent(HEAD + b"Content-Length: 900\r\n\r\n{\"choices\""), MESSAGE),
    "brackets without end": (reply(200, b"[" * 100_000), MESSAGE),
    "a body of two megabytes": (sent(HEAD + b"\r\n" + b"9" * (2 << 20)), MESSAGE),
    "no HTTP at all": (sent(b"SSH-2.0-OpenSSH\r\n"), MESSAGE),
    "closed at once": (lambda connection: None, MESSAGE),
    "a head without end": (dripping(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a"), MESSAGE),
    "continues for ever": (dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), MESSAGE),
    "a body without end": (dripping(HEAD + b"\r\n", b" "), MESSAGE),
    "chunks without end": (
        dripping(CHUNKED, b"1\r\n \r\n"), MESSAGE
    ),
    "silence": (dripping(b"", b""), MESSAGE),
    "a wrong length of a chunk": (
        sent(CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n"), MESSAGE
    ),
    "a broken body behind a 500": (reply(500, b"\xff\xfe{\x00"), MESSAGE),
}  # fmt: skip
"""What a server does, and what becomes of the row."""


def outcome(act: Act) -> tuple[str, str, float]:
    """What one sentence comes to, everything that is said of it, and the seconds it took."""
    from parabench.baselines.endpoint import build_endpoint

    with server(act) as url:
        options: dict[str, Any] = {"url": url, "model": "served", "deadline": DEADLINE}
        system = build_endpoint("", BuildContext(options=options, key=KEY))
        begin = time.monotonic()
        try:
            (batch,) = system.paraphrase([SOURCE])
        except UserError as refused:
            return MESSAGE, str(refused), time.monotonic() - begin
        (answer,) = batch
    seconds = time.monotonic() - begin
    if answer.text == TEXT:
        return ANSWER, repr(answer), seconds
    if not answer.text and not answer.finished and answer.reason:
        return UNANSWERED, answer.reason, seconds
    return "another text", repr(answer), seconds


def problems(name: str) -> Iterator[str]:
    """What is wrong with what a mode comes to."""
    act, expected = MODES[name]
    found, said, seconds = outcome(act)
    if found != expected:
        yield f"{name}: {found} and not {expected}: {said[:200]}"
    if KEY[:6] in said:
        yield f"{name}: shows the key"
    if seconds > LATEST:
        yield f"{name}: took {seconds:.0f} s"


def counted(
    names: Sequence[str] = tuple(MODES), say: Callable[[str], object] = print
) -> Counter[str]:
    """How many modes come to what, and how many to something wrong."""
    tally = Counter[str]()
    for name in names:
        found = list(problems(name))
        for problem in found:
            say(problem)
        tally[MODES[name][1] if not found else "wrong"] += 1
    return tally
