"""What a run folder holds, read once, and whether its files belong together.

Each file is verified as it is opened (``log_files``, ``statistics_store``). What is compared here
holds even where somebody has made all digests again: a log under another system's name, a record
too many or too few, statistics of other texts than the predictions, a provenance of another run.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any

from parabench.contracts import UserError
from parabench.sequences import LazyMap
from parabench.store.example_store import HELD_IN_MEMORY, ExampleStore, example_of_record
from parabench.store.files import read_bytes
from parabench.store.lines import LogLines
from parabench.store.log_files import LinesFile, load_lines
from parabench.store.log_paths import finished_logs, log_path
from parabench.store.positions import sorted_positions
from parabench.store.records import measured_texts, texts_digest
from parabench.store.statistics_store import StatisticsStore


@dataclass(frozen=True)
class RunContents:
    """The finished files of a run folder, verified; the records stay on disk.

    ``predictions``: by system. ``statistics``: by system and scorer. ``problems``: where files do
    not belong together, each with the name of its file; empty where they do.
    """

    examples: ExampleStore
    predictions: Mapping[str, LinesFile]
    statistics: Mapping[tuple[str, str], StatisticsStore]
    problems: list[str] = field(default_factory=list)


def read_contents(folder: Path) -> RunContents:
    """Read a run folder; raises UserError where a file does not verify."""
    records = load_lines(folder / "examples.jsonl").records
    values = LazyMap(itemgetter(1), records)
    examples = ExampleStore(LazyMap(example_of_record, values))
    check = _Check(folder, records)
    predictions: dict[str, LinesFile] = {}
    for path in finished_logs(folder, "predictions"):
        contents = load_lines(path)
        if check.predictions(path, contents):
            (system,) = contents.identity["names"]
            predictions[system] = contents
    statistics: dict[tuple[str, str], StatisticsStore] = {}
    measured = finished_logs(folder, "statistics")
    if check.problems:
        # Of predictions that are wrong, nothing that was measured can be right.
        measured = []
    for path in measured:
        stored = StatisticsStore.open(path)
        if check.statistics(path, stored):
            system, scorer = stored.identity["names"]
            statistics[system, scorer] = stored
    check.provenance()
    return RunContents(examples, predictions, statistics, check.problems)


class _Check:
    """Holds the files of a folder against one another; ``problems`` are what was found."""

    def __init__(self, folder: Path, examples: LogLines) -> None:
        """Of a run ``folder`` with the records of its ``examples``."""
        self._folder = folder
        self._ids: Sequence[str] = LazyMap(itemgetter(0), examples)
        if len(examples) <= HELD_IN_MEMORY:
            # Ids of more examples are read again whenever one is asked for.
            self._ids = list(examples.ids())
        self._by_id = sorted_positions(self._ids)
        self._samples = _samples_per_source(folder)
        self._texts: dict[str, set[str]] = {}
        self.problems: list[str] = []

    def predictions(self, path: Path, contents: LinesFile) -> bool:
        """Look at what a system answered; whether it is in its place and whole."""
        fits = self._lies_right(path, contents.identity) and self._is_complete(
            path, len(contents.records), contents.records.ids()
        )
        if fits:
            system = contents.identity["names"][0]
            self._texts[system] = self._digests_of_texts(contents.records)
        return fits

    def statistics(self, path: Path, stored: StatisticsStore) -> bool:
        """Look at what a scorer measured, behind all predictions; whether it is in its place."""
        lies_right = self._lies_right(path, stored.identity)
        if lies_right:
            self._is_complete(path, len(stored), stored.ids())
        system = stored.identity["names"][0]
        measured = stored.identity["key"].get("predictions")
        if system not in self._texts:
            self._report(path, f"no predictions of {system}")
            return lies_right
        # Folders of early versions do not say which texts were measured.
        if measured is None or measured in self._texts[system]:
            return lies_right
        self._report(path, f"measured from other texts than the predictions of {system}")
        return lies_right

    def provenance(self) -> None:
        """Look for a provenance that contradicts the spec, of which it repeats every field."""
        spec = read_json(self._folder / "spec.json")
        provenance = read_json(self._folder / "provenance.json")
        if not isinstance(spec, dict) or not isinstance(provenance, dict):
            return
        for name in sorted(spec.keys() & provenance.keys()):
            given = spec[name]
            repeated = provenance[name]
            if isinstance(given, dict) and isinstance(repeated, dict):
                # A provenance may say more of a field than the spec does.
                common = given.keys() & repeated.keys()
                repeated = {key: repeated[key] for key in common}
            if given != repeated:
                self.problems.append(f"provenance.json: another {name} than spec.json has")
                return

    def _lies_right(self, path: Path, identity: Mapping[str, Any]) -> bool:
        """Whether a log is where those of its names belong."""
        kind = identity["kind"]
        names = identity["names"]
        # The examples have the form of a log too, and are none.
        if kind == path.parent.name and path == log_path(self._folder, kind, names):
            return True
        self._report(path, f"it is of {', '.join(names) or kind}")
        return False

    def _is_complete(
        self,
        path: Path,
        count: int,
        ids: Iterable[str],
    ) -> bool:
        """Whether the records of a log are those of the examples, in their order."""
        # Not strict: another length is seen by the count, before ids are read.
        pairs = zip(ids, self._ids, strict=False)
        if count == len(self._ids) and all(one == other for one, other in pairs):
            return True
        self._report(path, "not one record for each example")
        return False

    def _digests_of_texts(self, records: LogLines) -> set[str]:
        """The digests that statistics of these predictions may name.

        They are of the texts, and, for scorers that compare samples, of the samples.
        """
        found = {self._digest_of_texts(records, 0)}
        # A scorer that compares samples is given other texts of a record than all others are.
        if self._samples > 1:
            found.add(self._digest_of_texts(records, self._samples))
        return found

    def _digest_of_texts(self, records: LogLines, samples: int) -> str:
        def texts(position: int) -> list[str]:
            _, record = records[position]
            return measured_texts(record, samples)

        return texts_digest(self._by_id, self._ids, texts)

    def _report(self, path: Path, problem: str) -> None:
        name = path.relative_to(self._folder).as_posix()
        self.problems.append(f"{name}: {problem}")


def _samples_per_source(folder: Path) -> int:
    """How many texts were written for each source; one where the spec does not say."""
    spec = read_json(folder / "spec.json")
    if not isinstance(spec, dict):
        return 1
    decoding = spec.get("decoding", {})
    if not isinstance(decoding, dict):
        return 1
    return int(decoding.get("samples", 1))


def check_is_run(folder: Path) -> None:
    """Raise UserError where ``folder`` is no run folder, with those that lie there or beside it."""
    if (folder / "spec.json").exists():
        return
    asked = f"read the run {folder}"
    mend = "make it with: parabench run"
    if folder.is_file():
        mend = f"score it first: parabench score {shlex.quote(str(folder))}"
        raise UserError(asked, "it is a file, and a run is a folder", mend=mend)
    # a folder of runs in the place of one, or a slip of the pen beside others
    place, found = folder, "it is no run folder: there is no spec.json in it"
    if not folder.exists():
        place, found = folder.parent, "no such folder"
    runs = sorted(str(path.parent) for path in place.glob("*/spec.json"))[:_RUNS_NAMED]
    if runs:
        mend = "give the path of one run"
    raise UserError(asked, found, runs, mend)


_RUNS_NAMED = 10
"""Folders that a message names at most."""


def read_json(path: Path) -> Any:
    """The JSON value of a file; None where it is absent or is none."""
    if not path.exists():
        return None
    try:
        return json.loads(read_bytes(path))
    except (ValueError, RecursionError):
        return None
