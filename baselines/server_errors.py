"""What an error of an OpenAI-compatible server means: for this sentence, for now, or for all.

Servers say it by a status, by a code in the body, under status 200, or in words alone.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

_FILTER_WORDS = ("content_filter", "content_policy", "responsibleai", "content management policy")
_LENGTH_WORDS = ("context_length_exceeded", "string_above_max_length", "maximum context length")
_PASSING_WORDS = ("rate_limit", "overloaded", "server_error", "timeout", "unavailable")
_QUOTA_WORDS = ("insufficient_quota", "billing")


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
    said = " ".join(str(inner.get("message") or body).split())
    marks = f"{json.dumps(body, default=str)}".lower()
    found = (f"HTTP {status}: {said}" if said else f"HTTP {status}") if status != 200 else said

    if any(word in marks for word in _FILTER_WORDS):
        return NoAnswerError(f"content_filter: {said}")
    if any(word in marks for word in _LENGTH_WORDS):
        return NoAnswerError(f"too long for the model: {said}")
    if any(word in marks for word in _QUOTA_WORDS):
        return FinalError(found)
    code = inner.get("code", status)
    numbered = int(code) if str(code).isdecimal() and len(str(code)) == 3 else status
    passing = numbered in (408, 409, 425, 429) or (numbered >= 500 and numbered not in (501, 505))
    if passing or (status == 200 and any(word in marks for word in _PASSING_WORDS)):
        return PassingError(found, pause_asked(headers))
    return FinalError(found)


def refused_parameter(body: Any) -> str:
    """The parameter of the request that an error is about, or an empty text."""
    error = body.get("error", body) if isinstance(body, dict) else {}
    if not isinstance(error, dict):
        return ""
    named = error.get("param")
    said = str(error.get("message") or "")
    if isinstance(named, str) and named:
        return named
    quoted = re.search(r"['\"`](max_tokens|temperature|top_p|seed|n|stream)['\"`]", said)
    if quoted:
        return quoted[1]
    return "stream" if re.search(r"\bstream(ing)?\b", said, re.IGNORECASE) else ""


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
    until, now = _date(asked), _date(headers.get("date", "")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds()) if until else 0.0


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
