"""The loss log: one JSON line an update or a validation, and nothing in it that depends on the
clock.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from parabench.store.files import append_durably, read_bytes, write_atomically


class LossLog:
    """A file of JSON lines that only grows; what ``add`` has returned from is on disk."""

    def __init__(self, path: Path, size: int = 0) -> None:
        """Open at ``size`` bytes; what was written after them belongs to updates that are about to
        be made again.
        """
        write_atomically(path, read_bytes(path)[:size] if path.exists() else b"")
        self.path, self.size = path, size

    def add(self, **record: Any) -> None:
        """One more line."""
        self.size = append_durably(self.path, self.size, (json.dumps(record) + "\n").encode())

    def records(self) -> list[dict[str, Any]]:
        """All lines so far."""
        return [json.loads(line) for line in read_bytes(self.path)[: self.size].splitlines()]
