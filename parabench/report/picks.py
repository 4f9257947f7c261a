"""Sentences worth reading, picked by rule: the leader's best and worst, and the most disputed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from parabench.contracts import Column
from parabench.render.diff import is_copy, word_diff
from parabench.render.escape import visible
from parabench.report.board import headline_column, main_columns, ordered_rows
from parabench.report.cells import number_text

if TYPE_CHECKING:
    from parabench.report.board import LeaderboardRow
    from parabench.report.pagedata import PageData

PICKS_SHOWN = 2
"""Sentences of each kind."""


@dataclass(frozen=True)
class Pick:
    """A sentence and what a system made of it.

    ``runs`` is the word diff as ``render.diff`` gives it, ``why`` the numbers for which the
    sentence was picked.
    """

    id: str
    source: str
    reference: str
    runs: Sequence[str]
    why: str


@dataclass(frozen=True)
class Picks:
    """The sentences of one ``system``, by kind: the rule that picked them, and they themselves.

    ``ranked`` says whether the system has a rank, or only the first place by its value.
    """

    system: str
    ranked: bool
    kinds: Mapping[str, tuple[str, Sequence[Pick]]]


def picked_sentences(data: PageData) -> Picks | None:
    """The best, worst and most disputed sentences of the first system that has a rank.

    Best and worst are by the headline. Disputed are those that two main columns rank most
    differently among the system's texts. Copies of the source are the worst or nothing: of them
    there is nothing to learn but that they are copies. None without a system that has values.
    """
    column = headline_column(data.board)
    if column is None or column.better == "none":
        return None
    # A system that has no rank, such as one that repeats phrases, may be first by its value alone.
    candidates = sorted(ordered_rows(data.board), key=lambda row: row.rank is None)
    for row in candidates:
        values = np.asarray(data.values.get(row.system, {}).get(column.name, ()), float)
        if not row.control and row.system in data.texts and np.isfinite(values).any():
            return _picks(
                data,
                row,
                column,
                values,
            )
    return None


def _picks(
    data: PageData,
    row: LeaderboardRow,
    column: Column,
    values: Float[np.ndarray, " N"],
) -> Picks:
    system = row.system
    signed = -values if column.better == "down" else values
    # argsort puts NaN last whichever way it sorts, so undefined ones are taken out first.
    ascending = [int(place) for place in np.argsort(signed, kind="stable")]
    defined = [place for place in ascending if np.isfinite(signed[place])]
    defined = [place for place in defined if _text(data, system, place)]
    changed = [place for place in defined if not _is_copied(data, system, place)]

    def picked(place: int) -> Pick:
        value = number_text(float(values[place]), column.digits)
        return _pick(data, system, place, f"{column.name} {value}")

    # Ascending: the best are at the end, the worst at the beginning.
    best = [picked(place) for place in changed[::-1][:PICKS_SHOWN]]
    worst = [picked(place) for place in defined[:PICKS_SHOWN]]
    kinds = {
        "best": (f"most {column.name}, copies left out", best),
        "worst": (f"least {column.name}", worst),
        "disputed": ("two metrics rank it most differently", _disputed(data, system)),
    }
    return Picks(
        system, row.rank is not None, {kind: pair for kind, pair in kinds.items() if pair[1]}
    )


def _disputed(data: PageData, system: str) -> list[Pick]:
    ranks = column_ranks(data, system)
    if len(ranks) < 2:
        return []
    names, table = list(ranks), np.stack(list(ranks.values()))  # [columns, examples]
    complete = np.flatnonzero(np.isfinite(table).all(axis=0))
    spread = np.ptp(table[:, complete], axis=0)
    found: list[Pick] = []
    # Stable: of examples that are as disputed the first in the data is taken, on every machine.
    for place in complete[np.argsort(-spread, kind="stable")]:
        if len(found) == PICKS_SHOWN:
            break
        if not _text(data, system, int(place)) or _is_copied(data, system, int(place)):
            continue
        high = int(table[:, place].argmax())
        low = int(table[:, place].argmin())
        why = (
            f"better than {100 * table[high, place]:.0f} % of its texts by {names[high]}, "
            f"than {100 * table[low, place]:.0f} % by {names[low]}"
        )
        found.append(
            _pick(
                data,
                system,
                int(place),
                why,
            )
        )
    return found


def column_ranks(data: PageData, system: str) -> dict[str, Float[np.ndarray, " N"]]:
    """For each main column with a direction, the share of a system's texts that are no better.

    Each array has a number from 0 to 1 for every example of ``data``, NaN where the column is
    undefined; columns without values are left out, and those that do not rank here where two
    others are left.
    """
    directed = [column for column in main_columns(data.board) if column.better != "none"]
    valid = [column for column in directed if column.name not in data.board.invalid]
    ranks = {}
    for column in valid if len(valid) > 1 else directed:
        values = np.asarray(data.values.get(system, {}).get(column.name, ()), float)
        if np.isfinite(values).any():
            # Ranks of NaN are NaN; the others are counted among all texts.
            signed = values if column.better == "up" else -values
            ranks[column.name] = _mean_ranks(signed) / len(values)
    return ranks


def _mean_ranks(values: Float[np.ndarray, " T"]) -> Float[np.ndarray, " T"]:
    """Ranks from 1 on, equal values sharing the mean of theirs; NaN where a value is.

    As ``scipy.stats.rankdata``, whose module takes a second to import.
    """
    _, groups, sizes = np.unique(values, return_inverse=True, return_counts=True, equal_nan=False)
    last = np.cumsum(sizes)
    ranks = (last - (sizes - 1) / 2)[groups]
    return np.where(np.isnan(values), np.nan, ranks)


def _text(
    data: PageData,
    system: str,
    place: int,
) -> str:
    """The first text that a system wrote for an example; empty where there is none."""
    for text in data.texts[system][place]:
        if text.strip():
            return text
    return ""


def _is_copied(
    data: PageData,
    system: str,
    place: int,
) -> bool:
    return is_copy(data.examples[place].source, _text(data, system, place))


def _pick(
    data: PageData,
    system: str,
    place: int,
    why: str,
) -> Pick:
    example = data.examples[place]
    source = visible(example.source)
    reference = visible(example.references[0]) if example.references else ""
    runs = word_diff(source, visible(_text(data, system, place)))
    return Pick(
        visible(example.id),
        source,
        reference,
        runs,
        why,
    )
