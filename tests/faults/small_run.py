"""A run small enough to be broken at every one of its disk calls, and the means to run it in a
process of its own.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from parabench.contracts import UserError
from parabench.store.files import write_atomically
from parabench.store.run_folder import open_run

IDS = ("a", "b", "c")
TOLD = 3
"""The exit status of a child that ended with a UserError."""


def run(
    folder: Path,
    acknowledge: Callable[[str], object] = lambda record: None,
    ids: Sequence[str] = IDS,
) -> set[str]:
    """Do what the folder lacks, two examples a batch; tell each record once it is safe; return all
    that was made.
    """
    made: set[str] = set()
    with open_run(folder, {"suite": "small"}) as run:
        run.write_examples([{"id": name, "source": f"Source {name}."} for name in ids])
        for kind, names, value in (
            ("predictions", ("copy",), {"text": "Some text."}),
            ("statistics", ("copy", "bleu"), [1 / 3, float("nan")]),
        ):
            log = run.log(kind, *names, key={"seed": 0})
            missing = [name for name in ids if name not in log.done]
            for batch in (missing[start : start + 2] for start in range(0, len(missing), 2)):
                made |= {f"{kind}/{name}" for name in batch}
                log.append([(name, value) for name in batch])
                for name in batch:
                    acknowledge(f"{kind}/{name}")
            log.seal(ids)
        write_atomically(folder / "provenance.json", b"{}\n")
        run.seal()
    return made


def once(folder: Path, ids: Sequence[str] = IDS) -> dict[str, bytes]:
    """What a run leaves that nothing happens to."""
    run(folder, ids=ids)
    return files(folder)


def files(folder: Path) -> dict[str, bytes]:
    """Everything a run leaves, but the lock and what was set aside."""
    found = {
        path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()
    }
    return {
        name: path.read_bytes()
        for name, path in found.items()
        if not name.startswith(("lock", "quarantine"))
    }


class Child:
    """A forked process that does some work; the last argument of the work is a function that tells
    us a line.
    """

    def __init__(self, work: Callable[..., object], *arguments: object) -> None:
        self._reader, writer = os.pipe()
        write = os.write
        self.pid = os.fork()
        if not self.pid:
            status = 1
            try:
                status = _status(work, *arguments, lambda line: write(writer, f"{line}\n".encode()))
            finally:
                os._exit(status)
        os.close(writer)
        self._lines = os.fdopen(self._reader)

    def told(self) -> str:
        """The next line it tells."""
        return self._lines.readline().strip()

    def end(self) -> tuple[int, set[str]]:
        """Wait for it: its exit status (negative for a signal), and the lines it told."""
        with self._lines:
            lines = set(self._lines.read().split())
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]), lines


def _status(work: Callable[..., object], *arguments: object) -> int:
    try:
        work(*arguments)
    except UserError:
        return TOLD
    return 0
