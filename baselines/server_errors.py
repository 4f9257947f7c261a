"""What an error of an OpenAI-compatible server means: for this sentence, for now, or for all.

Servers say it by a status, by a code in the body, under status 200, or in words alone.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

_FILTER_WORDS = (
    "content_filter",
    "content_policy",
    "responsibleai",
    "content management policy",
    "content_moderation",
    "data_inspection_failed",
    "datainspectionfailed",
    "flagged by moderation",
    "requires moderation",
    "prohibited_content",
    "guardrail",
)
_LENGTH_WORDS = (
    "context_length_exceeded",
    "string_above_max_length",
    "maximum context length",
    "exceed_context_size",
    "available context size",
    "prompt is too long",
    "input is too long",
)
_PASSING_WORDS = ("rate_limit", "overloaded", "server_error", "timeout", "unavailable")
_QUOTA_WORDS = ("insufficient_quota", "billing")
_QUOTED_PARAMETER = re.compile(r"['\"`](max_tokens|temperature|top_p|seed|n|stream)['\"`]")
_STREAMING = re.compile(r"\bstream(ing)?\b", re.IGNORECASE)
_TOO_LARGE = 413
"""The status of a request whose content is too large: that of this sentence."""


class PassingError(Exception):
    """A failure that may be over at the next try; ``pause``: seconds that the server asks for."""

    def __init__(self, found: str, pause: float = 0.0) -> None:
        super().__init__(found)
        self.pause = pause


class NoChoicesError(PassingError):
    """An answer without any choice: a hiccup, or the way a server refuses this sentence."""


class NoAnswerError(Exception):
    """The server answered, but not with a paraphrase; the message says with what."""


class FinalError(Exception):
    """A failure that no later try and no other sentence would be spared."""


def error_of(status: int, body: Any, headers: Mapping[str, str]) -> Exception:
    """The exception that an error of a server means, with the server's own words as its message.

    ``body`` is its parsed body, or its text where that is no JSON; ``headers`` are by lower-case
    names. NoAnswerError concerns this sentence alone, PassingError may be over at the next try,
    FinalError meets every sentence.
    """
    error = body.get("error", body) if isinstance(body, dict) else body
    inner = error if isinstance(error, dict) else {"message": error}
    words = [inner.get(name) for name in ("message", "detail", "msg", "error_msg")]
    message = str(next(filter(None, words), body))
    said = " ".join(message.split())
    found = said
    if status != 200:
        found = f"HTTP {status}: {said}" if said else f"HTTP {status}"

    # Servers put the kind of an error under many names, so it is looked for in the whole body.
    marks = json.dumps(body, default=str).lower()
    if _names_one_of(_FILTER_WORDS, marks):
        return NoAnswerError(f"content_filter: {said}")
    if status == _TOO_LARGE or _names_one_of(_LENGTH_WORDS, marks):
        return NoAnswerError(f"too long for the model: {said}")
    # A quota that is used up comes as 429 too, but no later try is spared it.
    if _names_one_of(_QUOTA_WORDS, marks):
        return FinalError(found)
    if _may_pass(_status_meant(status, inner)):
        return PassingError(found, pause_asked(headers))
    if status == 200 and _names_one_of(_PASSING_WORDS, marks):
        return PassingError(found, pause_asked(headers))
    return FinalError(found)


def _names_one_of(words: Sequence[str], marks: str) -> bool:
    return any(word in marks for word in words)


def _status_meant(status: int, error: Mapping[str, Any]) -> int:
    """The status in the error itself, where it has one, as proxies answer 200 or 400 for any."""
    code = str(error.get("code", status))
    if code.isdecimal() and len(code) == 3:
        return int(code)
    return status


def _may_pass(status: int) -> bool:
    """Whether a later try may succeed (RFC 9110, section 15)."""
    if status in (408, 409, 425, 429):
        return True
    # of the server's errors two are for good: not implemented, and the version of HTTP
    return status >= 500 and status not in (501, 505)


def refused_parameter(body: Any) -> str:
    """The parameter of the request that an error is about, or an empty text."""
    error = body.get("error", body) if isinstance(body, dict) else {}
    if not isinstance(error, dict):
        return ""
    named = error.get("param")
    if isinstance(named, str) and named:
        return named
    # servers without the field quote the name in their message
    said = str(error.get("message") or "")
    quoted = _QUOTED_PARAMETER.search(said)
    if quoted:
        return quoted[1]
    return "stream" if _STREAMING.search(said) else ""


def pause_asked(headers: Mapping[str, str]) -> float:
    """Seconds that a server asks to wait: ``retry-after-ms``, or ``retry-after`` in any form.

    RFC 9110, section 10.2.3: whole seconds or a date; fractions are common. A date is taken
    relative to the server's own ``date``, whose clock may differ from ours. 0 where none is asked.
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    asked = headers.get("retry-after", "")
    seconds = _number(asked)
    if seconds is not None:
        return seconds
    until = _date(asked)
    if until is None:
        return 0.0
    now = _date(headers.get("date", "")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds())


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    # "nan" and "inf" are numbers to Python, and no time to wait
    return value if math.isfinite(value) and value >= 0 else None


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    # a date of HTTP is in UTC, whether it says so or not
    return found if found.tzinfo else found.replace(tzinfo=UTC)
