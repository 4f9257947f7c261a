"""What a person may choose about a benchmark, and what a benchmark is: races of contenders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.race import Contender


@dataclass(frozen=True)
class Options:
    """``rows`` are sentences; ``size`` names the models' shapes; peers' checkouts are run where
    given.

    ``model``: a decoder to run in place of random weights, a folder or ``package:…``; its prompt
    has 20 virtual tokens, and its texts are the sentences of the suite parabench-en.
    """

    rows: int = 192
    size: str = "small"
    device: str = "cpu"
    neulab: Path | None = None
    origin: Path | None = None
    model: str = ""


class Race(NamedTuple):
    """Contenders for the same work, the yardstick first."""

    title: str
    work: str
    contenders: list[Contender]
