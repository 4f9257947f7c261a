"""A run that is being carried out, and the logs of its answers and measurements.

Each log is stored under a key that holds whatever can change its records.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from parabench.contracts import (
    Notice,
    ProgressCallback,
    Scorer,
    UserError,
    system_role,
)
from parabench.data.examples import EvaluationSet
from parabench.pipeline.plan import RunPlan, resolve_name
from parabench.sequences import LazyMap
from parabench.stats import leave_one_out
from parabench.store.log import Log, finished_predictions, finished_statistics, log_names
from parabench.store.log_paths import LogKind
from parabench.store.records import measured_texts, texts_digest
from parabench.store.run_folder import RunFolder
from parabench.torchrun import SINGLE_PROCESS, ProcessRank

_TWINS_OUT = {"twins": "left out"}
"""In the key of statistics of which some were measured without the reference that a text equals."""


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

    ``process``: which part of the work is this one's. ``advance`` and ``notice``: called
    with progress, and with what was set aside. ``twins``: whether a system has texts that equal a
    reference, by system, once it was looked up.
    """

    plan: RunPlan
    folder: RunFolder
    process: ProcessRank = SINGLE_PROCESS
    advance: ProgressCallback = no_progress
    notice: Notice = no_notice
    twins: dict[str, bool] = field(default_factory=dict)


def prediction_log(run: OpenRun, system: str) -> Log:
    """The log of a system's answers; reports what opening it set aside."""
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

    ``system`` and ``scorer`` are names in the plan of ``run``. It reports what opening it set
    aside. Raises UserError where the answers are not finished.
    """
    plan = run.plan
    built = plan.scorers[scorer]
    texts = texts_to_measure(run, system, built)
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


def texts_to_measure(
    run: OpenRun,
    system: str,
    scorer: Scorer,
) -> Sequence[list[str]]:
    """What ``scorer`` is given of each answer of ``system``, read when it is asked for.

    Raises UserError, when it is read, where a record is of another example than its place says.
    """
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
