"""Meta-evaluation as a Markdown table: a row for every column of every scorer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Float
from tabulate import tabulate

from parabench.contracts import Column, ProgressCallback, Scorer, UserError
from parabench.metaeval.agreement import (
    ColumnAgreement,
    agreement_difference_p,
    column_agreement,
    judgment_values,
)
from parabench.metaeval.correlation import FEWEST_SOURCES, IntervalEstimate
from parabench.metaeval.human import HumanJudgments
from parabench.metaeval.judgments import Judgment
from parabench.render.escape import markdown
from parabench.scratch import scratch_array
from parabench.sequences import in_blocks
from parabench.stats.significance import benjamini_hochberg

ITEMS_AT_ONCE = 4096
"""Items whose texts are held while they are scored."""
SCORING, INTERVALS = "scoring", "intervals"
"""What a line of progress tells of: items, then columns."""
HEADS = {
    "pearson": "Pearson",
    "pearson-within": "Pearson within sources",
    "spearman": "Spearman",
    "spearman-within": "Spearman within sources",
    "kendall": "Kendall",
    "kendall-within": "Kendall within sources",
    "pairs": "pairs in order",
    "soft-pairs": "soft pairwise accuracy",
    "preference": "preferences in order",
}


def agreement_table(
    scorers: Sequence[Scorer],
    items: Iterable[Judgment],
    baseline: str = "",
    seed: int = 0,
    resamples: int = 1000,
    advance: ProgressCallback | None = None,
) -> str:
    """How every column agrees with people, in Markdown.

    Args:
        scorers: whose columns are tested.
        items: all ratings, or all preferences; they are gone through twice.
        baseline: a column; each other one gets the p-value that it agrees with people as well as
            this one does. None where empty.
        seed: of the bootstrap and of the tests.
        resamples: bootstrap samples of whole sources.
        advance: hears of the items that are scored, and of the columns that have intervals.

    Raises:
        UserError: where ``baseline`` is no column of these scorers, where ratings and preferences
            are mixed, or where the second time there are more or fewer items.
    """
    columns = [column for scorer in scorers for column in scorer.columns]
    names = [column.name for column in columns]
    if baseline and baseline not in names:
        raise UserError(f"compare with the column {baseline!r}", "no such column here", names)
    # Everything is read once before a scorer begins: what is wrong with the file is told then.
    people = HumanJudgments.of(items)
    values = _all_values(scorers, items, len(people), advance)
    found = []
    for place, (column, row) in enumerate(zip(columns, values.T, strict=True), 1):
        one = column_agreement(
            column.name,
            row,
            people,
            seed,
            resamples,
        )
        found.append(one)
        if advance is not None:
            advance(INTERVALS, place, len(columns))
    p_values = {}
    if baseline:
        p_values = _against_baseline(columns, values, people, baseline, seed)
    heading = _heading(people, found)
    table = _table(columns, found, p_values, baseline)
    return f"{heading}\n\n{table}\n"


def _all_values(
    scorers: Sequence[Scorer],
    items: Iterable[Judgment],
    count: int,
    advance: ProgressCallback | None,
) -> Float[np.ndarray, "N C"]:
    """The columns of all scorers side by side on ``count`` items, of which a block is held."""
    width = sum(len(scorer.columns) for scorer in scorers)
    values = scratch_array(count * width, np.float64).reshape(count, width)
    start = 0
    for block in in_blocks(items, ITEMS_AT_ONCE):
        # Items of a second reading that are not those of the first would pass for zeros.
        if start + len(block) > count:
            raise _changed(count)
        of_block = [judgment_values(scorer, block) for scorer in scorers]
        values[start : start + len(block)] = np.hstack(of_block)
        start += len(block)
        if advance is not None:
            advance(SCORING, start, count)
    if start < count:
        raise _changed(count)
    return values


def _changed(count: int) -> UserError:
    return UserError(
        "score the judgments",
        f"there are no longer {count}: they changed while they were read",
        mend="run the same command again",
    )


def _against_baseline(
    columns: Sequence[Column],
    values: Float[np.ndarray, "N C"],
    people: HumanJudgments,
    baseline: str,
    seed: int,
) -> dict[str, float]:
    """P-values of all other columns, corrected for their number (Benjamini and Hochberg 1995)."""
    names = [column.name for column in columns]
    baseline_values = values[:, names.index(baseline)]
    tested: dict[str, float] = {}
    for name, row in zip(names, values.T, strict=True):
        p = agreement_difference_p(row, baseline_values, people, seed)
        # A column that is undefined somewhere has no test, and does not count in the correction.
        if name != baseline and not math.isnan(p):
            tested[name] = p
    p_values = np.array(list(tested.values()))
    adjusted = benjamini_hochberg(p_values)
    return dict(zip(tested, map(float, adjusted), strict=True))


def _heading(people: HumanJudgments, found: Sequence[ColumnAgreement]) -> str:
    count, sources, ceiling = len(people), people.source_count, people.ceiling
    if math.isnan(ceiling):
        raters = "no item has two raters"
    else:
        raters = f"one rater against the others: {_number(ceiling)}"
    incomplete = [f"{one.column} on {one.count}" for one in found if one.count < count]
    left_out = ""
    if incomplete:
        left_out = f" Columns without a value everywhere: {', '.join(incomplete)}."
    few = ""
    if sources < FEWEST_SOURCES:
        few = f" No intervals: none holds the truth often enough below {FEWEST_SOURCES} sources."
    return f"{count} items of {sources} sources; {raters}.{few}{markdown(left_out)}"


def _table(
    columns: Sequence[Column],
    found: Sequence[ColumnAgreement],
    p_values: Mapping[str, float],
    baseline: str,
) -> str:
    # Not every column has every measure; a dict keeps the order in which they are met.
    measures = list(dict.fromkeys(name for one in found for name in one.agreement))
    heads = ["column", *(HEADS[name] for name in measures)]
    if baseline:
        heads.append(f"p against {markdown(baseline)}")
    lines = []
    for column, one in zip(columns, found, strict=True):
        turned = " (turned)" if column.better == "down" else ""
        line = [markdown(column.name) + turned]
        line += [_estimate(one.agreement.get(name)) for name in measures]
        if baseline:
            p = p_values.get(column.name)
            line.append("" if p is None else f"{p:.4f}")
        lines.append(line)
    alignment = ["left", *["right"] * (len(heads) - 1)]
    return tabulate(
        lines,
        heads,
        "pipe",
        colalign=alignment,
        disable_numparse=True,
    )


def _estimate(one: IntervalEstimate | None) -> str:
    if one is None or math.isnan(one.value):
        return "–"
    if math.isnan(one.low):
        return _number(one.value)
    return f"{_number(one.value)} [{_number(one.low)}, {_number(one.high)}]"


def _number(value: float) -> str:
    """``.235``, ``-.119``, ``1.000``: correlations and shares, without the leading zero."""
    text = f"{value:.3f}"
    # What rounds to 1.000 keeps its leading digit: the "0." within it is no leading zero.
    if abs(value) < 0.9995:
        return text.replace("0.", ".", 1)
    return text
