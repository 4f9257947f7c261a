"""The loss log: one JSON line for each update and each validation, and no value of the clock."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from parabench.store.files import append_durably, read_bytes, write_atomically


class LossLog:
    """An append-only file of JSON lines; a line is on disk when ``add`` returns."""

    def __init__(self, path: Path, size: int = 0) -> None:
        """Open the log at ``path``, cut back to its first ``size`` bytes.

        The lines behind them are of updates after the stored state, which are made again.
        """
        kept = read_bytes(path)[:size] if path.exists() else b""
        write_atomically(path, kept)
        self.path = path
        self.size = size

    def add(self, **record: Any) -> None:
        """Append one line."""
        line = (json.dumps(record) + "\n").encode()
        # A checkpoint stores the size, and a resumed training cuts the file back to it.
        self.size = append_durably(self.path, self.size, line)

    def records(self) -> list[dict[str, Any]]:
        """All lines so far, in order."""
        content = read_bytes(self.path)[: self.size]
        return [json.loads(line) for line in content.splitlines()]
