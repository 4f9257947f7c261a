"""The seal of a run folder: digests of everything that a reader may believe.

``manifest.json`` holds, for each file, its SHA-256, its bytes and, for logs, its records: under
``files`` what the run is made of, under ``reports`` the tables and the page made from that. A
folder sealed before tables were part of it has no ``reports``; then nothing is said about them.
"""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from parabench.contracts import UserError
from parabench.store.contents import RunContents, read_contents, read_json
from parabench.store.files import in_chunks, os_errors_as_user_errors, read_bytes, write_atomically
from parabench.store.log_files import load_lines
from parabench.store.log_paths import finished_logs
from parabench.store.statistics_store import StatisticsStore

MANIFEST = "manifest.json"
REPORTS = ("leaderboard.md", "leaderboard.csv", "leaderboard.json", "report.html")
"""What a run's tables and page are called; they can be made again from the other files."""

_Manifest = dict[str, Any]


def write_seal(folder: Path) -> None:
    """Write the manifest of all finished files and of the reports there are.

    Equal files give equal bytes.
    """
    _write(folder, _manifest_of(folder) | _report_entries(folder))


def seal_reports(folder: Path) -> None:
    """Take tables and page, which were just made again, into the manifest of a sealed folder.

    The entries of all other files stay as they are: whoever made the reports has verified them.
    Raises UserError where the folder is not sealed.
    """
    files = _read_manifest(folder)["files"]
    _write(folder, {"files": files} | _report_entries(folder))


def check_seal(folder: Path) -> RunContents:
    """Everything that a sealed run folder holds, read and verified once.

    Tables and page are left out: they are what a reader makes again. Raises UserError that names
    the first file that is not as it was sealed, or does not fit the others, and the command that
    mends it.
    """
    problems = seal_problems(folder, "files")
    # A file that is damaged says so itself, with the line.
    contents = read_contents(folder)
    problems += contents.problems
    if not problems:
        return contents
    name = problems[0].partition(":")[0]
    path = shlex.quote(str(folder / name))
    mend = (
        f"put {path} back as it was, or: mv {path} {path}.differs; "
        "then the command that made the run makes it again"
    )
    raise UserError(f"read {folder}", problems[0], mend=mend)


def seal_problems(folder: Path, *sections: str) -> list[str]:
    """The files that are not as they were sealed, each with what is wrong; empty if none is.

    ``sections`` of the manifest: ``files`` and ``reports``. Raises UserError where the manifest is
    none.
    """
    if not (folder / MANIFEST).exists():
        return [f"{MANIFEST}: missing, the run was not finished; the same command resumes it"]
    manifest = _read_manifest(folder)
    problems = list[str]()
    for section in sections:
        entries = manifest.get(section, {})
        for name, entry in sorted(entries.items()):
            path = folder / name
            if not path.is_file():
                problems.append(f"{name}: missing")
            elif _digest(path)["sha256"] != entry["sha256"]:
                problems.append(f"{name}: not as it was when the run was sealed")
    if "files" in sections:
        # A file that was added later has no digest, and nobody may believe it.
        known = manifest["files"]
        for name in _data_files(folder):
            if name not in known:
                problems.append(f"{name}: not in {MANIFEST}, the run was not finished")
    return problems


def manifest_problems(folder: Path) -> list[str]:
    """Whether the manifest is, to the byte, what a folder whose files all verify has."""
    manifest = _manifest_of(folder)
    # Folders of early versions do not name their reports.
    if "reports" in _read_manifest(folder):
        manifest |= _report_entries(folder)
    written = read_bytes(folder / MANIFEST)
    if written != _packed(manifest):
        return [f"{MANIFEST}: does not match the files"]
    return []


def content_problems(folder: Path) -> list[str]:
    """Where files that verify do not belong together; UserError where one does not verify."""
    return read_contents(folder).problems


def _read_manifest(folder: Path) -> _Manifest:
    """The manifest; UserError where it is none."""
    path = folder / MANIFEST
    manifest = read_json(path)
    if not _is_manifest(manifest):
        mend = "run the same command again: it seals the run"
        raise UserError(f"read {path}", "it is no manifest of a run", mend=mend)
    found: _Manifest = manifest
    return found


def _is_manifest(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    if not isinstance(value.get("files"), dict):
        return False
    for section in value.values():
        if isinstance(section, dict):
            for entry in section.values():
                if not isinstance(entry, dict) or "sha256" not in entry:
                    return False
    return True


def _manifest_of(folder: Path) -> _Manifest:
    files = {name: _entry(folder, name) for name in _data_files(folder)}
    return {"files": files}


def _data_files(folder: Path) -> Iterator[str]:
    """The files that a run is made of, those that are there."""
    yield "spec.json"
    if (folder / "provenance.json").exists():
        yield "provenance.json"
    yield "examples.jsonl"
    predictions = finished_logs(folder, "predictions")
    statistics = finished_logs(folder, "statistics")
    for path in [*predictions, *statistics]:
        yield path.relative_to(folder).as_posix()


def _report_entries(folder: Path) -> _Manifest:
    found = {}
    for name in REPORTS:
        path = folder / name
        if path.is_file():
            found[name] = _digest(path)
    # Without reports there is no section, as in folders that were sealed before there was one.
    if not found:
        return {}
    return {"reports": found}


def _entry(folder: Path, name: str) -> dict[str, Any]:
    """What the manifest says of a file: bytes and SHA-256; of a log its records.

    Of statistics also how many have no value for which reason.
    """
    path = folder / name
    entry = _digest(path)
    if path.suffix == ".npz":
        stored = StatisticsStore.open(path)
        entry["records"] = len(stored)
        if stored.why:
            entry["undefined"] = Counter(stored.why.values())
    elif path.suffix == ".jsonl":
        entry["records"] = len(load_lines(path).records)
    return entry


def _digest(path: Path) -> dict[str, Any]:
    """The bytes of a file and their SHA-256, read in one pass."""
    digest = sha256()
    with os_errors_as_user_errors(path, "read"), path.open("rb") as file:
        for chunk in in_chunks(file):
            digest.update(chunk)
        return {"bytes": file.tell(), "sha256": digest.hexdigest()}


def _write(folder: Path, manifest: Mapping[str, Any]) -> None:
    write_atomically(folder / MANIFEST, _packed(manifest))


def _packed(manifest: Mapping[str, Any]) -> bytes:
    text = json.dumps(manifest, indent=1, sort_keys=True, allow_nan=False)
    return text.encode("ascii") + b"\n"
