"""The seal of a run folder: digests of everything that a reader may believe, and whether it fits
together.

``manifest.json`` holds, for each file, its SHA-256, its bytes and, for logs, its records: under
``files`` what the run is made of, under ``reports`` the tables and the page made from that. A
folder sealed before tables were part of it has no ``reports``; then nothing is said about them.
"""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from operator import itemgetter
from pathlib import Path
from typing import Any

from parabench.contracts import UserError
from parabench.sequences import LazyMap
from parabench.store.files import (
    in_chunks,
    os_errors_as_user_errors,
    read_bytes,
    write_atomically,
)
from parabench.store.log import finished_logs, log_path
from parabench.store.positions import sorted_positions
from parabench.store.records import measured_texts, texts_digest
from parabench.store.tables import LogContents, load_log, open_statistics

MANIFEST = "manifest.json"
_MANY = 20_000
"""Ids that are held in memory; where there are more, each is read whenever it is asked for."""
REPORTS = ("leaderboard.md", "leaderboard.csv", "leaderboard.json", "report.html")
"""What a run's tables and page are called; they can be made again from the other files."""


def write_seal(folder: Path) -> None:
    """Write the manifest of all finished files and of the reports there are.

    Equal files give equal bytes.
    """
    entries = {"files": {name: _entry(folder, name) for name in _data_files(folder)}}
    _write(folder, entries | _reports(folder))


def seal_reports(folder: Path) -> None:
    """Take tables and page, which were just made again, into the manifest of a sealed folder.

    The entries of all other files stay as they are: whoever made the reports has verified them.
    """
    _write(folder, {"files": _sealed(folder)["files"]} | _reports(folder))


def check_seal(folder: Path) -> None:
    """Refuse to read a folder that is not as it was sealed, or whose files do not fit together.

    Tables and page are left out: they are what a reader makes anew. Raises UserError that names the
    first file that differs, and the command that mends it.
    """
    for problem in [*seal_problems(folder, "files"), *content_problems(folder)]:
        name = problem.partition(":")[0]
        path = shlex.quote(str(folder / name))
        mend = (
            f"put {path} back as it was, or: mv {path} {path}.differs; "
            "then the command that made the run makes it again"
        )
        raise UserError(f"read {folder}", problem, mend=mend)


def seal_problems(folder: Path, *sections: str) -> list[str]:
    """The files of these sections of the manifest that are not as they were sealed, each with what
    is wrong; empty where nothing is.

    ``sections`` are ``files`` and ``reports``.
    """
    if not (folder / MANIFEST).exists():
        return [f"{MANIFEST}: missing, the run was not finished; the same command resumes it"]
    manifest, problems = _sealed(folder), list[str]()
    for section in sections:
        for name, entry in sorted(manifest.get(section, {}).items()):
            if not (folder / name).is_file():
                problems.append(f"{name}: missing")
            elif _digest(folder / name)["sha256"] != entry["sha256"]:
                problems.append(f"{name}: not as it was when the run was sealed")
    if "files" in sections:
        unknown = [name for name in _data_files(folder) if name not in manifest["files"]]
        problems += [f"{name}: not in {MANIFEST}, the run was not finished" for name in unknown]
    return problems


def manifest_problems(folder: Path) -> list[str]:
    """Whether the manifest is, to the byte, what a folder whose files all verify has."""
    manifest = {"files": {name: _entry(folder, name) for name in _data_files(folder)}}
    if "reports" in _sealed(folder):
        manifest |= _reports(folder)
    differs = read_bytes(folder / MANIFEST) != _packed(manifest)
    return [f"{MANIFEST}: does not match the files"] if differs else []


def content_problems(folder: Path) -> list[str]:
    """Where files that verify do not belong together.

    A log under another system's name, a record too many or too few, statistics of other texts than
    the predictions, a provenance of another run. These hold even where all digests were made anew.
    """
    examples = load_log(folder / "examples.jsonl").records
    ids: Sequence[str] = LazyMap(itemgetter(0), examples)
    if len(ids) <= _MANY:
        ids = list(ids)
    found, texts = list[str](), dict[str, set[str]]()
    for path in finished_logs(folder, "predictions"):
        contents = load_log(path)
        found += _misplaced(folder, path, contents.identity) or _other_ids(
            folder, path, contents, ids
        )
        if not found:
            texts[contents.identity["names"][0]] = _digests_of_texts(
                contents, ids, _samples(folder)
            )
    for path in finished_logs(folder, "statistics") if not found else ():
        contents = load_log(path)
        found += _misplaced(folder, path, contents.identity) or _other_ids(
            folder, path, contents, ids
        )
        found += _other_texts(folder, path, contents.identity, texts)
    return [*found, *_other_provenance(folder)]


