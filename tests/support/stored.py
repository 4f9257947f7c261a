"""What a run folder holds, as tests look at it."""

from __future__ import annotations

from pathlib import Path

from parabench.store.log_paths import log_path
from parabench.store.statistics_store import StatisticsStore


def finished_statistics(folder: Path, system: str, scorer: str) -> StatisticsStore:
    """A finished measurement of a run ``folder``, in example order, NaN where undefined."""
    return StatisticsStore.open(log_path(folder, "statistics", (system, scorer)))
