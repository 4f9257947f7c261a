"""The two expensive stages of a run: systems answer, scorers measure; each finished log is sealed.

Both do only what the run's folder does not hold already.
"""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from parabench.contracts import (
    Example,
    Notice,
    Paraphrase,
    ProgressCallback,
    Scorer,
    UserError,
    examples_per_call,
    release_models,
    shared_encodings,
    system_role,
)
from parabench.data.examples import EvaluationSet
from parabench.pipeline.measuring import measure_block
from parabench.pipeline.plan import RunPlan, resolve_name
from parabench.sequences import LazyMap, blocks_of
from parabench.stats import leave_one_out
from parabench.store.log import Log, finished_predictions, finished_statistics, log_names
from parabench.store.log_paths import LogKind
from parabench.store.records import measured_texts, texts_digest
from parabench.store.run_folder import RunFolder
from parabench.torchrun import SINGLE_PROCESS, ProcessRank

SCORER_BATCH = 64
"""Examples measured together: what an interruption can cost at most.

It is the same whoever measures, because the batches of a model decide the last bit. A scorer whose
rows do not depend on one another's may ask for more by its ``block``; one process alone then obeys.
"""
_TWINS_OUT = {"twins": "left out"}
"""In the key of statistics of which some were measured without the reference that a text equals."""
SOURCES_AT_ONCE = 1 << 14
"""Sentences that a system is given at once; what it answers one does not depend on the others."""


def no_progress(
    what: str,
    done: int,
    total: int,
) -> None:
    """A ``ProgressCallback`` that shows nothing."""


def no_notice(text: str) -> None:
    """A ``Notice`` that tells nothing."""


@dataclass(frozen=True)
class OpenRun:
    """A plan with its open folder, as one process sees them.

    ``process``: which part of the work is this one's. ``advance`` and ``notice``: who is told of
    progress, and of what was set aside. ``twins``: whether a system has texts that equal a
    reference, by system, once it was looked up.
    """

    plan: RunPlan
    folder: RunFolder
    process: ProcessRank = SINGLE_PROCESS
    advance: ProgressCallback = no_progress
    notice: Notice = no_notice
    twins: dict[str, bool] = field(default_factory=dict)


def generate_answers(run: OpenRun, name: str) -> None:
    """Let the system ``name`` paraphrase what it has not yet, writing each batch as it finishes.

    Raises UserError where it does not give as many samples as were asked for.
    """
    plan = run.plan
    examples = plan.data.examples
    samples = plan.suite.decoding.samples
    log = prediction_log(run, name)
    mine = run.process.share(range(len(examples)))
    # 4 bytes an example, where a list of integers would take 32
    missing = array("I", _missing(log, examples, mine))
    for start in range(0, len(missing), SOURCES_AT_ONCE):
        places = missing[start : start + SOURCES_AT_ONCE]
        sources = [examples[place].source for place in places]
        for batch in plan.systems[name].paraphrase(sources):
            records = []
            for answer in batch:
                # A position is one among the sources of this call.
                example = examples[places[answer.position]]
                record = _record(name, answer, samples)
                records.append((example.id, record))
            # Written before it is counted: what is shown as done is on disk.
            log.append(records)
            run.advance(name, len(log.done), len(examples))
    # Of several processes the leading one seals, once it has everybody's records.
    if run.process.size == 1:
        log.seal(plan.data.examples.ids)


def _missing(
    log: Log,
    examples: Sequence[Example],
    places: Sequence[int],
) -> Iterator[int]:
    """The places of the examples that are not in the log."""
    if log.sealed:
        return
    for place in places:
        if examples[place].id not in log.done:
            yield place


def _record(
    system: str,
    answer: Paraphrase,
    samples: int,
) -> dict[str, Any]:
    """An answer as it is stored: what says nothing is left out."""
    if answer.samples and len(answer.samples) != samples:
        asked = f"take {len(answer.samples)} samples from {system}"
        raise UserError(asked, f"samples = {samples} were asked for")
    record: dict[str, Any] = {
        "text": answer.text,
        "finished": answer.finished,
    }
    if answer.samples and samples > 1:
        record["samples"] = list(answer.samples)
    if answer.turns:
        record["turns"] = list(answer.turns)
    if answer.reason:
        record["reason"] = answer.reason
    if answer.tokens is not None:
        record["tokens"] = list(answer.tokens)
    return record


def measure_answers(run: OpenRun) -> None:
    """Let every scorer measure all systems, block by block; then free its models.

    Scorers that share what a model makes of texts go through the blocks together. Raises UserError
    where a system's predictions are not those of the examples.
    """
    for names in _sharing(run.plan.scorers):
        _measure_together(run, names)


def _sharing(scorers: Mapping[str, Scorer]) -> list[list[str]]:
    """The names of the scorers in groups that measure block by block together."""
    groups = dict[Hashable, list[str]]()
    for name, scorer in scorers.items():
        shared = shared_encodings(scorer)
        # Who shares nothing is alone; who wants blocks of another size cannot be together.
        key = name if shared is None else (shared, examples_per_call(scorer, SCORER_BATCH))
        groups.setdefault(key, []).append(name)
    return list(groups.values())


