"""The one natural pass: resolve, load, generate, measure, combine, report; each stage reads what
the last one wrote.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parabench.contracts import (
    Example,
    Notice,
    Paraphrase,
    ProgressCallback,
    Scorer,
    UserError,
    examples_per_call,
    release_models,
    system_role,
)
from parabench.data.examples import EvaluationSet
from parabench.pipeline import provenance
from parabench.pipeline.measuring import measure_block
from parabench.pipeline.plan import RunPlan, check_plan, resolve_name
from parabench.pipeline.processes import WorkerRank, _Item, await_leader, await_records, await_seal
from parabench.sequences import LazyMap
from parabench.stats import leave_one_out
from parabench.store.log import Log, LogKind, read_finished, read_log
from parabench.store.records import measured_texts, texts_digest
from parabench.store.run_folder import RunFolder, join_run, open_run

if TYPE_CHECKING:
    from parabench.report.board import Leaderboard

SCORER_BATCH = 64
"""Examples measured together: what an interruption can cost, and the same whoever measures, so that
bits are too.

A scorer whose rows do not depend on one another's may ask for more by its ``block``; one process
alone then obeys.
"""
SOURCES_AT_ONCE = 1 << 14
"""Sentences that a system is given at once; what it answers one does not depend on the others."""
SINGLE_PROCESS = WorkerRank()


def run_plan(
    plan: RunPlan,
    advance: ProgressCallback = lambda what, done, total: None,
    notice: Notice = lambda text: None,
    share: WorkerRank = SINGLE_PROCESS,
) -> Leaderboard:
    """Finish a plan, doing only what its folder does not hold already, and report everything the
    folder holds.

    With a share of several processes, the others ``assist`` meanwhile; what they leave undone is
    done here.
    """
    from parabench.report.assemble import write_reports

    check_plan(plan)
    for note in plan.notes:
        notice(note)
    with open_run(plan.folder, plan.identity) as folder:
        folder.write_examples(example_records(plan))
        if share.size > 1:
            run_leader(replace(folder, rank=0), plan, share, advance, notice)
        for name in plan.systems:
            generate_answers(folder, plan, name, advance, notice)
        release_models(*plan.systems.values())
        for name in plan.scorers:
            measure_answers(folder, plan, name, advance, notice)
        provenance.write_provenance(plan, folder.folder)
        # Sealed first: the reports are made by a reader, and readers refuse what is not sealed.
        folder.seal()
        return write_reports(folder.folder)


def run_leader(
    folder: RunFolder, plan: RunPlan, share: WorkerRank, advance: ProgressCallback, notice: Notice
) -> None:
    """Do the first of several shares, and wait for the others; a log is finished as soon as all of
    it is there.
    """
    singly = [[example.id] for example in plan.data.examples]
    in_blocks = [[example.id for example in block] for block in scorer_batches(plan.data.examples)]
    for name in plan.systems:
        generate_answers(folder, plan, name, advance, notice, share)
    for name in plan.systems:
        await_records(_predictions(folder, plan, name), folder.folder, singly, share)
        generate_answers(replace(folder, rank=None), plan, name, advance, notice)
    release_models(*plan.systems.values())
    for name in plan.scorers:
        measure_answers(folder, plan, name, advance, notice, share)
    for name in plan.scorers:
        for system in plan.systems:
            await_records(_statistics(folder, plan, system, name), folder.folder, in_blocks, share)


def run_worker(plan: RunPlan, share: WorkerRank) -> None:
    """Do one of several shares of a run that another process leads."""

    def quiet(*_: object) -> None:
        """Only the leading process speaks."""

    check_plan(plan)
    if not await_leader(plan.folder, lambda: is_measured(plan, share), share):
        return
    try:
        with join_run(plan.folder, plan.identity, share.rank) as folder:
            for name in plan.systems:
                generate_answers(folder, plan, name, quiet, quiet, share)
            for name in plan.systems:
                await_seal(_predictions(folder, plan, name), folder.folder, share)
            release_models(*plan.systems.values())
            for name in plan.scorers:
                measure_answers(folder, plan, name, quiet, quiet, share)
    except UserError:
        if not is_measured(
            plan, share
        ):  # else the leading process was done before this one had come so far
            raise


def is_measured(plan: RunPlan, share: WorkerRank) -> bool:
    """Whether all answers and all statistics of a plan are finished."""
    folder = RunFolder(plan.folder, share.rank)
    try:
        return all(_predictions(folder, plan, name).sealed for name in plan.systems) and all(
            _statistics(folder, plan, system, name).sealed
            for name in plan.scorers
            for system in plan.systems
        )
    except UserError:
        return False


def example_records(plan: RunPlan) -> Sequence[dict[str, Any]]:
    """The examples as they are stored."""
    return LazyMap(
        lambda e: {
            "id": e.id,
            "source": e.source,
            "references": list(e.references),
            "cluster": e.cluster,
        },
        plan.data.examples,
    )


def generate_answers(
    folder: RunFolder,
    plan: RunPlan,
    name: str,
    advance: ProgressCallback,
    notice: Notice,
    share: WorkerRank = SINGLE_PROCESS,
) -> None:
    """Let one system paraphrase what it has not yet, writing each batch as it finishes."""
    log = _predictions(folder, plan, name, notice)
    examples = plan.data.examples
    missing = array("I", _missing(log, examples, share.of(range(len(examples)))))
    for start in range(0, len(missing), SOURCES_AT_ONCE):
        places = missing[start : start + SOURCES_AT_ONCE]
        sources = [examples[place].source for place in places]
        for batch in plan.systems[name].paraphrase(sources):
            ids = [examples[places[answer.position]].id for answer in batch]
            made = [_record(name, answer, plan.suite.decoding.samples) for answer in batch]
            log.append(list(zip(ids, made, strict=True)))
            advance(name, len(log.done), len(plan.data.examples))
    if share.size == 1:
        log.seal(_ids(plan.data))


def _ids(data: EvaluationSet) -> Sequence[str]:
    return LazyMap(lambda example: example.id, data.examples)


def _record(system: str, answer: Paraphrase, samples: int) -> dict[str, Any]:
    if answer.samples and len(answer.samples) != samples:
        raise UserError(
            f"take {len(answer.samples)} samples from {system}",
            f"samples = {samples} were asked for",
        )
    made: dict[str, Any] = {"text": answer.text, "finished": answer.finished}
    made |= {"samples": list(answer.samples)} if samples > 1 and answer.samples else {}
    made |= {"turns": list(answer.turns)} if answer.turns else {}
    made |= {"reason": answer.reason} if answer.reason else {}
    return made if answer.tokens is None else made | {"tokens": list(answer.tokens)}


def measure_answers(
    folder: RunFolder,
    plan: RunPlan,
    name: str,
    advance: ProgressCallback,
    notice: Notice,
    share: WorkerRank = SINGLE_PROCESS,
) -> None:
    """Let one scorer measure all systems of the plan, block by block, then release its models."""
    scorer = plan.scorers[name]
    logs = {system: _statistics(folder, plan, system, name, notice) for system in plan.systems}
    unfinished = {system: log for system, log in logs.items() if not log.sealed}
    texts = {system: _texts(folder, plan, system, scorer) for system in unfinished}
    size = examples_per_call(scorer, SCORER_BATCH) if share.size == 1 else SCORER_BATCH
    for block in share.of(scorer_batches(range(len(plan.data.examples)), size)):
        done = measure_block(scorer, plan.data, plan.suite.normalise, block, unfinished, texts)
        for system in done:
            advance(f"{name} of {system}", len(logs[system].done), len(plan.data.examples))
    if share.size == 1:
        for log in logs.values():
            log.seal(_ids(plan.data))
    release_models(scorer)


def _predictions(
    folder: RunFolder, plan: RunPlan, name: str, notice: Notice = lambda text: None
) -> Log:
    system = plan.systems[name]
    key = {
        "system": name,
        "signature": str(system.signature),
        "role": system_role(system),
    }
    return _log(folder, notice, "predictions", name, key=key)


def _statistics(
    folder: RunFolder, plan: RunPlan, system: str, name: str, notice: Notice = lambda text: None
) -> Log:
    scorer = plan.scorers[name]
    key = {
        "system": system,
        "scorer": name,
        "signature": str(scorer.signature),
        "predictions": _digest(plan.data, _texts(folder, plan, system, scorer)),
        "built": list(resolve_name("scorer", name, plan.suite)),
    }
    return _log(folder, notice, "statistics", system, name, key=key)


def _texts(folder: RunFolder, plan: RunPlan, system: str, scorer: Scorer) -> Sequence[list[str]]:
    """What a scorer is given of every example's answer, read when it is asked for."""
    samples = plan.suite.decoding.samples if leave_one_out.compares_samples(scorer) else 0
    records = read_finished(folder.folder, "predictions", system).records

    def given(place: int) -> list[str]:
        name, record = records[place]
        if name != plan.data.examples[place].id:
            found = f"record {place + 1} is of example {name!r}"
            raise UserError(
                f"measure {system}", found, mend="run the same command with another --output"
            )
        return measured_texts(record, samples)

    return LazyMap(given, range(len(records)))


