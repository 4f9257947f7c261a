"""Where the logs of a run folder lie: finished ones, and the parts in which others grow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from parabench.store.records import slug

LogKind = Literal["predictions", "statistics"]
_SUFFIX: dict[LogKind, str] = {"predictions": "jsonl", "statistics": "npz"}


def log_path(folder: Path, kind: LogKind, names: Sequence[str]) -> Path:
    """Where in a run ``folder`` the finished log of these ``names``, of a ``kind``, lies."""
    stem = _stem(names)
    suffix = _SUFFIX[kind]
    return folder / kind / f"{stem}.{suffix}"


def part_path(folder: Path, kind: LogKind, names: Sequence[str]) -> Path:
    """Where that log grows: ``folder``, ``kind`` and ``names`` are those of ``log_path``."""
    stem = _stem(names)
    return folder / kind / f"{stem}.part.jsonl"


def part_of_rank(part: Path, rank: int | None) -> Path:
    """The part that one of several processes writes, ``.part-1.jsonl`` and so on."""
    if not rank:
        return part
    name = part.name.replace(".part.", f".part-{rank}.")
    return part.with_name(name)


def log_parts(part: Path) -> list[Path]:
    """A growing log's own part and those of other processes, as far as they are there."""
    pattern = part.name.replace(".part.", ".part*.")
    return sorted(part.parent.glob(pattern))


def finished_logs(folder: Path, kind: LogKind) -> list[Path]:
    """The files of all finished logs of a kind, sorted."""
    suffix = _SUFFIX[kind]
    found = (folder / kind).glob(f"*.{suffix}")
    # growing logs end as finished ones of predictions do
    finished = [path for path in found if ".part" not in path.name]
    return sorted(finished)


def _stem(names: Sequence[str]) -> str:
    # No slug holds a dot, so no two logs share a path.
    return ".".join(slug(name) for name in names)
