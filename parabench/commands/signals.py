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
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from parabench.training.resumable import StopRequest

_received: list[int] = []
"""The signals that asked a training to stop."""
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


@contextmanager
def stop_after_update(stop: StopRequest) -> Iterator[None]:
    """While open, a first signal asks a training to stop after its update, and to save that.

    A second one ends the program at once. Both say on stderr which update a training that is
    started again goes on from; ``stop`` knows the one that is stored.
    """

    def ask(number: int, frame: FrameType | None) -> None:
        known = stop.stored is not None
        if stop.requested:
            place = f"after update {stop.stored}" if known else "where it stood before"
            _end(number, f"stopped at once; run again to resume {place}")
        stop.requested = True
        _received.append(number)
        stored = f" (stored: {stop.stored})" if known else ""
        _write(f"stopping after this update{stored}; once more to stop at once")

    before = [signal.signal(number, ask) for number in _SIGNALS]
    try:
        yield
    finally:
        for number, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(number, handler)


def end_after_stop(message: str) -> NoReturn:
    """Say why, and end the program by the signal that a training was stopped by."""
    _end(_received[-1] if _received else signal.SIGINT, message)
    raise SystemExit(1)  # where the signal is blocked


def _end(number: int, message: str) -> None:
    for each in _SIGNALS:  # a further one does not wait for this one
        signal.signal(each, signal.SIG_DFL)
    _write(message)
    os.kill(os.getpid(), number)


def _write(message: str) -> None:
    with suppress(OSError):
        os.write(2, _SHOW_CURSOR * os.isatty(2) + f"\n{message}\n".encode())


def _stop(number: int, frame: FrameType | None) -> None:
    _end(number, "stopped; the same command goes on from here")
