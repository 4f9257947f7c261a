"""Whole runs without any model: six examples, systems that copy, scorers that count."""

import json
from dataclasses import replace
from pathlib import Path

from parabench.contracts import UserError
from parabench.pipeline import plan as planning
from parabench.pipeline import run_logs, runner
from parabench.pipeline.plan import RunPlan, RunRequest
from parabench.report import assemble
from parabench.suites.suite import Suite

__all__ = ["UserError", "plan", "request", "run_with", "suite"]


def data(folder: Path) -> Path:
    path = folder / "data.jsonl"
    records = [
        {
            "id": f"e{n}",
            "source": f"Source number {n} is{' so' * n} long.",
            "references": [f"It is {n}.", f"A {n}."],
        }
        for n in range(6)
    ]
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return path


def suite(folder: Path, **changes) -> Suite:
    content = {"name": "light", "title": "Light", "data": str(data(folder)), "systems": ("copy",)}
    return Suite(**{**content, "scorers": ("bleu",), "headline": "bleu", **changes})


def request(folder: Path, **changes) -> RunRequest:
    return replace(RunRequest(suite(folder), device="cpu", output=folder / "run"), **changes)


def plan(folder: Path, **changes) -> RunPlan:
    return planning.make_plan(request(folder, **changes))


def run_with(made: RunPlan, scorers) -> None:
    """Run a plan with scorers of the test's own; they are not registered, so nothing is
    reported.
    """
    before = assemble.write_reports, run_logs.resolve_name
    assemble.write_reports, run_logs.resolve_name = (
        (lambda folder: None),
        (lambda kind, name, suite: (name, "")),
    )
    try:
        runner.run_plan(replace(made, scorers=scorers))
    finally:
        assemble.write_reports, run_logs.resolve_name = before
