"""May two runs be compared, and which system of one with which of the other?

Two runs are comparable when the same examples were paraphrased with the same decoding and scored
with the same settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

from parabench.contracts import UserError
from parabench.report.board import Leaderboard, flatten_facts
from parabench.report.notes import uses_decoding

MUST_AGREE = ("data", "decoding", "normalise", "protocol", "signature")
"""The first part of every field that forbids a comparison when two runs differ in it."""


def differing_fields(first: Leaderboard, second: Leaderboard) -> dict[str, tuple[str, str]]:
    """All fields in which two boards differ, by dotted name.

    The signature of a column counts only where both have the column, and decoding settings only
    where both runs decoded anything: texts from a file were made by other means.
    """
    facts = [dict(flatten_facts(_facts(board))) for board in (first, second)]
    not_shared = {f"signature.{name}" for name in first.signatures.keys() ^ second.signatures}
    decoded = uses_decoding(first) and uses_decoding(second)
    differing = {}
    for name in sorted(facts[0].keys() | facts[1].keys()):
        pair = facts[0].get(name, "absent"), facts[1].get(name, "absent")
        is_moot = name in not_shared or (name.startswith("decoding.") and not decoded)
        if pair[0] != pair[1] and not is_moot:
            differing[name] = pair
    return differing


def _facts(board: Leaderboard) -> dict[str, object]:
    return {**board.provenance, "headline": board.headline, "signature": board.signatures}


def blocking_differences(first: Leaderboard, second: Leaderboard) -> dict[str, tuple[str, str]]:
    """The fields of ``differing_fields`` that make a comparison of the two meaningless."""
    found = differing_fields(first, second)
    return {name: pair for name, pair in found.items() if name.split(".")[0] in MUST_AGREE}


def check_comparable(boards: Mapping[str, Leaderboard]) -> None:
    """Check that any two of these runs may be compared.

    Raises:
        UserError: naming every field in which two of them differ and may not.
    """
    for (name, board), (other_name, other) in combinations(boards.items(), 2):
        fields = blocking_differences(board, other)
        if not fields:
            continue
        found = [
            f"{field}: {one} in {name}, {two} in {other_name}"
            for field, (one, two) in fields.items()
        ]
        raise UserError(
            f"compare {name} with {other_name}",
            "; ".join(found),
            mend="run both with the same data and settings",
        )


def matched_systems(
    first: Leaderboard, second: Leaderboard, names: tuple[str, str]
) -> dict[str, str]:
    """Which system of the first run is compared with which of the second.

    Systems of one name are. Where the runs share none but controls, and each has one system alone,
    as two scored files have, these two are; controls are compared with themselves.

    Args:
        first: the earlier run.
        second: the later run.
        names: what the user calls the two.

    Raises:
        UserError: where the runs share no system and one of them has several, or none.
    """
    before, after = _systems(first), _systems(second)
    controls = {row.system for row in first.rows if row.control}
    shared_controls = controls & {row.system for row in second.rows if row.control}
    matched = {name: name for name in before if name in after}
    if not matched:
        if len(before) != 1 or len(after) != 1:
            raise UserError(
                f"find out what changed from {names[0]} to {names[1]}",
                "they have no system in common: "
                f"{', '.join(before) or 'none'} in {names[0]}, "
                f"{', '.join(after) or 'none'} in {names[1]}",
                mend="run both with a system of the same name, or each with one system alone",
            )
        matched = {before[0]: after[0]}
    return matched | {name: name for name in sorted(shared_controls)}


def _systems(board: Leaderboard) -> list[str]:
    return sorted(row.system for row in board.rows if not row.control)


def unmatched_note(first: Leaderboard, second: Leaderboard, matched: Mapping[str, str]) -> str:
    """Which systems were not compared, since one run alone has them; empty where all were.

    ``matched`` is what ``matched_systems`` found for ``first`` and ``second``.
    """
    before = [name for name in _systems(first) if name not in matched]
    after = [name for name in _systems(second) if name not in matched.values()]
    parts = []
    if before:
        parts.append(f"only in the earlier run: {', '.join(before)}")
    if after:
        parts.append(f"only in the later run: {', '.join(after)}")
    return f"Not compared: {'; '.join(parts)}." if parts else ""
