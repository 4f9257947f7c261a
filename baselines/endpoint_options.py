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
        if getattr(decoding, name) != getattr(plain, name):
            found = "the protocol has no such setting"
            raise UserError(f"use {name} with an endpoint", found, mend=f"leave {name} out")


def check_numbers(given: Mapping[str, Any]) -> None:
    """Refuse numbers with which no run could end: NaN, infinities, negative ones, no deadline."""
    lowest = {"rate": 0.0, "concurrency": 1.0, "deadline": 1.0}
    for name, least in lowest.items():
        value = float(given[name])
        if not math.isfinite(value) or value < least:
            found = f"it must be a number of at least {least:g}"
            raise UserError(f"use {name} = {given[name]} for endpoint", found)
    if float(given["concurrency"]) != int(given["concurrency"]):
        found = "it must be a whole number of requests"
        raise UserError(f"use concurrency = {given['concurrency']} for endpoint", found)


def left_out_parameters(text: str) -> tuple[str, ...]:
    """The parameters in a list with commas; raises UserError for one that must be sent."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in OPTIONAL_PARAMETERS:
            raise UserError(f"leave {name!r} out of requests", "not optional", OPTIONAL_PARAMETERS)
    return names


def checked_key(key: str) -> str:
    """The key without the line break that a file or a shell puts at its end.

    Raises UserError, in which the key is not shown, where it cannot be the value of a header.
    """
    stripped = key.strip()
    if not all("!" <= character <= "~" for character in stripped):
        found = "it has blanks, line breaks or other characters that no header may hold"
        raise UserError("use PARABENCH_API_KEY", found, mend="set it to the key alone")
    return stripped
