"""The plan of a run, printed in seconds: what is done, what it costs, what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import typer

from parabench.commands.terminal import print_message

if TYPE_CHECKING:
    from parabench.contracts import Scorer, System
    from parabench.pipeline.plan import RunPlan


def show_plan(plan: RunPlan, probe: bool) -> None:
    """Print everything a run would do and what stands in its way; exit code 2 if anything does.

    ``probe``: load each model and time a few examples. Without it no model is loaded, and only
    the size of the weights is shown, which their files' headers say.
    """
    from parabench.pipeline.identity import decoding_preset
    from parabench.pipeline.plan import plan_problems
    from parabench.pipeline.runner import done_counts
    from parabench.pipeline.training_notes import training_notes

    done = done_counts(plan)
    problems = plan_problems(plan)
    total = len(plan.data.examples)
    runtime = plan.runtime
    typer.echo(f"suite     {plan.suite.name}: {total} examples, data {plan.data.fingerprint[:12]}")
    typer.echo(f"decoding  {decoding_preset(plan.suite.decoding)}")
    typer.echo(f"runtime   {runtime.device} {runtime.dtype} seed={runtime.seed}")
    typer.echo(f"folder    {plan.folder}")
    for name in plan.systems:
        generated = done[(name,)]
        state = "MISSING" if name in problems else f"{generated}/{total} generated"
        cost = "" if name in problems else _system_cost(plan, name, generated, probe)
        typer.echo(f"system    {name:<16} {state:<22} {cost}".rstrip())
    for note in training_notes(plan, problems):
        typer.echo(f"trained   {note}")
    # Each scorer measures every example of every system.
    answers = total * len(plan.systems)
    for name in plan.scorers:
        measured = sum(done[system, name] for system in plan.systems)
        state = "MISSING" if name in problems else f"{measured}/{answers} measured"
        cost = "" if name in problems else _scorer_cost(plan, name, answers - measured, probe)
        typer.echo(f"scorer    {name:<16} {state:<22} {cost}".rstrip())
    if not probe:
        typer.echo("\n--probe loads the models and estimates time and memory.")
    # Last and together, so that all can be mended before anything is computed.
    if problems:
        _print_problems(problems)
        raise SystemExit(2)


def _system_cost(plan: RunPlan, name: str, generated: int, probe: bool) -> str:
    from parabench.contracts import estimated_cost
    from parabench.pipeline.estimates import estimate_system

    missing = plan.data.examples[generated:]
    if probe:
        return str(estimate_system(plan, name, missing))
    # A system that tells its cost itself needs no model for that.
    if missing and (told := estimated_cost(plan.systems[name], len(missing))):
        return told
    return _weights_note(plan.systems[name], plan.runtime.dtype)


def _scorer_cost(plan: RunPlan, name: str, missing: int, probe: bool) -> str:
    from parabench.pipeline.estimates import estimate_scorer

    if probe:
        return str(estimate_scorer(plan, name, missing))
    return _weights_note(plan.scorers[name], plan.runtime.dtype)


def _weights_note(part: System | Scorer, dtype: str) -> str:
    """``2.6 GB of weights``, or what is to be fetched first; reads the headers of files only."""
    from parabench.models.cache import format_bytes
    from parabench.models.downloads import checkpoints_of, fetch_note, model_bytes
    from parabench.pipeline.estimates import ITEM_BYTES

    models = checkpoints_of(part)
    if not models:
        return "no model"
    if absent := fetch_note(models):
        return absent
    weights = sum(model_bytes(model, ITEM_BYTES[dtype]) for model in models)
    return f"{format_bytes(weights)} of weights"


def _print_problems(problems: Mapping[str, str]) -> None:
    """Everything missing once, with the names of all that need it."""
    needed_by: dict[str, list[str]] = {}
    for name, problem in problems.items():
        needed_by.setdefault(problem, []).append(name)
    for problem, names in needed_by.items():
        print_message(f"\n{problem}\n  for:     {', '.join(names)}")
