"""Options that several commands share, each with one name, one type and one description."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SuiteOption = Annotated[
    str, typer.Option(help="A built-in suite, or the path of a suite's TOML file.")
]
SystemsOption = Annotated[
    str | None, typer.Option(metavar="A,B,…", help="Systems, instead of the suite's own.")
]
ScorersOption = Annotated[
    str | None,
    typer.Option(metavar="A,B,…", help="Scorers or columns, instead of the suite's own."),
]
DataOption = Annotated[
    Path | None, typer.Option(help="Your own examples, JSONL, CSV or TSV, instead of the suite's.")
]
LimitOption = Annotated[int | None, typer.Option(help="Use a seeded sample of this many examples.")]
MinReferencesOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Leave out examples with fewer references; without it all are cut to the fewest.",
    ),
]
SeedOption = Annotated[int, typer.Option(help="Seed of every random choice.")]
DeviceOption = Annotated[str, typer.Option(metavar="auto|cpu|cuda[:i]", help="Where models run.")]
DtypeOption = Annotated[
    str | None, typer.Option(metavar="float32|bfloat16|float16", help="Model dtype.")
]
BatchSizeOption = Annotated[
    str, typer.Option(metavar="auto|N", help="Batch size; auto probes the memory.")
]
SamplesOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Samples per source; several need sampling (top-p 0.9, or the suite's).",
    ),
]
RunOutputOption = Annotated[
    Path | None, typer.Option(help="Folder of the run; the same folder is resumed.")
]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
