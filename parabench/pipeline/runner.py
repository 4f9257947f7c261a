"""The one natural pass: resolve, load, generate, measure, combine, report; each stage reads what
the last one wrote.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parabench.contracts import Advance, Example, Paraphrase, Scorer, UserError, release
from parabench.data.examples import EvaluationSet
from parabench.pipeline import provenance
from parabench.pipeline.plan import Plan, check, meant
from parabench.pipeline.processes import Item, Share, await_leader, await_seal, gather
from parabench.sequences import LazyMap
from parabench.stats import leave_one_out, undefined
from parabench.store.log import Kind, Log, read_finished, read_log
from parabench.store.records import canonical
from parabench.store.run_folder import Run, join_run, open_run

if TYPE_CHECKING:
    from parabench.report.board import Leaderboard

BLOCK = 64
"""Examples measured together: what an interruption can cost, and the same whoever measures, so that
bits are too.

A scorer whose rows do not depend on one another's may ask for more by its ``block``; one process
alone then obeys.
"""
TOGETHER = 1 << 14
"""Sentences that a system is given at once; what it answers one does not depend on the others."""
WHOLE = Share()

Notice = Callable[[str], None]
"""Told what was set aside and why: torn ends, and records made with other settings."""


def run(
    plan: Plan,
    advance: Advance = lambda what, done, total: None,
    notice: Notice = lambda text: None,
    share: Share = WHOLE,
) -> Leaderboard:
    """Finish a plan, doing only what its folder does not hold already, and report everything the
    folder holds.

    With a share of several processes, the others ``assist`` meanwhile; what they leave undone is
    done here.
    """
    from parabench.report.assemble import write_reports

    check(plan)
    if plan.data.dropped:
        notice(
            f"{plan.data.dropped} references are left out by the seed: all examples have {plan.data.references}"
        )
    with open_run(plan.folder, plan.identity) as folder:
        folder.write_examples(example_records(plan))
        if share.size > 1:
            lead(replace(folder, rank=0), plan, share, advance, notice)
        for name in plan.systems:
            generate(folder, plan, name, advance, notice)
        release(*plan.systems.values())
        for name in plan.scorers:
            measure(folder, plan, name, advance, notice)
        provenance.write(plan, folder.folder)
        board = write_reports(folder.folder)
        folder.seal()
    return board


def lead(folder: Run, plan: Plan, share: Share, advance: Advance, notice: Notice) -> None:
    """Do the first of several shares, and wait for the others; a log is finished as soon as all of
    it is there.
    """
    singly = [[example.id] for example in plan.data.examples]
    in_blocks = [[example.id for example in block] for block in blocks(plan.data.examples)]
    for name in plan.systems:
        generate(folder, plan, name, advance, notice, share)
    for name in plan.systems:
        gather(_predictions(folder, plan, name), folder.folder, singly, share)
        generate(replace(folder, rank=None), plan, name, advance, notice)
    release(*plan.systems.values())
    for name in plan.scorers:
        measure(folder, plan, name, advance, notice, share)
    for name in plan.scorers:
        for system in plan.systems:
            gather(_statistics(folder, plan, system, name), folder.folder, in_blocks, share)


def assist(plan: Plan, share: Share) -> None:
    """Do one of several shares of a run that another process leads."""

    def quiet(*_: object) -> None:
        """Only the leading process speaks."""

    check(plan)
    if not await_leader(plan.folder, lambda: is_measured(plan, share), share):
        return
    try:
        with join_run(plan.folder, plan.identity, share.rank) as folder:
            for name in plan.systems:
                generate(folder, plan, name, quiet, quiet, share)
            for name in plan.systems:
                await_seal(_predictions(folder, plan, name), folder.folder, share)
            release(*plan.systems.values())
            for name in plan.scorers:
                measure(folder, plan, name, quiet, quiet, share)
    except UserError:
        if not is_measured(
            plan, share
        ):  # else the leading process was done before this one had come so far
            raise


def is_measured(plan: Plan, share: Share) -> bool:
    """Whether all answers and all statistics of a plan are finished."""
    folder = Run(plan.folder, share.rank)
    try:
        return all(_predictions(folder, plan, name).sealed for name in plan.systems) and all(
            _statistics(folder, plan, system, name).sealed
            for name in plan.scorers
            for system in plan.systems
        )
    except UserError:
        return False


def example_records(plan: Plan) -> Sequence[dict[str, Any]]:
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


def generate(
    folder: Run, plan: Plan, name: str, advance: Advance, notice: Notice, share: Share = WHOLE
) -> None:
    """Let one system paraphrase what it has not yet, writing each batch as it finishes."""
    log = _predictions(folder, plan, name, notice)
    examples = plan.data.examples
    missing = array("I", _missing(log, examples, share.of(range(len(examples)))))
    for start in range(0, len(missing), TOGETHER):
        places = missing[start : start + TOGETHER]
        sources = [examples[place].source for place in places]
        for batch in plan.systems[name].paraphrase(sources):
            ids = [examples[places[answer.position]].id for answer in batch]
            made = [_record(name, answer, plan.suite.decoding.samples) for answer in batch]
            log.append(list(zip(ids, made, strict=True)))
            advance(name, len(log.done), len(plan.data.examples))
    if share.size == 1:
        log.seal(_ids(plan))


def _ids(plan: Plan) -> Sequence[str]:
    return LazyMap(lambda example: example.id, plan.data.examples)


def _record(system: str, answer: Paraphrase, samples: int) -> dict[str, Any]:
    if answer.samples and len(answer.samples) != samples:
        raise UserError(
            f"take {len(answer.samples)} samples from {system}",
            f"samples = {samples} were asked for",
        )
    made: dict[str, Any] = {"text": answer.text, "finished": answer.finished}
    made |= {"samples": list(answer.samples)} if samples > 1 and answer.samples else {}
    made |= {"turns": list(answer.turns)} if answer.turns else {}
    return made if answer.tokens is None else made | {"tokens": list(answer.tokens)}


def measure(
    folder: Run, plan: Plan, name: str, advance: Advance, notice: Notice, share: Share = WHOLE
) -> None:
    """Let one scorer measure all systems of the plan, block by block, then release its models."""
    scorer, plain = plan.scorers[name], plan.suite.normalise
    for system in plan.systems:
        log, texts = (
            _statistics(folder, plan, system, name, notice),
            _texts(folder, plan, system, scorer),
        )
        size = getattr(scorer, "block", BLOCK) if share.size == 1 else BLOCK
        for block in share.of(blocks(range(len(plan.data.examples)), size)):
            if left := list(_missing(log, plan.data.examples, block)):
                given = [list(map(plain, texts[place])) for place in left]
                examples = [plain.example(plan.data.examples[place]) for place in left]
                rows = leave_one_out.measure(scorer, examples, given)
                records = [
                    (example.id, row) for example, row in zip(examples, rows.tolist(), strict=True)
                ]
                log.append(records, undefined.reasons(scorer, examples, given, rows))
                advance(f"{name} of {system}", len(log.done), len(plan.data.examples))
        if share.size == 1:
            log.seal(_ids(plan))
    release(scorer)


def _predictions(folder: Run, plan: Plan, name: str, notice: Notice = lambda text: None) -> Log:
    system = plan.systems[name]
    key = {
        "system": name,
        "signature": str(system.signature),
        "role": getattr(system, "role", "system"),
    }
    return _log(folder, notice, "predictions", name, key=key)


def _statistics(
    folder: Run, plan: Plan, system: str, name: str, notice: Notice = lambda text: None
) -> Log:
    scorer = plan.scorers[name]
    key = {
        "system": system,
        "scorer": name,
        "signature": str(scorer.signature),
        "predictions": _digest(plan.data, _texts(folder, plan, system, scorer)),
        "built": list(meant("scorer", name, plan.suite)),
    }
    return _log(folder, notice, "statistics", system, name, key=key)


def _texts(folder: Run, plan: Plan, system: str, scorer: Scorer) -> Sequence[list[str]]:
    """What a scorer is given of every example's answer, read when it is asked for."""
    records = read_finished(folder.folder, "predictions", system).records

    def given(place: int) -> list[str]:
        name, record = records[place]
        if name != plan.data.examples[place].id:
            found = f"record {place + 1} is of example {name!r}"
            raise UserError(
                f"measure {system}", found, mend="run the same command with another --output"
            )
        return leave_one_out.given(scorer, record, plan.suite.decoding.samples)

    return LazyMap(given, range(len(records)))


