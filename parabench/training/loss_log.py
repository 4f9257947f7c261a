"""The loss log: one JSON line for each update and each validation, and no value of the clock."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from parabench.store.append_only import AppendOnlyFile
from parabench.store.files import read_bytes


class LossLog:
    """An append-only file of JSON lines; a line is on disk when ``add`` returns."""

    def __init__(self, path: Path, size: int = 0) -> None:
        """Open the log at ``path``, cut back to its first ``size`` bytes.

        The lines behind them are of updates after the stored state, which are made again. Raises
        UserError for what the disk refuses.
        """
        if not path.exists():
            AppendOnlyFile.create(path)
        self._file = AppendOnlyFile.reopen(path, size)

    @property
    def path(self) -> Path:
        """Where the log is."""
        return self._file.path

    @property
    def size(self) -> int:
        """Its bytes so far."""
        return self._file.size

    def add(self, **record: Any) -> None:
        """Append one line."""
        line = json.dumps(record) + "\n"
        # A checkpoint stores the size, and a resumed training cuts the file back to it.
        self._file.append(line.encode())

    def records(self) -> list[dict[str, Any]]:
        """All lines so far, in order."""
        content = read_bytes(self.path)[: self.size]
        return [json.loads(line) for line in content.splitlines()]
