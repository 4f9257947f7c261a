"""The one natural pass: resolve, load, generate, measure, combine, report.

Each stage reads what the one before it wrote, so that an interrupted run resumes where it was.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from parabench.contracts import Notice, ProgressCallback, UserError, release_models
from parabench.pipeline import provenance
from parabench.pipeline.plan import RunPlan, check_plan
from parabench.pipeline.processes import Waiting, await_leader, await_records, await_seal
from parabench.pipeline.run_logs import (
    OpenRun,
    check_other_systems,
    no_notice,
    no_progress,
    prediction_log,
    statistics_log,
)
from parabench.pipeline.stages import SCORER_BATCH, generate_answers, measure_answers
from parabench.sequences import LazyMap, blocks_of
from parabench.store.example_store import example_record
from parabench.store.log import read_log
from parabench.store.log_paths import LogKind
from parabench.store.run_folder import RunFolder, join_run, open_run
from parabench.torchrun import SINGLE_PROCESS, ProcessRank

if TYPE_CHECKING:
    from parabench.report.board import Leaderboard

_PATIENT = Waiting()


def run_plan(
    plan: RunPlan,
    advance: ProgressCallback = no_progress,
    notice: Notice = no_notice,
    process: ProcessRank = SINGLE_PROCESS,
    waiting: Waiting = _PATIENT,
) -> Leaderboard:
    """Finish a plan, and report everything that its folder holds.

    Only what the folder does not hold already is done. ``advance`` and ``notice`` hear of
    progress, and of what was set aside. ``process``: the leading one of several that share the
    work; the others call ``run_worker`` meanwhile, and what they leave undone is done here.
    ``waiting``: how long for them.

    Raises UserError where a file is missing, or the folder is of another run or held by another
    process.
    """
    from parabench.report.assemble import write_reports

    check_plan(plan)
    for note in plan.notes:
        notice(note)
    with open_run(plan.folder, plan.identity) as folder:
        folder.write_examples(LazyMap(example_record, plan.data.examples))
        run = OpenRun(plan, folder, SINGLE_PROCESS, advance, notice)
        check_other_systems(run)
        if process.size > 1:
            ranked = replace(folder, rank=0)
            _lead(replace(run, folder=ranked, process=process), waiting)
        for system in plan.systems:
            generate_answers(run, system)
        release_models(*plan.systems.values())
        measure_answers(run)
        provenance.write_provenance(plan, folder.folder)
        # Sealed first: the reports are made by a reader, and readers refuse what is not sealed.
        folder.seal()
        return write_reports(folder.folder)


def _lead(run: OpenRun, waiting: Waiting) -> None:
    """Do the first share of the work, and wait for the others.

    Answers are finished here, because every process measures those of all; statistics are finished
    by the caller, who finds all of them in the folder.
    """
    plan = run.plan
    folder = run.folder.folder
    size = run.process.size
    quiet = replace(run, notice=no_notice)  # what was set aside is told once
    whole = replace(run, folder=replace(run.folder, rank=None), process=SINGLE_PROCESS)
    # Answers are dealt out one by one, measurements in blocks.
    ids = [example.id for example in plan.data.examples]
    single_ids = blocks_of(ids, 1)
    id_blocks = blocks_of(ids, SCORER_BATCH)
    for system in plan.systems:
        generate_answers(run, system)
    for system in plan.systems:
        await_records(prediction_log(quiet, system), folder, single_ids, size, waiting)
        generate_answers(whole, system)
    release_models(*plan.systems.values())
    measure_answers(run)
    for scorer in plan.scorers:
        for system in plan.systems:
            log = statistics_log(quiet, system, scorer)
            await_records(log, folder, id_blocks, size, waiting)


def run_worker(
    plan: RunPlan,
    process: ProcessRank,
    waiting: Waiting = _PATIENT,
) -> None:
    """Do the share of one ``process`` of a run that another process leads.

    ``plan``: the same as that of the leading process. ``waiting``: how long for it. Only the
    leading process tells the user of progress.

    Raises UserError where no process leads, or the leading one ends before the answers are
    finished.
    """
    check_plan(plan)
    unlocked = OpenRun(plan, RunFolder(plan.folder, process.rank))
    if not await_leader(plan.folder, lambda: _is_finished(unlocked), waiting):
        return
    try:
        with join_run(plan.folder, plan.identity, process.rank) as folder:
            run = OpenRun(plan, folder, process)
            for system in plan.systems:
                generate_answers(run, system)
            for system in plan.systems:
                await_seal(prediction_log(run, system), folder.folder, waiting)
            release_models(*plan.systems.values())
            measure_answers(run)
    except UserError:
        # The leading process may have done everything before this one had come so far.
        if not _is_finished(unlocked):
            raise


def _is_finished(run: OpenRun) -> bool:
    """Whether all answers and all statistics of a plan are finished."""
    plan = run.plan
    try:
        for system in plan.systems:
            if not prediction_log(run, system).sealed:
                return False
        for scorer in plan.scorers:
            for system in plan.systems:
                if not statistics_log(run, system, scorer).sealed:
                    return False
    except UserError:
        return False
    return True


def done_counts(plan: RunPlan) -> dict[tuple[str, ...], int]:
    """How many examples each system, and each system and scorer, has done already."""
    counts: dict[tuple[str, ...], int] = {}
    for system in plan.systems:
        counts[(system,)] = _done(plan.folder, "predictions", system)
    for scorer in plan.scorers:
        for system in plan.systems:
            counts[system, scorer] = _done(plan.folder, "statistics", system, scorer)
    return counts


def _done(folder: Path, kind: LogKind, *names: str) -> int:
    try:
        _, records = read_log(folder, kind, *names)
    except UserError:
        # No such log yet, or one that does not verify: then nothing of it is used.
        return 0
    return len(records)
