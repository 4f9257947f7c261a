"""The two expensive stages of a run: systems answer, scorers measure; each finished log is sealed.

Both do only what the run's folder does not hold already.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

from parabench.contracts import (
    Example,
    Paraphrase,
    Scorer,
    UserError,
    examples_per_call,
    model_names,
    release_models,
    shared_encodings,
    system_role,
)
from parabench.pipeline.measuring import measure_block
from parabench.pipeline.plan import RunPlan
from parabench.pipeline.run_logs import OpenRun, prediction_log, statistics_log, texts_to_measure
from parabench.sequences import blocks_of, in_blocks
from parabench.store.log import Log

SCORER_BATCH = 64
"""Examples measured together: what an interruption can cost at most.

It is the same whoever measures, because the batches of a model decide the last bit. A scorer whose
rows do not depend on one another's may ask for more by its ``block``; one process alone then obeys.
"""
_LIGHT = 0.02
"""What a control, or a scorer without a model, weighs in the line of progress; a model weighs 1."""
SOURCES_AT_ONCE = 1 << 14
"""Sentences that a system is given at once; what it answers one does not depend on the others."""


def generate_answers(run: OpenRun, name: str) -> None:
    """Let the system ``name`` paraphrase what it has not yet, writing each batch as it finishes.

    Raises UserError where it does not give as many samples as were asked for.
    """
    plan = run.plan
    examples = plan.data.examples
    samples = plan.suite.decoding.samples
    log = prediction_log(run, name)
    mine = run.process.share(range(len(examples)))
    # looked for as the log grows, which holds nothing of places that are still to come
    for places in in_blocks(_missing(log, examples, mine), SOURCES_AT_ONCE):
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


def work_by_weight(plan: RunPlan) -> list[dict[str, float]]:
    """The kinds of work of a plan, as a line of progress names them, in stages, with weights.

    Each system is a stage, then the scorers of all systems that measure side by side. The answers
    of a system are weighed as all scores of them together.
    """
    weights = {}
    for name, scorer in plan.scorers.items():
        weights[name] = 1.0 if model_names(scorer) else _LIGHT
    of_answers = max(1.0, sum(weights.values()))
    found: list[dict[str, float]] = []
    for name, system in plan.systems.items():
        # An endpoint has no model here, and takes as long as one.
        found.append({name: of_answers if system_role(system) == "system" else _LIGHT})
    for names in scorers_together(plan.scorers):
        of_systems = [
            (f"{name} of {system}", weights[name]) for name in names for system in plan.systems
        ]
        found.append(dict(of_systems))
    return found


def measure_answers(run: OpenRun) -> None:
    """Let every scorer measure all systems, block by block; then free its models.

    Scorers that share what a model makes of texts go through the blocks together. Raises UserError
    where a system's predictions are not those of the examples.
    """
    for names in scorers_together(run.plan.scorers):
        _measure_together(run, names)


def scorers_together(scorers: Mapping[str, Scorer]) -> list[list[str]]:
    """The names of the scorers in groups that go through the blocks side by side."""
    groups = dict[Hashable, list[str]]()
    for name, scorer in scorers.items():
        shared = shared_encodings(scorer)
        # Who shares nothing is alone; who wants blocks of another size cannot be together.
        key: Hashable = name
        if shared is not None:
            key = (shared, examples_per_call(scorer, SCORER_BATCH))
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
            system: texts_to_measure(run, system, plan.scorers[name]) for system in unfinished
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
