"""A suite's table for an endpoint, checked before the first request."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from parabench.contracts import Decoding, UserError

OPTIONAL_PARAMETERS = ("temperature", "top_p", "seed")
"""What a suite may leave out of the request, for servers that refuse it."""


def check_decoding(decoding: Decoding) -> None:
    """Refuse, with UserError, what the protocol has no parameter for."""
    plain = Decoding()
    for name in ("num_beams", "repetition_penalty", "no_repeat_ngram_size", "top_k"):
        asked_for = getattr(decoding, name)
        if asked_for == getattr(plain, name):
            continue
        asked = f"use {name} with an endpoint"
        found = "the protocol has no such setting"
        raise UserError(asked, found, mend=f"leave {name} out")


def check_numbers(given: Mapping[str, Any]) -> None:
    """Refuse, with UserError, numbers with which no run could end.

    These are NaN, infinities, negative ones, and no deadline.
    """
    lowest = {"rate": 0.0, "concurrency": 1.0, "deadline": 1.0}
    for name, least in lowest.items():
        value = float(given[name])
        # a comparison with NaN is false, so it would pass the second of these alone
        if not math.isfinite(value) or value < least:
            asked = f"use {name} = {given[name]} for endpoint"
            found = f"it must be a number of at least {least:g}"
            raise UserError(asked, found)
    concurrency = given["concurrency"]
    if float(concurrency) != int(concurrency):
        asked = f"use concurrency = {concurrency} for endpoint"
        found = "it must be a whole number of requests"
        raise UserError(asked, found)


def left_out_parameters(text: str) -> tuple[str, ...]:
    """The parameters in a list with commas; raises UserError for one that must be sent."""
    names: list[str] = []
    for part in text.split(","):
        name = part.strip()
        if not name:
            continue
        if name not in OPTIONAL_PARAMETERS:
            asked = f"leave {name!r} out of requests"
            raise UserError(asked, "not optional", OPTIONAL_PARAMETERS)
        names.append(name)
    return tuple(names)


def checked_address(url: str) -> str:
    """The address of an endpoint without a slash at its end.

    Raises UserError where it is no http or https address, and where it holds a name or a password.
    """
    # a name and a password in an address would be shown wherever the address is
    if not url.startswith(("http://", "https://")) or "@" in url:
        mend = 'url = "http://localhost:8000/v1"'
        raise UserError("use the endpoint", f"url = {url!r}", mend=mend)
    return url.rstrip("/")


def checked_key(key: str) -> str:
    """The key without the line break that a file or a shell puts at its end.

    Raises UserError, in which the key is not shown, where it cannot be the value of a header.
    """
    stripped = key.strip()
    # the printable characters of ASCII but the space: what a header's value may hold anywhere
    printable = all("!" <= character <= "~" for character in stripped)
    if not printable:
        found = "it has blanks, line breaks or other characters that no header may hold"
        raise UserError("use PARABENCH_API_KEY", found, mend="set it to the key alone")
    return stripped
