"""Signals: SIGINT and SIGTERM end the program at once, whatever it is doing, by that very signal.

Nothing has to be saved first, because everything acknowledged is on disk, and so nothing is: no
clearing up can hang, and no ``except`` in somebody else's code can swallow the end. Handlers in
Python wait until C code returns, which may take long while libraries and models are loaded, so
where nothing has to be said there is no handler.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_SIGNALS = signal.SIGINT, signal.SIGTERM
_SHOW_CURSOR = b"\x1b[?25h"
"""ECMA-48's DECTCEM: progress bars hide the cursor."""


def reset_handlers() -> None:
    """From here on let signals end the program without a word."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def resume_hint() -> Iterator[None]:
    """While open, a signal also says on stderr how to go on."""
    before = [signal.signal(number, _stop) for number in _SIGNALS]
    try:
        yield
    finally:
        for number, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> None:
    for each in _SIGNALS:  # a second one does not wait for this one
        signal.signal(each, signal.SIG_DFL)
    with suppress(OSError):
        os.write(
            2, _SHOW_CURSOR * os.isatty(2) + b"\nstopped; the same command goes on from here\n"
        )
    os.kill(os.getpid(), number)
