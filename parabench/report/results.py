"""What a run folder holds, read once and verified: facts, examples, texts, and every scorer's
statistics.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parabench import registry
from parabench.contracts import BuildContext, Column, Example, Scorer, UserError
from parabench.report.truncation import TRUNCATION_COLUMN, TruncationScorer, TruncationStatistics
from parabench.sequences import LazyMap, text_hash64
from parabench.stats import leave_one_out, seeds
from parabench.stats.arrays import ROWS_AT_ONCE, SystemStatistics
from parabench.stats.clusters import ClusterIndex
from parabench.stats.significance import bootstraps
from parabench.store.files import read_bytes
from parabench.store.log import load_reasons, load_statistics, log_names, read_finished
from parabench.store.run_folder import stored_examples

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Int


@dataclass(frozen=True)
class SystemOutput:
    """What one row wrote, by example id: one text, or one for each turn or training seed; and the
    row's role.

    ``cut`` holds the ids of outputs that the length limit ended. A role is ``system``, ``sentinel``
    or ``human``. ``training`` is what is known of the data that each of the row's systems learned
    from. ``sampled_texts`` are all texts of an example where there are several samples; the first of each
    system is its text. ``count`` says how many examples were answered where texts are held of some
    only.
    """

    texts: Mapping[str, Sequence[str]]
    cut: frozenset[str]
    role: str
    signature: str
    training: tuple[Mapping[str, Any], ...] = ()
    sampled_texts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    count: int | None = None

    @property
    def answered(self) -> int:
        """Of how many examples there is an answer."""
        return len(self.texts) if self.count is None else self.count

    def shown(self, example: str) -> Sequence[str]:
        """All that was written for an example; nothing where it has not been reached."""
        return self.sampled_texts.get(example) or self.texts.get(example, ())


@dataclass(frozen=True)
class ScorerResults:
    """What one scorer left behind: an array for each row of the table, and the settings that made
    them.

    A row of several training seeds has an array for each. ``why`` has, for each row of the table,
    the reasons why examples have no value.
    """

    scorer: Scorer
    signature: str
    statistics: Mapping[str, SystemStatistics]
    why: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def reasons(self, row: str) -> str:
        """``"not a finite number"``, or several with their counts."""
        counts = Counter(self.why.get(row, ()))
        return (
            next(iter(counts), "")
            if len(counts) < 2
            else ", ".join(f"{n} {why}" for why, n in counts.most_common())
        )


@dataclass(frozen=True)
class RunResults:
    """A run folder, of which examples and statistics may stay on disk; everything reported is a
    function of this alone.

    ``max_texts`` is the number of examples whose texts are held at most; None is all.
    """

    facts: Mapping[str, Any]
    examples: Sequence[Example]
    outputs: Mapping[str, SystemOutput]
    measured: Mapping[str, ScorerResults]
    max_texts: int | None = None

    @cached_property
    def shown(self) -> Int[np.ndarray, " S"]:
        """The places of the examples whose texts are held, in order."""
        return shown_positions(len(self.examples), self.max_texts, self.seed)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of all scorers, in order."""
        return tuple(column for one in self.measured.values() for column in one.scorer.columns)

    @property
    def seed(self) -> int:
        return int(self.facts["runtime"]["seed"])

    @cached_property
    def headline(self) -> str:
        """The column that ranks: the suite's, or the first one there is where that was not
        measured.
        """
        names = [column.name for column in self.columns]
        wanted = self.facts["suite"]["headline"]
        return wanted if wanted in names or not names else names[0]

    @cached_property
    def clusters(self) -> ClusterIndex:
        """The clusters of all examples; an example of none is one by itself."""
        import numpy as np

        names = (example.cluster or f"example {example.id}" for example in self.examples)
        return ClusterIndex(
            len(self.examples), np.fromiter(map(text_hash64, names), np.uint64, len(self.examples))
        )

    @property
    def resamples(self) -> int:
        """How many samples and swaps are drawn: fewer where so many examples leave little to
        chance.
        """
        return 10_000 if len(self.examples) <= ROWS_AT_ONCE else 1_000

    @cached_property
    def bootstrap_draws(self) -> Mapping[str, Float[np.ndarray, "S R C"]]:
        """Every scorer's columns on bootstrap samples, all rows sampled alike, rows in the order of
        its statistics.
        """
        how = self.seed, self.resamples, self.clusters
        return {
            name: bootstraps(one.scorer.combine, list(one.statistics.values()), *how)
            for name, one in self.measured.items()
        }

    @cached_property
    def ranking(self) -> tuple[str, int] | None:
        """The scorer of the headline and the column's place in it; None where none has a better
        end.
        """
        for name, one in self.measured.items():
            for place, column in enumerate(one.scorer.columns):
                if column.name == self.headline and column.better != "none":
                    return name, place
        return None


def load_results(folder: Path, max_texts: int | None = None) -> RunResults:
    """Read a run folder, the texts of ``max_texts`` examples (None: of all); UserError where it is none,
    or damaged.
    """
    facts, examples = _facts(folder), LazyMap(_example, stored_examples(folder))
    held = {
        examples[place].id
        for place in shown_positions(len(examples), max_texts, facts["runtime"]["seed"])
    }
    found = {
        name: _output(folder, name, facts, held) for (name,) in log_names(folder, "predictions")
    }
    rows = seeds.seed_groups(found)
    outputs = {row: _merged([found[name][0] for name in names]) for row, names in rows.items()}
    arrays = {
        name: TruncationStatistics(cut)
        for name, (_, cut) in found.items()
        if len(cut) == len(examples)
    }
    harness = ScorerResults(
        TruncationScorer(), str(TruncationScorer().signature), _stacked(arrays, rows)
    )
    return RunResults(
        facts,
        examples,
        outputs,
        _all_measured(folder, rows) | {TRUNCATION_COLUMN: harness},
        max_texts,
    )


