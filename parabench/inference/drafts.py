"""Drafts of the next tokens, looked up in what a row holds already: paraphrases copy their source.

A step that feeds a draft behind a row's last token computes what the model writes behind each of
its tokens. The draft is kept as far as it is what the model writes, so the text is the same, in
fewer steps (Saxena 2023, Prompt Lookup Decoding). It pays where few rows are in flight: weights are
then read for few tokens, and a few more cost little.
"""

from __future__ import annotations

from collections.abc import Sequence

DRAFT_TOKENS = 5
"""Tokens of a draft at most. Twice as many are right as often as they cost more."""
DRAFTED_ROWS = {"cpu": 8, "cuda": 32}
"""Rows in flight up to which drafts are tried, by kind of device."""
_MATCHED = 2
"""Tokens that are looked up. One alone is found too often where nothing is copied."""


def draft(ids: Sequence[int], most: int) -> list[int]:
    """What followed the last two of ``ids`` where they stood together before, the last time.

    At most ``most`` tokens, and none where they are new. Negative ids, which stand for virtual
    tokens, are never drafted.
    """
    tail = list(ids[-_MATCHED:])
    for start in range(len(ids) - _MATCHED - 1, -1, -1):
        if list(ids[start : start + _MATCHED]) == tail:
            begin = start + _MATCHED
            return _written(ids[begin : begin + most])
    return []


def _written(ids: Sequence[int]) -> list[int]:
    """The ids before the first virtual one."""
    found = []
    for token in ids:
        if token < 0:
            break
        found.append(token)
    return found
