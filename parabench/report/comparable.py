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
    before = dict(flatten_facts(_facts(first)))
    after = dict(flatten_facts(_facts(second)))
    # Columns of one board alone: their numbers are compared with nothing.
    lone_columns = first.signatures.keys() ^ second.signatures.keys()
    moot = {f"signature.{name}" for name in lone_columns}
    decoded = uses_decoding(first) and uses_decoding(second)
    differing = {}
    for name in sorted(before.keys() | after.keys()):
        was_unused = name.startswith("decoding.") and not decoded
        if name in moot or was_unused:
            continue
        earlier = before.get(name, "absent")
        later = after.get(name, "absent")
        if earlier != later:
            differing[name] = (earlier, later)
    return differing


def _facts(board: Leaderboard) -> dict[str, object]:
    """What two boards are compared by: headline and signatures stand outside the provenance."""
    return {
        **board.provenance,
        "headline": board.headline,
        "signature": board.signatures,
    }


def blocking_differences(first: Leaderboard, second: Leaderboard) -> dict[str, tuple[str, str]]:
    """The fields of ``differing_fields`` that make a comparison of the two meaningless."""
    blocking = {}
    for name, pair in differing_fields(first, second).items():
        # "data.fingerprint" is a field of "data".
        topic = name.split(".")[0]
        if topic in MUST_AGREE:
            blocking[name] = pair
    return blocking


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
    first: Leaderboard,
    second: Leaderboard,
    names: tuple[str, str],
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
    before = _systems(first)
    after = _systems(second)
    controls = {row.system for row in first.rows if row.control}
    other_controls = {row.system for row in second.rows if row.control}
    shared_controls = controls & other_controls
    matched = {name: name for name in before if name in after}
    if not matched:
        # Of one system on each side there is no doubt which is meant, whatever its name.
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


def unmatched_note(
    first: Leaderboard,
    second: Leaderboard,
    matched: Mapping[str, str],
) -> str:
    """Which systems were not compared, since one run alone has them; empty where all were.

    ``matched`` is what ``matched_systems`` found for ``first`` and ``second``.
    """
    before, after = _unmatched(first, second, matched)
    parts = []
    if before:
        parts.append(f"only in the earlier run: {', '.join(before)}")
    if after:
        parts.append(f"only in the later run: {', '.join(after)}")
    return f"Not compared: {'; '.join(parts)}." if parts else ""


def check_unrenamed(
    first: Leaderboard,
    second: Leaderboard,
    matched: Mapping[str, str],
    names: tuple[str, str],
) -> None:
    """Check that no system may have got another name, unseen by a gate.

    Args:
        first: the earlier run.
        second: the later run.
        matched: what ``matched_systems`` found for them.
        names: what the user calls the two.

    Raises:
        UserError: where each run has a system that the other has not: whether the later one is
            the earlier one, and worse, is not known.
    """
    before, after = _unmatched(first, second, matched)
    # A run of fewer systems, or of more, is no renaming: what both have is compared.
    if before and after:
        raise UserError(
            f"tell whether a system of {names[1]} is worse than in {names[0]}",
            f"{', '.join(before)} in {names[0]} alone, {', '.join(after)} in {names[1]} alone",
            mend="give the systems that are to be compared the same names: parabench score "
            "NAME=FILE",
        )


def _unmatched(
    first: Leaderboard,
    second: Leaderboard,
    matched: Mapping[str, str],
) -> tuple[list[str], list[str]]:
    """The systems of each run that are compared with none of the other's."""
    before = [name for name in _systems(first) if name not in matched]
    after = [name for name in _systems(second) if name not in matched.values()]
    return before, after