def shown_positions(count: int, max_texts: int | None, seed: int) -> Int[np.ndarray, " S"]:
    """Which of ``count`` examples are shown: all, or ``max_texts`` by the seed."""
    import numpy as np

    if max_texts is None or count <= max_texts:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, max_texts, replace=False))


def _merged(outputs: Sequence[SystemOutput]) -> SystemOutput:
    """The outputs of a row's systems as one."""
    return SystemOutput(
        _pooled([output.texts for output in outputs]),
        frozenset[str]().union(*(output.cut for output in outputs)),
        outputs[0].role,
        " and ".join(output.signature for output in outputs),
        tuple(facts for output in outputs for facts in output.training),
        _pooled([output.sampled_texts for output in outputs]),
        max(output.answered for output in outputs),
    )


def _pooled(several: Sequence[Mapping[str, Sequence[str]]]) -> dict[str, list[str]]:
    return {
        key: [text for texts in several for text in texts.get(key, ())]
        for key in dict.fromkeys(chain(*several))
    }


def _stacked(arrays: Mapping[str, Any], rows: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Arrays by row; a list of those of its training seeds, where all are there."""
    whole = {row: names for row, names in rows.items() if all(name in arrays for name in names)}
    return {
        row: arrays[n[0]] if len(n) == 1 else [arrays[name] for name in n]
        for row, n in whole.items()
    }


def _facts(folder: Path) -> dict[str, Any]:
    path, mend = folder / "provenance.json", "make or finish it with: parabench run"
    if not path.exists():
        raise UserError(f"report {folder}", "no provenance.json", mend=mend)
    try:
        facts = json.loads(read_bytes(path))
        texts = [facts["suite"][name] for name in ("title", "note", "headline")]
        if not all(isinstance(text, str) for text in texts) or not isinstance(
            facts["runtime"]["seed"], int
        ):
            raise TypeError
    except (ValueError, TypeError, KeyError, RecursionError):
        raise UserError(f"report {folder}", "its provenance.json is damaged", mend=mend) from None
    return facts


def _example(record: Mapping[str, Any]) -> Example:
    return Example(
        record["id"], record["source"], tuple(record["references"]), record.get("cluster", "")
    )


def _output(
    folder: Path, name: str, facts: Mapping[str, Any], held: Container[str]
) -> tuple[SystemOutput, bytearray]:
    """What a system wrote, its texts for the examples that are held, and which of all outputs were
    cut.
    """
    contents = read_finished(folder, "predictions", name)
    kept, cut = dict[str, Mapping[str, Any]](), bytearray(len(contents.records))
    for place, (example, record) in enumerate(contents.records):
        cut[place] = not record["finished"]
        if example in held:
            kept[example] = record
    key, training = contents.identity["key"], facts.get("training", {}).get(name, {})
    output = SystemOutput(
        {example: leave_one_out.record_texts(record) for example, record in kept.items()},
        frozenset(example for example, record in kept.items() if not record["finished"]),
        key["role"],
        key["signature"],
        (training,),
        {example: record["samples"] for example, record in kept.items() if "samples" in record},
        len(cut),
    )
    return output, cut


def _all_measured(folder: Path, rows: Mapping[str, Sequence[str]]) -> dict[str, ScorerResults]:
    """By scorer, in the order of the table; UserError where one measured systems under different
    settings.
    """
    arrays: dict[str, dict[str, Any]] = {}
    keys: dict[str, dict[str, Any]] = {}
    for system, name in log_names(folder, "statistics"):
        key, array = load_statistics(folder, system, name)
        arrays.setdefault(name, {})[system] = array
        keys.setdefault(name, {})[system] = key
    found = {
        name: _measured(name, keys[name], _stacked(arrays[name], rows))
        for name in sorted(arrays, key=_order)
    }
    return {
        name: replace(one, why=_reasons(folder, name, one, rows)) for name, one in found.items()
    }


def _reasons(
    folder: Path, name: str, one: ScorerResults, rows: Mapping[str, Sequence[str]]
) -> dict[str, list[str]]:
    return {
        row: [w for s in rows[row] for w in load_reasons(folder, s, name).values()]
        for row in one.statistics
    }


def _measured(
    name: str, keys: Mapping[str, Mapping[str, Any]], statistics: Mapping[str, Any]
) -> ScorerResults:
    signatures = {key["signature"] for key in keys.values()}
    if len(signatures) > 1:
        raise UserError(
            f"compare systems by {name}",
            f"they were measured with different settings: {'; '.join(sorted(signatures))}",
            mend="run the same command with all of these systems, so that they are measured alike",
        )
    family, variant = next(iter(keys.values())).get("built") or registry.split_name("scorer", name)
    return ScorerResults(
        registry.plugin_builder("scorer", family)(variant, BuildContext()),
        signatures.pop(),
        statistics,
    )


def _order(name: str) -> tuple[int, str]:
    families = list(registry.plugin_table("scorer"))
    known = [
        family
        for family in families
        if name == family or name.startswith((f"{family}-", f"{family}:"))
    ]
    return families.index(max(known, key=len)) if known else len(families), name
