"""Probe columns from the command line: good paraphrases, slightly edited, against themselves."""

from __future__ import annotations

from functools import partial
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parabench.commands.arguments import DeviceOption, LimitOption
from parabench.commands.help_pages import examples
from parabench.commands.lists import optional_names
from parabench.contracts import UserError

if TYPE_CHECKING:
    from parabench.metaeval.probes import ProbeResult

_FILE_TYPES = (".md", ".csv")
_FIELDS = (
    "column",
    "better",
    "against",
    "perturbation",
    "meaning",
    "n",
    "of",
    "lowered",
    "effect",
    "low",
    "high",
)


@examples("parabench metric probe", "parabench metric probe --scorers bleu,chrf --output probes.md")
def probe_command(
    scorers: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Scorers to probe; the suite's otherwise.")
    ] = None,
    suite: Annotated[
        str, typer.Option(help="The suite that brings examples, and models for scorers.")
    ] = "parabench-en",
    data: Annotated[
        Path | None, typer.Option(help="Your own examples, with two references or more each.")
    ] = None,
    limit: LimitOption = None,
    seed: Annotated[int, typer.Option(help="Seed of references, edits and intervals.")] = 0,
    device: DeviceOption = "auto",
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the table too, as .md or .csv.")
    ] = None,
) -> None:
    """Test columns with edits that change the meaning.

    Does a column notice that a negation, a number, a name, a role or the word order has changed?
    """
    from parabench.contracts import BuildContext, Runtime, release_models
    from parabench.data.examples import evaluation_set
    from parabench.data.test_sets import read_test_set
    from parabench.metaeval import probes
    from parabench.models.loading import resolve_device
    from parabench.pipeline import plan
    from parabench.render.progress import overall_progress
    from parabench.store.files import write_atomically
    from parabench.suites import suite as suites

    if output and output.suffix not in _FILE_TYPES:
        raise UserError(
            f"write the table to {output}",
            f"the ending {output.suffix!r}",
            _FILE_TYPES,
            "--output FILE.md",
        )
    chosen = suites.load_suite(suite)
    if data is None and not chosen.data:
        raise UserError(
            f"probe with the suite {chosen.name!r}", "it brings no data", mend="add --data FILE"
        )
    made = probes.make_probes(
        evaluation_set(read_test_set(data or Path(chosen.data)), limit, seed).examples, seed
    )
    setting = BuildContext(
        Runtime(resolve_device(device), chosen.dtype, seed=seed), chosen.decoding
    )
    found: list[ProbeResult] = []
    names = optional_names(scorers) or chosen.scorers
    built = {name: plan.build_plugin("scorer", name, chosen, setting) for name in names}
    with overall_progress([{name: 1.0} for name in built]) as advance:
        for name, scorer in built.items():
            watch = partial(advance, name)
            found += probes.probe_scorer(scorer, made, seed, chosen.normalise, advance=watch)
            release_models(scorer)
    typer.echo(_as_text(found))
    if output:
        write_atomically(
            output,
            (_as_csv(found) if output.suffix == ".csv" else probes_to_markdown(found)).encode(),
        )


def _as_text(found: list[ProbeResult]) -> str:
    """The table as plain text, edits that change the meaning first."""
    return _tables(found, "simple")


def probes_to_markdown(found: list[ProbeResult]) -> str:
    """The table as Markdown."""
    return _tables(found, "github") + "\n"


def _as_csv(found: list[ProbeResult]) -> str:
    """One line for each column and perturbation."""
    import csv
    import io

    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_FIELDS)
    for f in found:
        meaning = "kept" if f.perturbation.keeps_meaning else "changed"
        names = (f.column.name, f.column.better, f.column.against, f.perturbation.name, meaning)
        writer.writerow(
            [
                *names,
                f.count,
                f.total,
                f"{f.lowered:.6g}",
                f"{f.effect:.6g}",
                # empty where there are too few texts for an interval
                *("" if isnan(end) else f"{end:.6g}" for end in (f.low, f.high)),
            ]
        )
    return file.getvalue()


def _tables(found: list[ProbeResult], form: str) -> str:
    from tabulate import tabulate

    parts = []
    for kept in (False, True):
        titles: dict[str, str] = {}
        rows: dict[str, dict[str, str]] = {}
        for result in found:
            edit = result.perturbation
            if edit.keeps_meaning is not kept:
                continue
            # an edit that needs a number, or a name, applies to some of the examples only
            titles[edit.name] = f"{edit.name} ({result.count} of {result.total})"
            arrow = "↑" if result.column.better == "up" else "↓"
            rows.setdefault(f"{result.column.name} {arrow}", {})[edit.name] = _cell(result)
        body = []
        for title, cells in rows.items():
            shown = [cells.get(name, "") for name in titles]
            body.append([title, *shown])
        heading = "The meaning is kept" if kept else "The meaning has changed"
        parts += [
            heading,
            tabulate(body, ["column", *titles.values()], tablefmt=form, disable_numparse=True),
        ]
    return "\n\n".join(parts)


def _cell(f: ProbeResult) -> str:
    from parabench.report.cells import interval_text

    digits = max(2, f.column.digits)
    interval = interval_text(f.low, f.high, digits, signed=True)
    return " ".join(filter(None, [f"{f.lowered:.0%} {f.effect:+.{digits}f}", interval]))
