"""A file that only grows: what a kill leaves behind its last whole part is cut off on reopening."""

from __future__ import annotations

import os
from pathlib import Path

from parabench.store.files import (
    append_durably,
    os_errors_as_user_errors,
    quarantine_tail,
    write_atomically,
)


class AppendOnlyFile:
    """A file to which one process appends, ``size`` bytes of which are whole.

    Once ``append`` has returned, no kill and no power cut loses what was added. ``moved`` is where
    reopening it has put a torn end.
    """

    def __init__(
        self,
        path: Path,
        size: int,
        moved: Path | None = None,
    ) -> None:
        """Append to the file at ``path`` behind its first ``size`` bytes, which are all it has."""
        self.path = path
        self.size = size
        self.moved = moved

    @classmethod
    def create(cls, path: Path, start: bytes = b"") -> AppendOnlyFile:
        """Make the file with ``start`` in it, in one step; what was at ``path`` is replaced.

        Raises UserError for what the disk refuses.
        """
        write_atomically(path, start)
        return cls(path, len(start))

    @classmethod
    def reopen(
        cls,
        path: Path,
        size: int,
        quarantine: Path | None = None,
    ) -> AppendOnlyFile:
        """Go on with the file at ``path``, cut back to its first ``size`` bytes.

        What stood behind them is moved into the folder ``quarantine``; without one it is dropped,
        because whoever asks makes it again. Raises UserError for what the disk refuses.
        """
        moved = None
        with os_errors_as_user_errors(path):
            # A file that is shorter is left alone: appending to it is refused.
            if path.stat().st_size > size:
                if quarantine is not None:
                    moved = quarantine_tail(path, size, quarantine)
                else:
                    os.truncate(path, size)
        return cls(path, size, moved)

    def append(self, data: bytes) -> None:
        """Add ``data``; raises UserError where somebody else has written to the file."""
        self.size = append_durably(self.path, self.size, data)
