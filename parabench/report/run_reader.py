"""Reading a run folder, once and verified, into ``RunResults``; no model is needed."""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from jaxtyping import UInt8

from parabench import registry
from parabench.contracts import Better, BuildContext, Column, Scorer, Signature, UserError
from parabench.report.output_columns import (
    OUTPUT_SCORER,
    OUTPUTS_READ,
    OutputScorer,
    OutputStatistics,
    output_statistics,
)
from parabench.report.results import RunResults, ScorerResults, SystemOutput, shown_positions
from parabench.report.truncation import TRUNCATION_COLUMN, TruncationScorer, TruncationStatistics
from parabench.scratch import scratch_array
from parabench.stats import seeds
from parabench.store.contents import check_is_run
from parabench.store.files import read_bytes
from parabench.store.log_files import LinesFile
from parabench.store.records import measured_texts
from parabench.store.seal import check_seal
from parabench.store.statistics_store import StatisticsStore


def load_results(folder: Path, max_texts: int | None = None) -> RunResults:
    """Read a run folder, with the texts of at most ``max_texts`` examples (None: of all).

    Raises: UserError: where the folder is no run, or is not as it was sealed, or where a scorer
    measured systems under different settings.
    """
    # The seal first of all that is believed: provenance says only that the folder is a run.
    facts = _facts(folder)
    contents = check_seal(folder)
    examples = contents.examples
    positions = shown_positions(len(examples), max_texts, facts["runtime"]["seed"])
    held = {examples[position].id for position in positions}
    written: dict[str, SystemOutput] = {}
    truncation: dict[str, TruncationStatistics] = {}
    of_outputs: dict[str, OutputStatistics] = {}
    first_examples = [examples[place] for place in range(min(len(examples), OUTPUTS_READ))]
    for name, predictions in contents.predictions.items():
        written[name], cut, first_texts = _output(name, predictions, facts, held)
        # A share of some of the examples would stand beside shares of all.
        if len(cut) == len(examples):
            truncation[name] = TruncationStatistics(cut)
            rows = output_statistics(first_examples, first_texts)
            of_outputs[name] = OutputStatistics(rows, len(examples))
    groups = seeds.seed_groups(written)
    outputs = {}
    for row, names in groups.items():
        outputs[row] = _merged([written[name] for name in names])
    measured = _all_measured(contents.statistics, groups)
    measured[TRUNCATION_COLUMN] = _by_harness(TruncationScorer(), truncation, groups)
    measured[OUTPUT_SCORER] = _by_harness(OutputScorer(), of_outputs, groups)
    return RunResults(facts, examples, outputs, measured, max_texts)


def _by_harness(
    scorer: Scorer, statistics: Mapping[str, Any], groups: Mapping[str, Sequence[str]]
) -> ScorerResults:
    """What the harness measured itself, in the form of a scorer's results."""
    return ScorerResults(scorer, str(scorer.signature), _by_row(statistics, groups))


def _merged(outputs: Sequence[SystemOutput]) -> SystemOutput:
    """The outputs of a row's training seeds as one."""
    return SystemOutput(
        texts=_joined([output.texts for output in outputs]),
        cut=frozenset[str]().union(*(output.cut for output in outputs)),
        role=outputs[0].role,
        signature=" and ".join(output.signature for output in outputs),
        training=tuple(facts for output in outputs for facts in output.training),
        sampled_texts=_joined([output.sampled_texts for output in outputs]),
        count=max(output.answered for output in outputs),
        systems=tuple(name for output in outputs for name in output.systems),
    )


def _joined(several: Sequence[Mapping[str, Sequence[str]]]) -> dict[str, list[str]]:
    """Texts by example, those of all seeds one after another."""
    joined: dict[str, list[str]] = {}
    for texts in several:
        for example, written in texts.items():
            joined.setdefault(example, []).extend(written)
    return joined


