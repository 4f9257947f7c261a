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
from parabench.commands import map as map_commands
from parabench.commands import models as model_commands
from parabench.commands import probe, prompts, rating, reports, selftest, signals, training
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

app.command()(commands.run)
app.command()(commands.score)
app.command("list")(commands.list_)
app.command()(commands.doctor)
app.command("filter")(filtering.filter_)
app.command()(reports.report)
app.command()(reports.compare)
app.command()(reports.verify)
app.command()(reports.meta)
app.command()(probe.probe)
app.command()(selftest.selftest)
app.command()(prompts.paraphrase)
app.command()(prompts.explain)
app.command("map")(map_commands.map_)
app.command()(drawing.figures)
app.command()(demos.demo)
app.command()(training.train)
app.command()(training.search)
app.add_typer(data_commands.data, name="data")
app.add_typer(prompts.adapters, name="adapters")
app.add_typer(model_commands.models, name="models")
app.add_typer(rating.rate, name="rate")


def main() -> None:
    """The program: a mistake of the user's ends in one message and exit code 2, anything else in a
    traceback.
    """
    signals.at_once()
    try:
        app()
    except UserError as error:
        commands.say(f"parabench: cannot {error}")
        sys.exit(2)
