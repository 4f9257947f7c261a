"""The command that scores the answers to the records of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parabench.commands.arguments import SeedOption
from parabench.commands.help_pages import examples
from parabench.commands.tasks import TasksFileOption
from parabench.commands.training_data import TrainSuiteOption
from parabench.contracts import UserError

if TYPE_CHECKING:
    from parabench.prompts.task_scores import TaskScore


@examples(
    "parabench tasks score answers.jsonl --records truth.jsonl --tasks a.toml --scorer a=labels",
)
def score_tasks_command(
    answers: Annotated[Path, typer.Argument(help="Answers that tasks run wrote.")],
    records: Annotated[
        list[Path], typer.Option(metavar="FILE", help="The same records with right answers.")
    ],
    tasks: TasksFileOption,
    scorer: Annotated[
        list[str],
        typer.Option(metavar="TASK=NAME", help="labels, answers, intent-slot or another scorer."),
    ],
    against: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Other answers, for a paired test.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to write the scores, as JSON.")
    ] = None,
    suite: TrainSuiteOption = "mini",
    seed: SeedOption = 0,
) -> None:
    """Score the answers of each task.

    Each column has its 95 % bootstrap interval; with --against, the p-value of a paired test.
    """
    from parabench.contracts import BuildContext
    from parabench.pipeline.plan import build_plugin
    from parabench.prompts.task_file import read_task_file
    from parabench.prompts.task_scores import match_answers, read_answers, read_truth, score_task
    from parabench.prompts.templates import templates_by_name
    from parabench.suites.suite import load_suite

    templates = templates_by_name(read_task_file(tasks))
    truth = [one for path in records for one in read_truth(path, templates)]
    sheets = match_answers(truth, read_answers(answers), templates, str(answers))
    others = {}
    if against:
        others = match_answers(truth, read_answers(against), templates, str(against))
    scores: list[TaskScore] = []
    for task, name in _scorers_by_task(scorer, sorted(sheets)):
        built = build_plugin("scorer", name, load_suite(suite), BuildContext())
        scores += score_task(task, sheets[task], built, seed, others.get(task))
    _print_scores(scores)
    if output:
        from parabench.prompts.files import to_json_bytes
        from parabench.render.templating import json_ready
        from parabench.store.files import write_atomically

        content = {"seed": seed, "scores": [asdict(score) for score in scores]}
        write_atomically(output, to_json_bytes(json_ready(content)))


def _scorers_by_task(given: Sequence[str], tasks: Sequence[str]) -> list[tuple[str, str]]:
    """``task=name`` options as pairs; UserError for other tasks and for tasks without a scorer."""
    pairs = []
    for text in given:
        task, equals, name = text.partition("=")
        if not equals or task not in tasks:
            raise UserError(f"score by {text!r}", "not TASK=NAME", tasks, f"{tasks[0]}=labels")
        if (task, name) in pairs:
            raise UserError(f"score by {text!r}", "it is named twice", mend="name it once")
        pairs.append((task, name))
    missing = [task for task in tasks if task not in dict(pairs)]
    if missing:
        choices = ("labels", "answers", "intent-slot")
        mend = f"--scorer {missing[0]}=labels"
        raise UserError(f"score the task {missing[0]!r}", "no scorer is named", choices, mend)
    return pairs


def _print_scores(scores: Sequence[TaskScore]) -> None:
    from parabench.report.cells import NO_INTERVAL, interval_text

    width = max(len(score.taskname) for score in scores)
    for score in scores:
        tested = "" if score.p is None else f"  p {score.p:.4f}"
        missing = f", {score.missing} without an answer" if score.missing else ""
        interval = interval_text(score.low, score.high, 1) or NO_INTERVAL
        typer.echo(
            f"{score.taskname:<{width}}  {score.column:<16} {score.value:6.1f} "
            f"{interval}  of {score.answered} records{missing}{tested}"
        )
