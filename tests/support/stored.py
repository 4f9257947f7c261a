"""What a run folder holds, as tests look at it."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from parabench.sequences import LazyMap
from parabench.store.log_files import load_lines


def stored_examples(folder: Path) -> Sequence[dict[str, Any]]:
    """The examples of a run as scored, in order, read when they are asked for."""
    contents = load_lines(folder / "examples.jsonl")
    return LazyMap(itemgetter(1), contents.records)
