"""Notes under a leaderboard: what a reader must know to read it rightly."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from parabench.contracts import Decoding, Signature
from parabench.report.board import (
    CONFIDENCE_LEVEL,
    Leaderboard,
    LeaderboardRow,
    gives_intervals,
    headline_column,
    ordered_rows,
)
from parabench.report.cells import interval_ends, lacks_intervals, number_text, row_facts
from parabench.report.truncation import TRUNCATION_COLUMN
from parabench.stats.intervals import FEWEST_CLUSTERS, FEWEST_HOLDERS

_FILE_SYSTEM = "file"
"""The name in the signature of a system whose texts were read from a file."""
_HASH_SHOWN = 12
"""Digits of a SHA-256 that are shown, enough to tell two files apart."""


def reader_notes(board: Leaderboard) -> list[str]:
    """What has to be known to read the table, a sentence each."""
    found = [_rank_note(board)]
    if texts := decoding_note(board):
        found.append(f"Texts: {texts}.")
    if cut := truncation_note(board):
        found.append(f"The length limit ended some of them: {cut}.")
    if unanswered := unanswered_note(board):
        found.append(f"Not answered, and scored as empty texts: {unanswered}.")
    if not gives_intervals(board):
        found.append(
            f"There are fewer than {FEWEST_CLUSTERS} independent examples: too few for an "
            "interval, of a score or of a difference, and for the difference that they could show. "
            "None that is known keeps its promise there; the paired tests do."
        )
    elif lacks_intervals(board):
        found.append(
            f"A value without an interval rests on what fewer than {FEWEST_HOLDERS} examples have, "
            "such as a matching 4-gram: no interval that is known keeps its promise there."
        )
    found += _reference_notes(board)
    found += _power_note(board)
    if board.first_repeats is not None and headline_ranks(board):
        found.append(
            f"In about {board.first_repeats:.0f} % of new test sets like this one the first is "
            "first again."
        )
    if any(row.seeds == 1 for row in board.rows):
        found.append("* one training seed: another might differ by more than the interval says.")
    found += _leakage_notes(board)
    return found


def interval_note(board: Leaderboard) -> str:
    """How the intervals of the table were made; empty where no value has one.

    Every report takes these words, so that they are those of the run's own provenance.
    """
    scores = [score for row in board.rows for score in row.scores.values()]
    if not any(map(interval_ends, scores)):
        return ""
    level = f"{100 * CONFIDENCE_LEVEL:.0f} %"
    method, _, _ = str(board.provenance.get("interval", "")).partition("|")
    if not method or method.startswith("none"):
        return f"Each value has its {level} interval."
    # Seeds are drawn along with examples, for which no studentised interval is computed.
    several_seeds = any(row.seeds > 1 for row in board.rows)
    if several_seeds and "percentile" not in method:
        method = f"{method}; of rows of several training seeds percentile bootstrap"
    return f"Each value has its {level} interval ({method})."


def _power_note(board: Leaderboard) -> Iterator[str]:
    """How large a difference has to be for these examples to show it."""
    difference = detectable_text(board)
    if not difference:
        return
    tests = sum(one.column == board.headline for one in board.comparisons)
    corrected = f", with p-values corrected for all {tests} pairs" if tests > 1 else ""
    yield (
        f"If two systems truly differ by {difference} {board.headline}, about four of five test "
        f"sets like this one show it{corrected}; half of the pairs need less, half more. Smaller "
        "differences are often missed: systems that are not told apart need not be equal."
    )


def headline_ranks(board: Leaderboard) -> bool:
    """Whether any row has a rank."""
    return any(row.rank for row in board.rows)


def _rank_note(board: Leaderboard) -> str:
    if not headline_ranks(board):
        return "Nothing here ranks."
    note = "A rank is the range that the paired tests leave open; the first cluster is bold."
    others = {column.name for column in board.columns} - {board.headline}
    gates = [name for name in _facts(board, "suite").get("gates", ()) if name in others]
    if gates:
        note += f" To have one, a system must be above every control in {' and '.join(gates)}, too."
    return note


def _facts(board: Leaderboard, part: str) -> Mapping[str, Any]:
    """A part of the run's provenance; empty in a table that has none."""
    found = board.provenance.get(part)
    return found if isinstance(found, Mapping) else {}


def _reference_notes(board: Leaderboard) -> Iterator[str]:
    references = _reference_count(board)
    if references > 1:
        yield f"Scored against {references - 1} of {references} references, each left out in turn."
    if any(column.against == "samples" for column in board.columns):
        people = ""
        if references > 1:
            # As many human texts are compared as there are samples, where there are so many.
            texts = min(references, _sample_count(board) or references)
            people = f", as are {texts} texts of people"
        yield (
            f"Samples of a source are compared with one another{people}; "
            "all else is about the first sample."
        )


def _leakage_notes(board: Leaderboard) -> Iterator[str]:
    # Where nothing is known of any row there is no column of it, which must be said.
    if "seen" in row_facts(board):
        yield (
            "Seen: how many of the test examples share a sentence with what the row was trained on."
        )
    elif any(row.seen for row in board.rows):
        yield "Whether these examples were trained on is unknown."


def decoding_note(board: Leaderboard) -> str:
    """How the texts were made: ``"beam 4, at most 64 new tokens, seed 0"``.

    Of texts that were read from a file it says only that, and which file by its SHA-256. Empty
    where nothing was decoded or nothing is known.
    """
    parts = []
    if uses_decoding(board) and (settings := _decoding_settings(board)):
        parts.append(settings)
    for system, sha256 in file_systems(board).items():
        parts.append(f"{system} read from a file with the SHA-256 {sha256[:_HASH_SHOWN]}…")
    return "; ".join(parts)