def _log(folder: Run, notice: Notice, kind: Kind, *names: str, key: dict[str, Any]) -> Log:
    log = folder.log(kind, *names, key=key)
    for note in log.notes:
        notice(note)
    return log


def _digest(data: EvaluationSet, texts: Sequence[list[str]]) -> str:
    """The SHA-256 of ``canonical`` of all texts by id, which are never held whole."""
    digest, comma = hashlib.sha256(b"{"), b""
    for place in data.by_id:
        digest.update(comma + canonical(data.examples[place].id) + b":" + canonical(texts[place]))
        comma = b","
    digest.update(b"}")
    return digest.hexdigest()


def _missing(log: Log, examples: Sequence[Example], places: Sequence[int]) -> Iterator[int]:
    return (place for place in ([] if log.sealed else places) if examples[place].id not in log.done)


def blocks(examples: Sequence[Item], size: int = BLOCK) -> list[Sequence[Item]]:
    """The examples in the blocks in which they are measured."""
    return [examples[start : start + size] for start in range(0, len(examples), size)]


def status(plan: Plan) -> dict[tuple[str, ...], int]:
    """How many examples each system, and each system and scorer, has done already; for a dry
    run.
    """
    made = {(name,): _done(plan.folder, "predictions", name) for name in plan.systems}
    pairs = ((system, scorer) for scorer in plan.scorers for system in plan.systems)
    return made | {pair: _done(plan.folder, "statistics", *pair) for pair in pairs}


def _done(folder: Path, kind: Kind, *names: str) -> int:
    try:
        return len(read_log(folder, kind, *names)[1])
    except UserError:
        return 0