def _log(folder: RunFolder, notice: Notice, kind: LogKind, *names: str, key: dict[str, Any]) -> Log:
    log = folder.log(kind, *names, key=key)
    for note in log.notes:
        notice(note)
    return log


def _digest(data: EvaluationSet, texts: Sequence[list[str]]) -> str:
    """The digest by which statistics name the texts that they were measured from."""
    return texts_digest(data.by_id, _ids(data), texts.__getitem__)


def _missing(log: Log, examples: Sequence[Example], places: Sequence[int]) -> Iterator[int]:
    return (place for place in ([] if log.sealed else places) if examples[place].id not in log.done)


def scorer_batches(examples: Sequence[_Item], size: int = SCORER_BATCH) -> list[Sequence[_Item]]:
    """The examples in the blocks in which they are measured."""
    return [examples[start : start + size] for start in range(0, len(examples), size)]


def done_counts(plan: RunPlan) -> dict[tuple[str, ...], int]:
    """How many examples each system, and each system and scorer, has done already; for a dry
    run.
    """
    made = {(name,): _done(plan.folder, "predictions", name) for name in plan.systems}
    pairs = ((system, scorer) for scorer in plan.scorers for system in plan.systems)
    return made | {pair: _done(plan.folder, "statistics", *pair) for pair in pairs}


def _done(folder: Path, kind: LogKind, *names: str) -> int:
    try:
        return len(read_log(folder, kind, *names)[1])
    except UserError:
        return 0
