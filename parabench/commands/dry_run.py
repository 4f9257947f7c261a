"""The plan of a run, printed in seconds: what is done, what it costs, what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from parabench.commands.terminal import print_message

if TYPE_CHECKING:
    from parabench.contracts import Scorer, System
    from parabench.pipeline.plan import RunPlan

_DoneCounts = Mapping[tuple[str, ...], int]
"""Examples done, by the names of a log: of a system, or of a system and a scorer."""


def show_plan(plan: RunPlan, probe: bool) -> None:
    """Print everything a run would do and what stands in its way; exit code 2 if anything does.

    ``probe``: load each model and time a few examples. Without it no model is loaded, and only
    the size of the weights is shown, which their files' headers say.
    """
    from parabench.pipeline.plan import plan_problems
    from parabench.pipeline.runner import done_counts
    from parabench.pipeline.training_notes import training_notes

    done = done_counts(plan)
    problems = plan_problems(plan)
    _show_setting(plan)
    _show_systems(plan, problems, done, probe)
    for note in training_notes(plan, problems):
        typer.echo(f"trained   {note}")
    _show_scorers(plan, problems, done, probe)
    if not probe:
        typer.echo("\n--probe loads the models and estimates time and memory.")
    # Last and together, so that all can be mended before anything is computed.
    if problems:
        _print_problems(problems)
        raise SystemExit(2)


def _show_setting(plan: RunPlan) -> None:
    from parabench.pipeline.identity import decoding_preset

    data = plan.data
    runtime = plan.runtime
    preset = decoding_preset(plan.suite.decoding)
    fingerprint = data.fingerprint[:12]
    typer.echo(f"suite     {plan.suite.name}: {len(data.examples)} examples, data {fingerprint}")
    typer.echo(f"decoding  {preset}")
    typer.echo(f"runtime   {runtime.device} {runtime.dtype} seed={runtime.seed}")
    typer.echo(f"folder    {plan.folder}")


@dataclass(frozen=True)
class _Line:
    """What is told of one system or scorer: how far it is, and what the rest costs."""

    kind: str
    name: str
    state: str
    cost: str = ""

    def show(self) -> None:
        """Print it in columns."""
        text = f"{self.kind:<9} {self.name:<16} {self.state:<22} {self.cost}"
        typer.echo(text.rstrip())


def _show_systems(
    plan: RunPlan, problems: Mapping[str, str], done: _DoneCounts, probe: bool
) -> None:
    total = len(plan.data.examples)
    for name in plan.systems:
        if name in problems:
            line = _Line("system", name, "MISSING")
        else:
            generated = done[(name,)]
            state = f"{generated}/{total} generated"
            cost = _system_cost(plan, name, generated, probe)
            line = _Line("system", name, state, cost)
        line.show()


def _show_scorers(
    plan: RunPlan, problems: Mapping[str, str], done: _DoneCounts, probe: bool
) -> None:
    # Each scorer measures every example of every system.
    answers = len(plan.data.examples) * len(plan.systems)
    for name in plan.scorers:
        if name in problems:
            line = _Line("scorer", name, "MISSING")
        else:
            measured = sum(done[system, name] for system in plan.systems)
            missing = answers - measured
            state = f"{measured}/{answers} measured"
            cost = _scorer_cost(plan, name, missing, probe)
            line = _Line("scorer", name, state, cost)
        line.show()


def _system_cost(plan: RunPlan, name: str, generated: int, probe: bool) -> str:
    from parabench.contracts import estimated_cost
    from parabench.pipeline.estimates import estimate_system

    missing = plan.data.examples[generated:]
    if probe:
        estimate = estimate_system(plan, name, missing)
        return str(estimate)
    system = plan.systems[name]
    # A system that tells its cost itself needs no model for that.
    told = estimated_cost(system, len(missing)) if missing else None
    if told:
        return told
    return _weights_note(system, plan.runtime.dtype)


def _scorer_cost(plan: RunPlan, name: str, missing: int, probe: bool) -> str:
    from parabench.pipeline.estimates import estimate_scorer

    if probe:
        estimate = estimate_scorer(plan, name, missing)
        return str(estimate)
    scorer = plan.scorers[name]
    return _weights_note(scorer, plan.runtime.dtype)


def _weights_note(part: System | Scorer, dtype: str) -> str:
    """``2.6 GB of weights``, or what is to be fetched first; reads the headers of files only."""
    from parabench.models.cache import format_bytes
    from parabench.models.downloads import checkpoints_of, fetch_note, model_bytes
    from parabench.pipeline.estimates import ITEM_BYTES

    models = checkpoints_of(part)
    if not models:
        return "no model"
    absent = fetch_note(models)
    if absent:
        return absent
    item_bytes = ITEM_BYTES[dtype]
    weights = sum(model_bytes(model, item_bytes) for model in models)
    size = format_bytes(weights)
    return f"{size} of weights"


def _print_problems(problems: Mapping[str, str]) -> None:
    """Everything missing once, with the names of all that need it."""
    needed_by: dict[str, list[str]] = {}
    for name, problem in problems.items():
        needed_by.setdefault(problem, []).append(name)
    for problem, names in needed_by.items():
        listed = ", ".join(names)
        print_message(f"\n{problem}\n  for:     {listed}")
