"""The command line: registers the commands, and turns a user's mistake into exit code 2.

Heavy packages are imported inside the commands, so that ``parabench --help`` answers at once.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from parabench import __version__
from parabench.commands import (
    agreement,
    compare,
    data,
    demo,
    figures,
    filter,  # noqa: A004 (the module of `parabench data filter`)
    installation,
    map,  # noqa: A004 (the module of `parabench prompt map`)
    models,
    paraphrase,
    prepare,
    probe,
    prompts,
    rating,
    reports,
    run,
    search,
    signals,
    task_scoring,
    task_table,
    task_training,
    tasks,
    terminal,
    threads,
    training,
)
from parabench.commands.help_pages import add_command, add_group, command_group
from parabench.contracts import UserError

_RUN = "Run and score"
_REPORT = "Report and compare"
_TRAIN = "Train and search"
_PARTS = "Prompts, metrics, data and models"
_INSTALLATION = "Installation"

app = command_group(
    "A paraphrase-generation benchmark.\n\nSystems, scorers, sentinels and intervals, from one"
    " command. Each command has its own --help with examples.",
    name="parabench",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"parabench {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None: ...


add_command(app, "run", run.run_command, _RUN)
add_command(app, "score", run.score_command, _RUN)
add_command(app, "paraphrase", paraphrase.paraphrase_command, _RUN)

add_command(app, "report", reports.report_command, _REPORT)
add_command(app, "compare", compare.compare_command, _REPORT)
add_command(app, "verify", reports.verify_command, _REPORT)

add_command(app, "train", training.train_command, _TRAIN)
add_command(app, "search", search.search_command, _TRAIN)

prompt_group = add_group(app, "prompt", "Soft prompts: import, export, look into.", _PARTS)
add_command(prompt_group, "import", prompts.import_prompt_command)
add_command(prompt_group, "export", prompts.export_prompt_command)
add_command(prompt_group, "show", prompts.show_prompt_command)
add_command(prompt_group, "verify", prompts.verify_prompt_command)
add_command(prompt_group, "explain", prompts.explain_command)
add_command(prompt_group, "map", map.map_command)

task_group = add_group(app, "tasks", "Task tables: train, run, score, edit.", _PARTS)
add_command(task_group, "check", tasks.check_tasks_command)
add_command(task_group, "train", task_training.train_tasks_command)
add_command(task_group, "run", tasks.run_tasks_command)
add_command(task_group, "score", task_scoring.score_tasks_command)
add_command(task_group, "show", task_table.show_table_command)
add_command(task_group, "add", task_table.add_task_command)
add_command(task_group, "remove", task_table.remove_task_command)
add_command(task_group, "merge", task_table.merge_tables_command)
add_command(task_group, "export", task_table.export_task_command)

metric_group = add_group(app, "metric", "Metrics: test them, collect ratings.", _PARTS)
add_command(metric_group, "agreement", agreement.agreement_command)
add_command(metric_group, "probe", probe.probe_command)
add_command(metric_group, "sheet", rating.sheet_command)
add_command(metric_group, "ratings", rating.read_ratings_command)

data_group = add_group(app, "data", "Corpora: inspect, fetch, filter.", _PARTS)
add_command(data_group, "inspect", data.inspect_data_command)
add_command(data_group, "fetch", data.fetch_data_command)
add_command(data_group, "filter", filter.filter_command)

prepare_group = add_group(data_group, "prepare", "Records of NeMo's demonstration tasks.", _PARTS)
add_command(prepare_group, "demo", prepare.prepare_demo_command)
add_command(prepare_group, "phrasebank", prepare.prepare_phrasebank_command)
add_command(prepare_group, "squad", prepare.prepare_squad_command)
add_command(prepare_group, "assistant", prepare.prepare_assistant_command)

models_group = add_group(app, "models", "Models: lock, fetch, verify, demo, figures.", _PARTS)
add_command(models_group, "lock", models.lock_models_command)
add_command(models_group, "fetch", models.fetch_models_command)
add_command(models_group, "verify", models.verify_models_command)
add_command(models_group, "demo", demo.demo_command)
add_command(models_group, "figures", figures.figures_command)

add_command(app, "list", installation.list_command, _INSTALLATION)
add_command(app, "doctor", installation.doctor_command, _INSTALLATION)


def main() -> None:
    """Run the program: a user's mistake ends in one message and exit code 2."""
    signals.reset_handlers()
    threads.fix_order_of_sums()
    try:
        app()
    except UserError as error:
        terminal.print_message(f"parabench: cannot {error}")
        sys.exit(2)
