"""Scorers against people as a Markdown table: every column of every scorer, what people agree on
among themselves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from parabench.contracts import Column, Scorer, UserError
from parabench.metaeval.agreement import (
    ColumnAgreement,
    IntervalEstimate,
    agreement_difference_p,
    column_agreement,
    judgment_values,
    rater_ceiling,
)
from parabench.metaeval.judgments import Judgment
from parabench.render.escape import markdown
from parabench.stats.significance import benjamini_hochberg

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
    items: Sequence[Judgment],
    rival: str = "",
    seed: int = 0,
    resamples: int = 1000,
) -> str:
    """The table of all columns, and with a rival the p-value that each agrees with people just as
    that one does.

    Raises UserError where the rival is no column of these scorers.
    """
    columns = [column for scorer in scorers for column in scorer.columns]
    values = np.hstack([judgment_values(scorer, items) for scorer in scorers])
    found = [
        column_agreement(c.name, row, items, seed, resamples)
        for c, row in zip(columns, values.T, strict=True)
    ]
    tests = _against_rival(columns, values, items, rival, seed) if rival else {}
    return f"{_heading(items, found)}\n\n{_table(columns, found, tests, rival)}\n"


def _against_rival(
    columns: Sequence[Column],
    values: Float[np.ndarray, "N C"],
    items: Sequence[Judgment],
    rival: str,
    seed: int,
) -> dict[str, float]:
    """P-values of all other columns against one, corrected for their number (Benjamini and Hochberg
    1995).
    """
    names = [column.name for column in columns]
    if rival not in names:
        raise UserError(f"compare with the column {rival!r}", "no such column here", names)
    one = values[:, names.index(rival)]
    found = {
        name: agreement_difference_p(row, one, items, seed)
        for name, row in zip(names, values.T, strict=True)
    }
    known = [name for name, p in found.items() if name != rival and not math.isnan(p)]
    return dict(
        zip(known, benjamini_hochberg(np.array([found[name] for name in known])), strict=True)
    )


def _heading(items: Sequence[Judgment], found: Sequence[ColumnAgreement]) -> str:
    sources, ceiling = len({item.cluster for item in items}), rater_ceiling(items)
    raters = (
        "no item has two raters"
        if math.isnan(ceiling)
        else f"one rater against the others: {_number(ceiling)}"
    )
    short = [f"{one.column} on {one.count}" for one in found if one.count < len(items)]
    left_out = f" Columns without a value everywhere: {', '.join(short)}." if short else ""
    return f"{len(items)} items of {sources} sources; {raters}.{markdown(left_out)}"


def _table(
    columns: Sequence[Column],
    found: Sequence[ColumnAgreement],
    tests: Mapping[str, float],
    rival: str,
) -> str:
    from tabulate import tabulate

    measures = list(dict.fromkeys(name for one in found for name in one.agreement))
    heads = [
        "column",
        *(HEADS[name] for name in measures),
        *([f"p against {markdown(rival)}"] if rival else []),
    ]
    lines = [
        [
            markdown(column.name) + (" (turned)" if column.better == "down" else ""),
            *(_estimate(one.agreement.get(name)) for name in measures),
            *([f"{tests[column.name]:.4f}" if column.name in tests else ""] if rival else []),
        ]
        for column, one in zip(columns, found, strict=True)
    ]
    return tabulate(
        lines,
        heads,
        "pipe",
        colalign=["left", *["right"] * (len(heads) - 1)],
        disable_numparse=True,
    )


def _estimate(one: IntervalEstimate | None) -> str:
    if one is None or math.isnan(one.value):
        return "–"
    return f"{_number(one.value)} [{_number(one.low)}, {_number(one.high)}]"


def _number(value: float) -> str:
    """``.235``, ``-.119``, ``1.000``: correlations and shares without the zero that says
    nothing.
    """
    return f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 0.9995 else f"{value:.3f}"