def uses_decoding(board: Leaderboard) -> bool:
    """Whether any row was written by a system under the run's decoding settings.

    Controls write no text of their own, and a file's texts were made by other means.
    """
    from_file = file_systems(board)
    return any(not row.control and row.system not in from_file for row in board.rows)


def file_systems(board: Leaderboard) -> dict[str, str]:
    """The rows whose texts were read from a file, with its SHA-256."""
    found = {}
    for row in ordered_rows(board):
        signature = board.provenance.get(f"system {row.system}")
        # Of a row of several seeds the signatures are joined: such rows come from no file.
        if isinstance(signature, str) and signature.startswith(f"{_FILE_SYSTEM}|"):
            settings = dict(Signature.parse(signature).items)
            found[row.system] = settings.get("sha256", "")
    return found


def shown_provenance(board: Leaderboard) -> Mapping[str, Any]:
    """The provenance, without decoding settings where no text was made under them."""
    if uses_decoding(board):
        return board.provenance
    return {key: value for key, value in board.provenance.items() if key != "decoding"}


def _decoding_settings(board: Leaderboard) -> str:
    decoding, runtime = _facts(board, "decoding"), _facts(board, "runtime")
    if not decoding or not runtime:
        return ""
    # The length limit is always told, anything else where it is not the default.
    defaults = asdict(Decoding())
    changed = {key: value for key, value in decoding.items() if defaults.get(key) != value}
    limit = decoding.get("max_new_tokens")
    changed.pop("max_new_tokens", None)
    # These three are told together, as how texts are searched for.
    beams = changed.pop("num_beams", 1)
    sampled = changed.pop("do_sample", False)
    samples = changed.pop("samples", 1)
    if samples > 1:
        search = f"{samples} samples a source"
    elif sampled:
        search = "sampled"
    else:
        search = "greedy" if beams == 1 else f"beam {beams}"
    parts = [search, f"at most {limit} new tokens"]
    for key, value in sorted(changed.items()):
        parts.append(f"{key} {value}")
    parts += [f"seed {runtime.get('seed')}", *_other_types(board)]
    return ", ".join(parts)


def _other_types(board: Leaderboard) -> Iterator[str]:
    """The systems that compute in another data type than the rest."""
    for key, signature in board.provenance.items():
        if not key.startswith("system "):
            continue
        found = re.search(r"\|dtype:([^|]*)", signature)
        if found:
            yield f"{key.removeprefix('system ')} in {found[1]}"


def truncation_note(board: Leaderboard) -> str:
    """Which outputs the length limit ended, ``"bart 12.5 %"``; empty where none were."""
    found = []
    for row in ordered_rows(board):
        score = row.scores.get(TRUNCATION_COLUMN)
        if score and score.value > 0:
            found.append(f"{row.system} {score.value:.1f} %")
    return ", ".join(found)


def unanswered_note(board: Leaderboard) -> str:
    """Which systems gave no answer how often and why, ``"served 3 (content_filter 2, refusal 1)"``.

    Empty where all were answered. The counts stand in the run's provenance.
    """
    parts = []
    for system, reasons in sorted(_facts(board, "unanswered").items()):
        counted = [f"{reason} {count}" for reason, count in sorted(reasons.items())]
        total = sum(reasons.values())
        parts.append(f"{system} {total} ({', '.join(counted)})")
    return "; ".join(parts)


def _reference_count(board: Leaderboard) -> int:
    count = _facts(board, "data").get("references")
    return count if isinstance(count, int) else 0


def _sample_count(board: Leaderboard) -> int:
    """How many samples a source has; 0 where there is one text, or that is unknown."""
    count = _facts(board, "decoding").get("samples")
    # One sample is the one text: nothing is compared then.
    return count if isinstance(count, int) and count > 1 else 0


def detectable_text(board: Leaderboard) -> str:
    """The detectable difference on the headline, ``"1.9"``; empty without two systems."""
    column = headline_column(board)
    if board.detectable is None or column is None:
        return ""
    return number_text(board.detectable, column.digits)


def missing_values_note(board: Leaderboard) -> str:
    """Which cells leave examples out, and why; empty where none does.

    Such as ``"copy rouge1: 3 of 500 (no reference …)"``.
    """
    # The same gap of many columns and rows, such as an unknown script, is told once.
    systems_by_gap: dict[tuple[str, str], list[str]] = {}
    rows = ordered_rows(board)
    for row in rows:
        for gap, columns in _columns_by_gap(board, row).items():
            key = (", ".join(columns), gap)
            systems_by_gap.setdefault(key, []).append(row.system)
    parts = []
    for (columns_text, gap), systems in systems_by_gap.items():
        is_everywhere = len(rows) > 2 and len(systems) == len(rows)
        names = "all rows" if is_everywhere else ", ".join(systems)
        parts.append(f"{names} {columns_text}: {gap}")
    return "; ".join(parts)


def _columns_by_gap(board: Leaderboard, row: LeaderboardRow) -> dict[str, list[str]]:
    """The columns of a row that leave examples out, by what they leave out."""
    found: dict[str, list[str]] = {}
    for column in board.columns:
        gap = _gap(row, column.name)
        if gap:
            found.setdefault(gap, []).append(column.name)
    return found


def _gap(row: LeaderboardRow, column: str) -> str:
    score = row.scores.get(column)
    if score is None or not score.undefined:
        return ""
    reason = f" ({score.why})" if score.why else ""
    defined = row.scored - score.undefined
    return f"{defined} of {row.scored}{reason}"
