"""The rule that a column must earn: on this data, a person beats every sentinel, or the column does
not rank.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan

from parabench.contracts import Column


def columns_beaten_by_sentinels(
    columns: Sequence[Column], human: Sequence[float], sentinels: Mapping[str, Sequence[float]]
) -> dict[str, tuple[str, ...]]:
    """For every column that is not valid here, the sentinels that it does not put below the human,
    worst offence first.

    Values stand in the order of ``columns``; a tie breaks a column, an undefined sentinel does not,
    and where the human is undefined all sentinels do. Columns that rank nowhere (``better`` is
    none) are left out.
    """
    found = {}
    for place, column in enumerate(columns):
        sign = {"up": 1, "down": -1, "none": 0}[column.better]
        values = {
            name: sign * row[place] for name, row in sentinels.items() if not isnan(row[place])
        }
        bar = sign * human[place]
        offenders = [
            name
            for name in sorted(values, key=lambda name: -values[name])
            if not values[name] < bar
        ]
        if offenders and sign:
            found[column.name] = tuple(offenders)
    return found


def invalid_reason(
    column: Column, human: float, sentinels: Mapping[str, float], offenders: Sequence[str]
) -> str:
    """One line for a reader: ``copy 50.3, near-copy 43.0 are not below human 40.0``."""
    better = "below" if column.better == "up" else "above"
    named = ", ".join(f"{name} {sentinels[name]:.{column.digits}f}" for name in offenders)
    verb = "is" if len(offenders) == 1 else "are"
    return f"{named} {verb} not {better} human {human:.{column.digits}f}"
