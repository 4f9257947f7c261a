"""What a chat completion says: a paraphrase, nothing that counts as one, or a failure.

Servers put much beside the text that was asked for: thoughts, a preamble, a refusal, a notice of
their filter, an error under status 200. What is no answer is never taken for one: such a row has no
text, and its reason is kept, shown and counted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from parabench.contracts import Paraphrase

from .answer_lines import answer_line, is_refusal
from .server_errors import FinalError, NoChoicesError, PassingError, error_of

_MOST_TOKENS = 1 << 40
"""More tokens than any answer has: what a server counts beyond is no count."""

_WORDS_OF_ERRORS = {"message", "msg", "detail", "code", "error_msg", "error_code"}
"""Names under which servers that answer 200 to everything say what is wrong."""
LONGEST_ANSWER = 16 * 1024
"""Characters of an answer that are kept at most; more is a loop, and more than a file may hold."""

# What different servers call an end that the model chose itself.
ENDED = frozenset({"stop", "eos", "eos_token", "end_turn", "stop_sequence", "completed"})
FILTERED = frozenset(
    [
        *("content_filter", "content-filter", "content_filtered", "safety", "recitation"),
        *("blocklist", "prohibited_content", "spii", "sensitive", "refusal", "moderation"),
        "guardrail_intervened",
    ]
)
# What a server calls an answer that it broke off itself: no text, and no end of the model's.
BROKEN_OFF = frozenset(
    [
        *("error", "abort", "aborted", "cancelled", "canceled"),
        *("network_error", "insufficient_system_resource"),
    ]
)

# A stream may come under any content type; it begins with a field or a comment, as no JSON does.
_EVENT = re.compile(r"\s*(:|data:|event:|id:|retry:)")


@dataclass(frozen=True)
class Choice:
    """One text of an answer, or the ``reason`` why there is none."""

    text: str
    finished: bool = True
    reason: str = ""


def parse_body(body: bytes, content_type: str) -> Any:
    """The JSON value of a body, or the same put together from a stream of server-sent events.

    Raises PassingError where it is neither.
    """
    # some servers write a byte order mark, which JSON does not have
    text = body.decode("utf-8-sig", "replace")
    if "event-stream" in content_type or _EVENT.match(text):
        return _from_events(text)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PassingError(f"{type(error).__name__}: a body that is no JSON") from None


def _from_events(text: str) -> dict[str, Any]:
    """One answer from ``data:`` lines, each of which adds to the choices before it."""
    merged: dict[str, Any] = {"choices": []}
    choices: dict[int, dict[str, Any]] = {}
    for line in text.splitlines():
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:")
        if data.strip() in ("", "[DONE]"):
            continue
        event = _parse_event(data)
        for name in ("error", "usage"):
            if event.get(name):
                merged[name] = event[name]
        for part in event.get("choices") or ():
            if isinstance(part, dict):
                _add_delta(choices, part)
    merged["choices"] = [choices[index] for index in sorted(choices)]
    return merged


def _parse_event(data: str) -> dict[str, Any]:
    try:
        event = json.loads(data)
    except (ValueError, RecursionError):
        raise PassingError("an event of a stream that is no JSON") from None
    if not isinstance(event, dict):
        raise PassingError("an event of a stream that is no object")
    return event


def _add_delta(choices: dict[int, dict[str, Any]], part: dict[str, Any]) -> None:
    """Add what one event brings of one choice to what came of it before."""
    index = part.get("index", 0)
    if not isinstance(index, int):
        index = 0
    choice = choices.setdefault(index, {"message": {}, "finish_reason": None})
    if part.get("finish_reason"):
        choice["finish_reason"] = part["finish_reason"]
    delta = part.get("delta") or part.get("message")
    if not isinstance(delta, dict):
        return
    message = choice["message"]
    for name, value in delta.items():
        if name == "content" and isinstance(value, list):
            value = _joined_parts(value)
        if isinstance(value, str):
            # texts come in pieces, of a refusal or of thoughts as of the answer
            message[name] = (message.get(name) or "") + value
        elif value:
            message[name] = value


def read_answer(answer: Any, source: str, samples: int) -> Paraphrase:
    """The paraphrase in a parsed answer, at position 0; a row without one has its reason.

    ``samples`` choices are read; ``source`` tells a preamble from a paraphrase that looks like one.

    Raises PassingError where the answer has no choices, FinalError or PassingError where it is an
    error under status 200, and FinalError where it has fewer choices than ``samples``.
    """
    if not isinstance(answer, dict):
        raise PassingError("an answer that is no object")
    if answer.get("error"):
        raise error_of(200, answer, {})
    has_choices = "choices" in answer
    if not has_choices and _WORDS_OF_ERRORS & answer.keys():
        raise error_of(200, answer, {})
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices:
        raise NoChoicesError("an answer without choices")
    if len(choices) < samples:
        raise FinalError("fewer choices than n asks for")

    read = [_read_choice(choice, source) for choice in choices[:samples]]
    texts = tuple(one.text for one in read)
    reasons = [one.reason for one in read if one.reason]
    # Samples may lack a text for one and the same reason, which is told once.
    each_once = dict.fromkeys(reasons)
    tokens = _tokens(answer.get("usage"))
    return Paraphrase(
        0,
        texts[0],
        read[0].finished,
        tokens,
        samples=texts if samples > 1 else (),
        reason="; ".join(each_once),
    )


def _tokens(usage: Any) -> tuple[int, int] | None:
    """Tokens read and written; None where the server does not say so in whole numbers."""
    if not isinstance(usage, dict):
        return None
    read = usage.get("prompt_tokens", 0)
    written = usage.get("completion_tokens", 0)
    for count in (read, written):
        if not isinstance(count, int) or not 0 <= count < _MOST_TOKENS:
            return None
    return read, written


def _read_choice(choice: Any, source: str) -> Choice:
    """One choice: its paraphrase, or why it holds none."""
    if not isinstance(choice, dict):
        return _none("a choice without a message")
    if choice.get("error"):
        # of proxies, whose own server behind them failed
        raise error_of(200, {"error": choice["error"]}, {})
    message = choice.get("message")
    if not isinstance(message, dict):
        return _none("a choice without a message")
    ending = choice.get("finish_reason")
    if not isinstance(ending, str):
        ending = ""
    kind = ending.lower()
    if kind in FILTERED:
        named = "" if kind == "content_filter" else f" ({ending})"
        return _none(f"content_filter{named}")
    if kind in BROKEN_OFF:
        raise PassingError(f"an answer that the server broke off: {ending}")
    if message.get("refusal"):
        return _none(f"refusal: {message['refusal']}")
    content = message.get("content")
    if isinstance(content, list):
        content = _joined_parts(content)
    if not content:
        return _none(_why_empty(message, ending))
    if not isinstance(content, str):
        return _none("content that is no text")
    return _read_content(content, source, has_ended=kind in ENDED)


def _read_content(content: str, source: str, has_ended: bool) -> Choice:
    """The paraphrase in a text that is not empty, or why it holds none."""
    # JSON can hold half of a character beyond the basic plane; no file of UTF-8 can
    halved = any("\ud800" <= character <= "\udfff" for character in content)
    if halved:
        return _none("half a surrogate pair in the text")
    line, follows = answer_line(content, source)
    if not line:
        is_blank = not content.strip()
        return _none("an empty text" if is_blank else "thoughts without an answer")
    if len(line) > LONGEST_ANSWER:
        return _none(f"an answer of {len(line):,} characters")
    if is_refusal(line, source):
        return _none(f"refusal: {line}")
    # a line that another line follows has ended, even if the server cut what comes after it
    return Choice(line, finished=follows or has_ended)


def _none(reason: str) -> Choice:
    in_one_line = " ".join(reason.split())
    # a server's words may hold half a character, which no file can
    writable = in_one_line.encode("utf-8", "replace").decode()
    return Choice("", finished=False, reason=writable)


def _joined_parts(parts: Sequence[Any]) -> str:
    """The text of a content that comes in parts; parts of other types (images, audio) have none."""
    texts = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict) and part.get("type") in ("text", "output_text", None):
            inner = part.get("text")
            if isinstance(inner, dict):
                inner = inner.get("value")
            if isinstance(inner, str):
                texts.append(inner)
    return "".join(texts)


def _why_empty(message: Mapping[str, Any], ending: Any) -> str:
    """The reason of a choice without any text."""
    if message.get("tool_calls") or message.get("function_call"):
        return "a tool call in place of a text"
    if message.get("reasoning_content") or message.get("reasoning"):
        limit = " before the limit of new tokens" if ending == "length" else ""
        return f"thoughts without an answer{limit}"
    return "an empty text"
