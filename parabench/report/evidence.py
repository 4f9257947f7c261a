"""What a run folder holds, read once and verified: facts, examples, texts, and every scorer's statistics."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parabench import registry, turns
from parabench.contracts import Column, Example, Scorer, Setting, UserError
from parabench.disk import read
from parabench.store import load_statistics, log_names, read_examples, read_log

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float


@dataclass(frozen=True)
class Output:
    """What one system wrote by example id, one text or one a turn; the ids cut at the length limit, and its role.

    A role is ``system``, ``sentinel`` or ``human``.
    """

    texts: Mapping[str, Sequence[str]]
    cut: frozenset[str]
    role: str
    signature: str


@dataclass(frozen=True)
class Measured:
    """What one scorer left behind: an array for each system, and the settings that made them."""

    scorer: Scorer
    signature: str
    statistics: Mapping[str, Float[np.ndarray, "N K"]]


@dataclass(frozen=True)
class Evidence:
    """A run folder in memory; everything reported is a function of this alone."""

    facts: Mapping[str, Any]
    examples: tuple[Example, ...]
    outputs: Mapping[str, Output]
    measured: Mapping[str, Measured]

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of all scorers, in order."""
        return tuple(column for one in self.measured.values() for column in one.scorer.columns)

    @property
    def seed(self) -> int:
        return int(self.facts["runtime"]["seed"])

    @cached_property
    def headline(self) -> str:
        """The column that ranks: the suite's, or the first one there is where that was not measured."""
        names = [column.name for column in self.columns]
        wanted = self.facts["suite"]["headline"]
        return wanted if wanted in names or not names else names[0]

    @cached_property
    def ranking(self) -> tuple[Measured, int] | None:
        """The scorer of the headline and the column's place in it; None where nothing was measured."""
        for one in self.measured.values():
            for place, column in enumerate(one.scorer.columns):
                if column.name == self.headline:
                    return one, place
        return None


def gather(folder: Path) -> Evidence:
    """Read a run folder; raises UserError where it is none, or damaged."""
    return Evidence(_facts(folder), _examples(folder), _outputs(folder), _all_measured(folder))


def _facts(folder: Path) -> dict[str, Any]:
    path, mend = folder / "provenance.json", "make or finish it with: parabench run"
    if not path.exists():
        raise UserError(f"report {folder}", "no provenance.json", mend=mend)
    try:
        facts = json.loads(read(path))
        texts = [facts["suite"][name] for name in ("title", "note", "headline")]
        if not all(isinstance(text, str) for text in texts) or not isinstance(facts["runtime"]["seed"], int):
            raise TypeError
    except (ValueError, TypeError, KeyError, RecursionError):
        raise UserError(f"report {folder}", "its provenance.json is damaged", mend=mend) from None
    return facts


def _examples(folder: Path) -> tuple[Example, ...]:
    return tuple(Example(one["id"], one["source"], tuple(one["references"])) for one in read_examples(folder))


def _outputs(folder: Path) -> dict[str, Output]:
    found = {}
    for (name,) in log_names(folder, "predictions"):
        key, records = read_log(folder, "predictions", name)
        texts = {example: turns.texts(record) for example, record in records.items()}
        cut = frozenset(example for example, record in records.items() if not record["finished"])
        found[name] = Output(texts, cut, key["role"], key["signature"])
    return found


def _all_measured(folder: Path) -> dict[str, Measured]:
    """By scorer, in the order of the table; arrays measured under other settings than the newest are left out."""
    arrays: dict[str, dict[str, tuple[str, Any]]] = {}
    for system, name in log_names(folder, "statistics"):
        key, array = load_statistics(folder, system, name)
        arrays.setdefault(name, {})[system] = (key["signature"], array)
    return {name: _measured(name, found) for name, found in sorted(arrays.items(), key=lambda item: _order(item[0]))}


def _measured(name: str, found: Mapping[str, tuple[str, Any]]) -> Measured:
    family, variant = registry.split("scorer", name)
    signatures = {signature for signature, _ in found.values()}
    if len(signatures) > 1:
        raise UserError(
            f"compare systems by {name}",
            f"they were measured with different settings: {'; '.join(sorted(signatures))}",
            mend="run the same command with all of these systems, so that they are measured alike",
        )
    scorer = registry.builder("scorer", family)(variant, Setting())
    return Measured(scorer, signatures.pop(), {system: array for system, (_, array) in found.items()})


def _order(name: str) -> tuple[int, str]:
    families = list(registry.table("scorer"))
    return families.index(registry.split("scorer", name)[0]), name
