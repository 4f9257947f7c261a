"""The command line: argv to one call to print. The only place that exits.

Heavy packages are imported inside the commands, so that ``parabench --help`` answers at once.
"""

from __future__ import annotations

import sys

import typer

from parabench.commands import data as data_commands
from parabench.commands import demo as demos
from parabench.commands import figures as drawing
from parabench.commands import filter as filtering
from parabench.commands import invariance, probe, prompts, rating, reports, signals, training
from parabench.commands import map as map_commands
from parabench.commands import models as model_commands
from parabench.commands import run as commands
from parabench.contracts import UserError

app = typer.Typer(
    name="parabench",
    help="A paraphrase-generation benchmark: systems, scorers, sentinels and intervals, from one command.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("run")(commands.run_command)
app.command("score")(commands.score_command)
app.command("list")(commands.list_command)
app.command("doctor")(commands.doctor_command)
app.command("filter")(filtering.filter_command)
app.command("report")(reports.report_command)
app.command("compare")(reports.compare_command)
app.command("verify")(reports.verify_command)
app.command("meta")(reports.agreement_command)
app.command("probe")(probe.probe_command)
app.command("selftest")(invariance.batch_invariance_command)
app.command("paraphrase")(prompts.paraphrase_command)
app.command("explain")(prompts.explain_command)
app.command("map")(map_commands.map_command)
app.command("figures")(drawing.figures_command)
app.command("demo")(demos.demo_command)
app.command("train")(training.train_command)
app.command("search")(training.search_command)
app.add_typer(data_commands.data_commands, name="data")
app.add_typer(prompts.prompt_commands, name="adapters")
app.add_typer(model_commands.models_commands, name="models")
app.add_typer(rating.rate_commands, name="rate")


def main() -> None:
    """The program: a mistake of the user's ends in one message and exit code 2, anything else in a
    traceback.
    """
    signals.reset_handlers()
    try:
        app()
    except UserError as error:
        commands.print_message(f"parabench: cannot {error}")
        sys.exit(2)
