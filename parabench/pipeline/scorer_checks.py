"""Scorers that do not go with the suite or with its data are refused before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from parabench.contracts import Example, Scorer, UserError
from parabench.stats import leave_one_out
from parabench.suites.suite import Suite


def check_gates(suite: Suite, scorers: Mapping[str, Scorer]) -> None:
    """Raise UserError for a gate that none of the suite's scorers measures: it would hold nobody.

    Where scorers were chosen by hand a gate may well be missing.
    """
    known = {column.name for scorer in scorers.values() for column in scorer.columns}
    for gate in suite.gates:
        if gate not in known:
            raise UserError(
                f"hold the systems of {suite.name} to the gate {gate!r}",
                "no scorer of the suite has a column of that name",
                sorted(known),
                "add its scorer to scorers, or correct gates",
            )


def check_references(scorers: Mapping[str, Scorer], examples: Sequence[Example]) -> None:
    """Raise UserError where a scorer reads references: some example is known to have none."""
    without = [
        name for name, scorer in scorers.items() if not leave_one_out.needs_references(scorer)
    ]
    for name in scorers:
        if name not in without:
            bare = next(example.id for example in examples if not example.references)
            instead = ",".join(without) or "divergence,side"
            raise UserError(
                f"score with {name}",
                f"example {bare!r} has no references",
                mend=f"give it one, or leave such out: --min-references 1, or --scorers {instead}",
            )
