"""Faults at numbered disk calls: every call that changes the disk is counted, and the chosen one
meets the fault.

``before`` and ``after`` kill the process there; ``torn`` writes some of the bytes and kills it;
``full`` is a disk that has no room from there on; ``error`` is one failing call; ``power`` kills
the process after the call and takes with it, at random, bytes that were not fsynced and names whose
folder was not.
"""

import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

CALLS = ("open", "write", "pwrite", "fsync", "replace", "ftruncate", "unlink", "mkdir")
WRITES = ("write", "pwrite")
NEED_ROOM = (*WRITES, "open", "mkdir")
KILLED = 9


@dataclass
class Fault:
    """Which call, counted from 0, meets what."""

    at: int
    mode: str
    seed: float = 0


class Injector:
    """Stands between the program and the disk of this process, for good: use it in a child."""

    def __init__(self, root: Path, fault: Fault) -> None:
        self.fault, self.random, self.calls = fault, Random(f"{fault}"), list[str]()
        self.volatile = Volatile(root, self.random)
        self.real = {name: getattr(os, name) for name in CALLS}
        for name in CALLS:
            setattr(os, name, partial(self._call, name))

    def _call(self, name: str, *arguments: Any, **options: Any) -> Any:
        real = partial(self.real[name], *arguments, **options)
        if name == "open" and not arguments[1] & os.O_CREAT:
            return real()
        number, mode = len(self.calls), self.fault.mode
        self.calls.append(name)
        if mode == "power":
            self.volatile.note(name, arguments)
        if mode == "full" and number >= self.fault.at and name in NEED_ROOM:
            self._some(name, arguments)
            raise OSError(errno.ENOSPC, "No space left on device")
        if number == self.fault.at:
            if mode == "error":
                self._some(name, arguments)
                raise OSError(errno.EIO, "Input/output error")
            if mode == "torn":
                self._some(name, arguments)
            if mode in ("after", "power"):
                real()
            if mode != "full":
                self.kill()
        return real()

    def _some(self, name: str, arguments: tuple[Any, ...]) -> None:
        if name in WRITES:
            self.real["write"](
                arguments[0], bytes(arguments[1])[: self.random.randrange(len(arguments[1]))]
            )

    def kill(self) -> None:
        for name, real in self.real.items():
            setattr(os, name, real)
        if self.fault.mode == "power":
            self.volatile.lose()
        os._exit(KILLED)


@dataclass
class Volatile:
    """What a power cut can take: the bytes as they were before writes not yet fsynced, and how to
    undo names.
    """

    root: Path
    random: Random
    contents: dict[int, bytes] = field(default_factory=dict)
    names: list[tuple[Path, Callable[[], object]]] = field(default_factory=list)

    def note(self, name: str, arguments: tuple[Any, ...]) -> None:
        """Called before each call."""
        if name in (*WRITES, "ftruncate", "fsync"):
            self._note_file(name, arguments[0])
            return
        path = Path(arguments[-1] if name == "replace" else arguments[0])
        old = path.read_bytes() if path.is_file() else None
        restore = partial(path.write_bytes, old) if old is not None else lambda: None
        if name == "replace":
            self.names.append((path.parent, lambda: (os.replace(path, arguments[0]), restore())))
        elif name == "unlink":
            self.names.append((path.parent, restore))
        elif name == "mkdir" and not path.exists():
            self.names.append((path.parent, lambda: shutil.rmtree(path)))
        elif name == "open" and old is None:
            self.names.append((path.parent, lambda: path.unlink()))

    def _note_file(self, name: str, number: int) -> None:
        path, inode = Path(os.readlink(f"/proc/self/fd/{number}")), os.fstat(number).st_ino
        if name != "fsync":
            self.contents.setdefault(inode, path.read_bytes())
        elif path.is_dir():
            self.names = [(folder, undo) for folder, undo in self.names if folder != path]
        else:
            self.contents.pop(inode, None)

    def lose(self) -> None:
        """Cut the power."""
        for path in [path for path in self.root.rglob("*") if path.is_file()]:
            old, new = self.contents.get(path.stat().st_ino), path.read_bytes()
            if old is not None:
                extra = new[len(old) :]
                kept = extra[: self.random.randint(0, len(extra))]
                path.write_bytes(
                    old
                    + self.random.choice(
                        [b"", kept, bytes(len(extra)), kept + bytes(len(extra) - len(kept))]
                    )
                )
        for _, undo in reversed(self.names[self.random.randint(0, len(self.names)) :]):
            undo()
