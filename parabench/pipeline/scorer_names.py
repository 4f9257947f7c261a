"""Which scorer a person means: by its name or by a column of it, in any case of letters."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from contextlib import suppress

from parabench import registry
from parabench.contracts import Scorer, UserError
from parabench.suites.suite import Suite

BuildScorer = Callable[[str], Scorer]


def find_scorer(
    name: str,
    suite: Suite,
    build: BuildScorer,
) -> tuple[str, Scorer]:
    """The scorer that ``name`` means, with the name that its files and signature bear.

    ``suite``: may define scorers of its own. ``build``: makes a scorer from an exact name. Tried in
    this order: the name itself, the name in lower case, a column of the suite's scorers, a column
    of any scorer.

    Raises UserError with the nearest names where nothing fits.
    """
    # An exact name first: third parties may register names with capitals.
    for candidate in dict.fromkeys((name, name.lower())):
        if _is_registered(candidate, suite):
            return candidate, build(candidate)
    known_columns = []
    # The suite's own first: of two scorers with such a column, people mean the one in the table.
    names = [*suite.scorers, *_registered()]
    for scorer_name, scorer in _buildable(names, build):
        for column in scorer.columns:
            if column.name.lower() == name.lower():
                return scorer_name, scorer
            known_columns.append(column.name)
    raise _unknown_scorer(name, known_columns)


def _is_registered(name: str, suite: Suite) -> bool:
    """Whether the suite or a plug-in table knows the name; builds nothing."""
    if "family" in suite.options("scorer", name, ""):
        return True
    try:
        registry.split_name("scorer", name)
    except UserError:
        return False
    return True


def _registered() -> list[str]:
    return sorted(registry.plugin_table("scorer"))


def _buildable(names: Iterable[str], build: BuildScorer) -> Iterable[tuple[str, Scorer]]:
    """Each scorer that can be built from the suite as it is: some need an option of their own."""
    for name in dict.fromkeys(names):
        with suppress(UserError):
            yield name, build(name)


def _unknown_scorer(name: str, columns: list[str]) -> UserError:
    """The error for a name that fits no scorer and no column."""
    known = sorted({*_registered(), *columns})
    found = "no such scorer or column"
    nearest = difflib.get_close_matches(name.lower(), known, n=1)
    if nearest:
        found += f"; did you mean {nearest[0]}?"
    asked = f"use the scorer {name!r}"
    return UserError(asked, found, _registered(), mend="parabench list scorers")