def _misplaced(folder: Path, path: Path, identity: Mapping[str, Any]) -> list[str]:
    """A log that lies where the log of other names belongs."""
    expected = log_path(folder, identity["kind"], identity["names"])
    if path == expected and identity["kind"] == path.parent.name:
        return []
    return [f"{_name(folder, path)}: it is of {', '.join(identity['names'])}"]


def _other_ids(folder: Path, path: Path, contents: LogContents, ids: Sequence[str]) -> list[str]:
    """A log whose records are not those of the examples, in their order."""
    several = zip((name for name, _ in contents.records), ids, strict=False)
    if len(contents.records) == len(ids) and all(one == name for one, name in several):
        return []
    return [f"{_name(folder, path)}: not one record for each example"]


def _digests_of_texts(contents: LogContents, ids: Sequence[str], samples: int) -> set[str]:
    """The digests that statistics of these predictions may name: of the texts, and of the
    samples.
    """
    order = sorted_positions(ids)
    # A scorer that compares samples is given other texts of a record than all others are.
    kinds = {0, samples} if samples > 1 else {0}
    return {
        texts_digest(order, ids, lambda at: measured_texts(contents.records[at][1], kind))  # noqa: B023
        for kind in kinds
    }


def _other_texts(
    folder: Path, path: Path, identity: Mapping[str, Any], texts: Mapping[str, set[str]]
) -> list[str]:
    """Statistics that were measured from other texts than the predictions hold now."""
    system, measured = identity["names"][0], identity["key"].get("predictions")
    if system not in texts:
        return [f"{_name(folder, path)}: no predictions of {system}"]
    if measured is None or measured in texts[system]:
        return []
    return [f"{_name(folder, path)}: measured from other texts than the predictions of {system}"]


def _other_provenance(folder: Path) -> list[str]:
    """A provenance that contradicts the spec, of which it repeats every field."""
    spec, provenance = (_json(folder / name) for name in ("spec.json", "provenance.json"))
    if not isinstance(spec, dict) or not isinstance(provenance, dict):
        return []
    for field in sorted(spec.keys() & provenance.keys()):
        given, repeated = spec[field], provenance[field]
        if isinstance(given, dict) and isinstance(repeated, dict):
            repeated = {key: value for key, value in repeated.items() if key in given}
        if given != repeated:
            return [f"provenance.json: another {field} than spec.json has"]
    return []


def _samples(folder: Path) -> int:
    """How many texts were written for each source; one where the spec does not say."""
    spec = _json(folder / "spec.json")
    decoding = spec.get("decoding", {}) if isinstance(spec, dict) else {}
    return int(decoding.get("samples", 1)) if isinstance(decoding, dict) else 1


def _json(path: Path) -> Any:
    """The JSON value of a file; None where it is absent or is none."""
    try:
        return json.loads(read_bytes(path)) if path.exists() else None
    except (ValueError, RecursionError):
        return None


def _sealed(folder: Path) -> dict[str, Any]:
    """The manifest; UserError where it is none."""
    path = folder / MANIFEST
    manifest = _json(path)
    sections = manifest.values() if isinstance(manifest, dict) else ()
    entries = [
        entry for section in sections if isinstance(section, dict) for entry in section.values()
    ]
    whole = all(isinstance(entry, dict) and "sha256" in entry for entry in entries)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict) or not whole:
        mend = "run the same command again: it seals the run"
        raise UserError(f"read {path}", "it is no manifest of a run", mend=mend)
    return manifest


def _data_files(folder: Path) -> Iterator[str]:
    """The files that a run is made of, those that are there."""
    yield "spec.json"
    if (folder / "provenance.json").exists():
        yield "provenance.json"
    yield "examples.jsonl"
    for path in [*finished_logs(folder, "predictions"), *finished_logs(folder, "statistics")]:
        yield _name(folder, path)


def _reports(folder: Path) -> dict[str, Any]:
    found = {name: _digest(folder / name) for name in REPORTS if (folder / name).is_file()}
    return {"reports": found} if found else {}


def _entry(folder: Path, name: str) -> dict[str, Any]:
    """What the manifest says of a file: bytes and SHA-256; of a log its records, and how many have
    no value for which reason.
    """
    path = folder / name
    entry = _digest(path)
    if path.suffix == ".json":
        return entry
    entry["records"] = len(load_log(path).records)
    if path.suffix == ".npz" and (undefined := open_statistics(path).header["why"]):
        entry["undefined"] = Counter(undefined.values())
    return entry


def _digest(path: Path) -> dict[str, Any]:
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


def _name(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()