def _by_row(arrays: Mapping[str, Any], groups: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Arrays by row of the table: one, or a list of those of its training seeds.

    A row whose seeds do not all have an array is left out: its mean would be of some of them.
    """
    found: dict[str, Any] = {}
    for row, names in groups.items():
        if not all(name in arrays for name in names):
            continue
        several = [arrays[name] for name in names]
        found[row] = several if len(several) > 1 else several[0]
    return found


def _facts(folder: Path) -> dict[str, Any]:
    """The provenance of the run, of which what every report reads is checked to be there."""
    check_is_run(folder)
    path = folder / "provenance.json"
    mend = "finish it with the command that began it, parabench run or score"
    if not path.exists():
        found = "it is not finished: there is no provenance.json in it"
        raise UserError(f"read the run {folder}", found, mend=mend)
    try:
        facts: dict[str, Any] = json.loads(read_bytes(path))
        suite = facts["suite"]
        texts = [suite["title"], suite["note"], suite["headline"]]
        seed = facts["runtime"]["seed"]
        are_texts = all(isinstance(text, str) for text in texts)
        if not are_texts or not isinstance(seed, int):
            raise TypeError
    except (ValueError, TypeError, KeyError, RecursionError):
        found = "its provenance.json is damaged"
        raise UserError(f"read the run {folder}", found, mend=mend) from None
    return facts


def _is_cut(record: Mapping[str, Any]) -> bool:
    """Whether the length limit ended a text; a row without an answer has no text to be cut."""
    return not record["finished"] and "reason" not in record


def _output(
    name: str,
    contents: LinesFile,
    facts: Mapping[str, Any],
    held: Container[str],
) -> tuple[SystemOutput, UInt8[np.ndarray, " N"], list[list[str]]]:
    """What a system wrote, whether each of its outputs was cut, the first texts.

    Texts are kept of the examples in ``held`` alone; the others are looked at once and let go. The
    first texts are those that are compared with one another.
    """
    kept: dict[str, Mapping[str, Any]] = {}
    cut = scratch_array(len(contents.records), np.uint8)
    first_texts: list[list[str]] = []
    for place, (example, record) in enumerate(contents.records):
        cut[place] = _is_cut(record)
        if place < OUTPUTS_READ:
            first_texts.append(measured_texts(record))
        if example in held:
            kept[example] = record
    key = contents.identity["key"]
    texts = {example: measured_texts(record) for example, record in kept.items()}
    sampled = {}
    for example, record in kept.items():
        if "samples" in record:
            sampled[example] = record["samples"]
    # Runs from before training records have no facts of them.
    training = facts.get("training", {}).get(name, {})
    output = SystemOutput(
        texts=texts,
        cut=frozenset(example for example, record in kept.items() if _is_cut(record)),
        role=key["role"],
        signature=key["signature"],
        training=(training,),
        sampled_texts=sampled,
        count=len(cut),
        systems=(name,),
    )
    return output, cut, first_texts


def _all_measured(
    statistics: Mapping[tuple[str, str], StatisticsStore], groups: Mapping[str, Sequence[str]]
) -> dict[str, ScorerResults]:
    """The results of all scorers, in the order of the table.

    ``statistics``: by system and scorer.
    """
    by_scorer: dict[str, dict[str, StatisticsStore]] = {}
    for (system, name), stored in statistics.items():
        by_scorer.setdefault(name, {})[system] = stored
    found = {}
    for name in sorted(by_scorer, key=_order):
        stores = by_scorer[name]
        one = _measured(name, stores, _by_row(stores, groups))
        found[name] = replace(one, why=_reasons(stores, one, groups))
    return found


def _reasons(
    stores: Mapping[str, StatisticsStore],
    one: ScorerResults,
    groups: Mapping[str, Sequence[str]],
) -> dict[str, list[str]]:
    """By row, why examples have no value, an entry for each of them."""
    found: dict[str, list[str]] = {}
    for row in one.statistics:
        reasons: list[str] = []
        for system in groups[row]:
            reasons += stores[system].why.values()
        found[row] = reasons
    return found


def _measured(
    name: str,
    stores: Mapping[str, StatisticsStore],
    statistics: Mapping[str, Any],
) -> ScorerResults:
    """One scorer with its statistics; UserError where systems have different signatures in it."""
    keys = [stored.identity["key"] for stored in stores.values()]
    # A folder may hold systems of several commands, whose scorers may have had other settings.
    signatures = {key["signature"] for key in keys}
    if len(signatures) > 1:
        raise UserError(
            f"compare systems by {name}",
            f"they were measured with different settings: {'; '.join(sorted(signatures))}",
            mend="run the same command with all of these systems, so that they are measured alike",
        )
    # Older run folders do not say of what the scorer was built: there its name does.
    built = keys[0].get("built")
    family, variant = built or registry.split_name("scorer", name)
    # No options: `combine` must not depend on them, since none are needed to report a run.
    build = registry.plugin_builder("scorer", family)
    scorer = build(variant, BuildContext())
    signature = signatures.pop()
    return ScorerResults(_with_chosen_direction(scorer, signature), signature, statistics)


@dataclass(frozen=True)
class _DirectedScorer:
    """A scorer whose column runs the way that an option of the run chose."""

    columns: tuple[Column, ...]
    signature: Signature
    measure: Callable[..., Any]
    combine: Callable[..., Any]


def _with_chosen_direction(scorer: Scorer, signature: str) -> Scorer:
    """The scorer with the direction of its column that the run's signature of it says.

    A metric of another library has the direction that the suite gives it. The signature says so;
    the option itself is not kept, so a scorer built without it does not know.
    """
    chosen = dict(Signature.parse(signature).items).get("better")
    if len(scorer.columns) != 1 or chosen not in ("up", "down", "none"):
        return scorer
    (column,) = scorer.columns
    if column.better == chosen:
        return scorer
    directed = replace(column, better=cast("Better", chosen))
    return _DirectedScorer((directed,), scorer.signature, scorer.measure, scorer.combine)


def _order(name: str) -> tuple[int, str]:
    """The order of scorers in the table: that of their registry, then by name."""
    families = list(registry.plugin_table("scorer"))
    known = []
    for family in families:
        if name == family or name.startswith((f"{family}-", f"{family}:")):
            known.append(family)
    if not known:
        return len(families), name
    # "bleu-x" may be of the family "bleu-x" or of "bleu": the longest name is meant.
    return families.index(max(known, key=len)), name
