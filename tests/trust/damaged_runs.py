"""Run folders that were damaged or edited, and what their readers make of them.

Every file of a finished run in turn is deleted, emptied, cut, changed in one bit, exchanged with
each other of its kind, or edited with its own checksums made anew. A reader refuses the folder, or
reads what it read before; ``verify`` names the file.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
from typer.testing import CliRunner

from parabench.cli import app
from parabench.contracts import UserError
from parabench.metaeval.rating import draw_rating_items, rating_sheet
from parabench.pipeline import runner
from parabench.report.assemble import write_reports
from parabench.report.run_reader import load_results
from parabench.store.files import write_atomically
from parabench.store.log_files import finished_log, load_lines
from parabench.store.records import record_lines
from parabench.store.run_folder import verify_run
from parabench.store.seal import REPORTS
from parabench.store.statistics_store import StatisticsStore, packed_statistics
from tests.support import light

SYSTEMS = ("copy", "shuffled", "human")
UNREAD = {"lock", *REPORTS}
"""Files that no reader of numbers or texts opens: the lock, and what a reader makes again."""


class Damage(NamedTuple):
    """One thing done to one file: what to call it, the file, and its bytes then (None: gone)."""

    what: str
    name: str
    data: bytes | None


def finished_run(place: Path) -> Path:
    """A finished run of three controls, without any model."""
    runner.run_plan(light.plan(place, systems=SYSTEMS, output=place / "run"))
    return place / "run"


def files(folder: Path) -> dict[str, bytes]:
    found = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def damages(folder: Path) -> Iterator[Damage]:
    """Everything that is done to the files of a run."""
    whole, random = files(folder), Random(0)
    for name, data in whole.items():
        yield Damage("deleted", name, None)
        if not data:
            continue
        bit = random.randrange(8 * len(data))
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        yield Damage("emptied", name, b"")
        yield Damage("cut", name, data[: len(data) // 2])
        yield Damage("one bit changed", name, bytes(flipped))
        yield Damage("a line added", name, data + data.splitlines(keepends=True)[-1])
        for other in whole:
            if other != name and Path(other).suffix == Path(name).suffix and whole[other] != data:
                yield Damage(f"exchanged with {other}", name, whole[other])
        edited = _edited(folder, name, data)
        if edited is not None:
            yield Damage("edited, its own checksums made anew", name, edited)


def _edited(folder: Path, name: str, data: bytes) -> bytes | None:
    """A file whose content was changed by somebody who knows the form; None of other files."""
    path = folder / name
    if name.startswith("predictions/"):
        kept = load_lines(path)
        records = [(one, {**value, "text": "Something else."}) for one, value in kept.records]
        return b"".join(finished_log(kept.identity, lambda: record_lines(kept.identity, records)))
    if name.startswith("statistics/"):
        stored = StatisticsStore.open(path)
        rows = [[number + 1 for number in row] for row in stored[:].tolist()]
        return b"".join(packed_statistics(stored.identity, list(stored.ids()), rows, folder))
    if name == "leaderboard.json":
        content = json.loads(data)
        for row in content["rows"]:
            for cell in row["scores"].values():
                cell["value"] = 99.0
        return json.dumps(content).encode()
    if name in ("provenance.json", "spec.json"):
        return data.replace(b'"seed": 0', b'"seed": 1').replace(b'"seed":0', b'"seed":1')
    return None


def _numbers(folder: Path) -> Any:
    """All that a reader knows of a folder: facts, examples, texts and statistics."""
    results = load_results(folder)
    statistics: dict[tuple[str, str], bytes] = {}
    for scorer, one in results.measured.items():
        for row, stored in one.statistics.items():
            statistics[scorer, row] = np.asarray(stored[:]).tobytes()
    texts = {name: dict(output.texts) for name, output in results.outputs.items()}
    return results.facts, list(results.examples), texts, statistics


def _tables(folder: Path) -> Any:
    write_reports(folder)
    return [(folder / name).read_bytes() for name in REPORTS]


def _sheet(folder: Path) -> Any:
    return rating_sheet(draw_rating_items(load_results(folder), SYSTEMS, 3, 0))


def _compare(folder: Path) -> Any:
    """The comparison of a folder with what it was at first, by the command line."""
    whole = folder.with_name("whole")
    if not whole.exists():  # the first reading is of the undamaged folder
        shutil.copytree(folder, whole)
    done = CliRunner().invoke(app, ["compare", str(folder), str(whole)])
    # Both are read and shown side by side; then that three controls have nothing to compare.
    if isinstance(done.exception, UserError) and "no system in common" not in str(done.exception):
        raise done.exception
    return done.output


READERS: Mapping[str, Callable[[Path], Any]] = {
    "load_results": _numbers,
    "report": _tables,
    "metric sheet": _sheet,
    "compare": _compare,
}


class Damaged:
    """One finished run, and what readers make of it once it is damaged."""

    def __init__(self, place: Path, readers: Mapping[str, Callable[[Path], Any]] = READERS) -> None:
        self.folder = finished_run(place)
        self._readers = readers
        self._whole = files(self.folder)
        self._truth = {name: read(self.folder) for name, read in readers.items()}

    def problems(self, damage: Damage) -> Iterator[str]:
        """What is wrong with what readers and ``verify`` make of it; the folder is mended after."""
        path = self.folder / damage.name
        for name, read in {**self._readers, "verify": verify_run}.items():
            if damage.data is None:
                path.unlink()
            else:
                write_atomically(path, damage.data)
            found = self._found(name, read, damage)
            if found:
                yield f"{damage.name} {damage.what}: {name} {found}"
            self._mend()

    def _found(self, name: str, read: Callable[[Path], Any], damage: Damage) -> str:
        try:
            result = read(self.folder)
        except UserError as refused:
            # whoever is told should know which file it is
            told = str(refused)
            known = damage.name in told or damage.name == "manifest.json"
            return "" if known or "manifest.json" in told else f"said {told!r}"
        except Exception as error:
            return f"ended in {type(error).__name__}: {error}"
        if name == "verify":
            return "" if result or damage.name == "lock" else "found nothing"
        same = result == self._truth[name]
        return "" if same and damage.name in UNREAD else "read it" + (" otherwise" * (not same))

    def _mend(self) -> None:
        shutil.rmtree(self.folder / "quarantine", ignore_errors=True)
        now = files(self.folder)
        for name in now.keys() - self._whole.keys():
            (self.folder / name).unlink()
        for name, data in self._whole.items():
            if now.get(name) != data:
                write_atomically(self.folder / name, data)


def counted(place: Path, say: Callable[[str], object]) -> Counter[str]:
    """How many damages all readers met as they should, by what was done; the rest is ``wrong``."""
    tally, damaged = Counter[str](), Damaged(place)
    for damage in damages(damaged.folder):
        found = list(damaged.problems(damage))
        for problem in found:
            say(problem)
        tally[damage.what.partition(" with ")[0] if not found else "wrong"] += 1
    return tally