def _measure_together(run: OpenRun, names: Sequence[str]) -> None:
    """Let the scorers ``names`` measure each block one after another."""
    plan = run.plan
    data = plan.data
    logs = dict[str, dict[str, Log]]()
    texts = dict[str, dict[str, Sequence[list[str]]]]()
    for name in names:
        of_systems = {system: statistics_log(run, system, name) for system in plan.systems}
        logs[name] = of_systems
        # A system whose log is finished is not given: its texts need not be read.
        unfinished = [system for system, log in of_systems.items() if not log.sealed]
        texts[name] = {
            system: _measured_texts(run, system, plan.scorers[name]) for system in unfinished
        }
    for block in _blocks_of_process(run, plan.scorers[names[0]]):
        for name in names:
            given = texts[name]
            open_logs = {system: logs[name][system] for system in given}
            scorer = plan.scorers[name]
            for system in measure_block(
                scorer, data, plan.suite.normalise, block, open_logs, given
            ):
                done_count = len(open_logs[system].done)
                run.advance(f"{name} of {system}", done_count, len(data.examples))
    for name in names:
        if run.process.size == 1:
            for log in logs[name].values():
                log.seal(data.examples.ids)
        release_models(plan.scorers[name])


def _blocks_of_process(run: OpenRun, scorer: Scorer) -> Sequence[Sequence[int]]:
    """The positions of the examples that this process measures, block by block."""
    # Several processes deal out blocks of one size, so that each finds what the others left.
    size = SCORER_BATCH
    if run.process.size == 1:
        size = examples_per_call(scorer, SCORER_BATCH)
    positions = range(len(run.plan.data.examples))
    return run.process.share(blocks_of(positions, size))


def prediction_log(run: OpenRun, system: str) -> Log:
    """The log of a system's answers; what opening it set aside is told."""
    built = run.plan.systems[system]
    # All that can change an answer, apart from what the whole run shares (``run_identity``).
    key = {
        "system": system,
        "signature": str(built.signature),
        "role": system_role(built),
    }
    return _open_log(run, "predictions", (system,), key)


def statistics_log(
    run: OpenRun,
    system: str,
    scorer: str,
) -> Log:
    """The log of what a scorer measured of a system's finished answers.

    ``system`` and ``scorer`` are names in the plan of ``run``. What opening it set aside is told.
    Raises UserError where the answers are not finished.
    """
    plan = run.plan
    built = plan.scorers[scorer]
    texts = _measured_texts(run, system, built)
    key = {
        "system": system,
        "scorer": scorer,
        "signature": str(built.signature),
        # Texts that were written again make what was measured of them stale.
        "predictions": digest_of_texts(plan.data, texts),
        "built": list(resolve_name("scorer", scorer, plan.suite)),
    }
    # Only where the rule changes a row: all else that older runs measured is what it would be now.
    if leave_one_out.needs_references(built) and _has_twins(run, system):
        key |= _TWINS_OUT
    return _open_log(run, "statistics", (system, scorer), key)


def check_other_systems(run: OpenRun) -> None:
    """Refuse a table in which texts that equal a reference are measured in two ways.

    Systems of earlier commands, which are not in the plan of ``run``, stay in the folder as they
    are. Raises UserError where one was measured with that reference left in, as it once was.
    """
    plan = run.plan
    reading = [name for name in plan.scorers if leave_one_out.needs_references(plan.scorers[name])]
    for system, scorer in log_names(run.folder.folder, "statistics"):
        if system in plan.systems or scorer not in reading:
            continue
        stored = finished_statistics(run.folder.folder, system, scorer)
        if _TWINS_OUT.items() <= stored.identity["key"].items() or not _has_twins(run, system):
            continue
        raise UserError(
            f"add systems to {run.folder.folder}",
            f"{system} has texts that equal a reference, and an earlier version measured them "
            "with that reference left in",
            mend=f"name {system} among --systems too: then it is measured as the others are",
        )


def _has_twins(run: OpenRun, system: str) -> bool:
    """Whether a text of a system's finished answers equals a reference of its example."""
    if system not in run.twins:
        plan = run.plan
        normalise = plan.suite.normalise
        records = finished_predictions(run.folder.folder, system).records
        found = False
        for example, (_, record) in zip(plan.data.examples, records, strict=False):
            texts = [normalise(text) for text in measured_texts(record)]
            if leave_one_out.drops_a_twin(normalise.example(example), texts):
                found = True
                break
        run.twins[system] = found
    return run.twins[system]


def _open_log(
    run: OpenRun,
    kind: LogKind,
    names: tuple[str, ...],
    key: Mapping[str, Any],
) -> Log:
    log = run.folder.log(kind, *names, key=key)
    for note in log.notes:
        run.notice(note)
    return log


def digest_of_texts(data: EvaluationSet, texts: Sequence[list[str]]) -> str:
    """The digest by which statistics name the texts that they were measured from."""
    return texts_digest(data.examples.by_id, data.examples.ids, texts.__getitem__)


def _measured_texts(
    run: OpenRun,
    system: str,
    scorer: Scorer,
) -> Sequence[list[str]]:
    """What a scorer is given of every example's answer, read when it is asked for."""
    plan = run.plan
    samples = 0
    if leave_one_out.compares_samples(scorer):
        samples = plan.suite.decoding.samples
    records = finished_predictions(run.folder.folder, system).records

    def texts(place: int) -> list[str]:
        name, record = records[place]
        if name != plan.data.examples[place].id:
            found = f"record {place + 1} is of example {name!r}"
            mend = "run the same command with another --output"
            raise UserError(f"measure {system}", found, mend=mend)
        return measured_texts(record, samples)

    return LazyMap(texts, range(len(records)))
