"""The form of a log of records on disk, in which no damaged, foreign or missing byte goes unnoticed.

A growing log is lines of ASCII JSON. The last member of each, ``h``, is the CRC32 of the bytes before it. Line 1 holds
the identity of the log, from which the other checksums start, so that a line pasted in from elsewhere does not verify.
A finished log has the SHA-256 of its records in line 1. Finished statistics are an array in a ``.npz`` instead.

The value of a prediction is an object, that of a measurement a row of numbers; where some of these are undefined, it is
``{"row": [1.5, null], "why": "not a finite number"}``.
"""

from __future__ import annotations

import io
import json
import math
import reprlib
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

from parabench.contracts import UserError
from parabench.disk import read

Record = tuple[str, Any]
"""The id of an example, and any JSON value."""


class Contents(NamedTuple):
    """What verifies in a file: whose records they are, the records, and the bytes they take together with line 1."""

    identity: dict[str, Any]
    records: list[Record]
    size: int


def load(path: Path) -> Contents:
    """Read and verify a log, growing or finished.

    Lines at the end of a growing log that do not verify are what an interrupted write leaves; ``size`` ends before
    them. Whatever else does not verify is a UserError with the line and the command that mends it.
    """
    if path.suffix == ".npz":
        stored, array = load_array(path)
        rows = ([None if math.isnan(number) else number for number in row] for row in array.tolist())
        values = [explained(row, stored["why"].get(name)) for name, row in zip(stored["ids"], rows, strict=True)]
        return Contents(stored["identity"], list(zip(stored["ids"], values, strict=True)), 0)
    first, _, body = read(path).partition(b"\n")
    header = decode(first)
    if header is None or "identity" not in header:
        raise damaged(path, [1])
    if "sha256" in header and header["sha256"] != sha256(body).hexdigest():
        raise damaged(path, [])
    start = crc32(canonical(header["identity"]))
    found = body.split(b"\n")[:-1]
    records = [decode(line, start) for line in found]
    while records and records[-1] is None:
        records.pop()
    wrong = [number for number, record in enumerate(records, start=2) if record is None]
    if wrong:
        raise damaged(path, wrong)
    size = sum(len(line) + 1 for line in [first, *found[: len(records)]])
    return Contents(header["identity"], [(record["id"], record["value"]) for record in records if record], size)


def explained(row: Sequence[float | None], why: str | None) -> Any:
    """The value of a measurement: its row, and where there is one the reason for what is undefined in it."""
    return row if why is None else {"row": row, "why": why}


def row_of(value: Any) -> Any:
    """The numbers of a measurement's value."""
    return value["row"] if isinstance(value, dict) else value


def reasons(records: Iterable[Record]) -> dict[str, str]:
    """Why numbers of examples are undefined, by id; nothing of those that are whole."""
    return {name: value["why"] for name, value in records if isinstance(value, dict)}


def load_array(path: Path) -> tuple[dict[str, Any], Any]:
    """The header and the float64 ``[N, K]`` array of finished statistics; UserError unless they verify.

    The header holds ``identity``, ``ids`` in the order of the rows, and ``why``, the reasons by id.
    """
    import numpy as np

    data = read(path)
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            header, array = decode(stored["header"].tobytes()), stored["statistics"]
    except Exception as error:  # zipfile and numpy raise a dozen kinds for bytes that are not what they wrote
        raise damaged(path, []) from error
    if header is None or array.dtype != np.float64 or header["sha256"] != sha256(array.tobytes()).hexdigest():
        raise damaged(path, [])
    if array.shape != (len(header["ids"]), array.shape[-1]):
        raise damaged(path, [])
    return header, array


def packed_array(identity: Mapping[str, Any], records: Sequence[Record]) -> bytes:
    """Finished statistics: an uncompressed zip with fixed times, so that equal numbers are equal bytes."""
    import numpy as np

    array = np.array([row_of(value) for _, value in records], dtype=np.float64)  # null becomes NaN
    digest, ids = sha256(array.tobytes()).hexdigest(), [name for name, _ in records]
    header = encode({"identity": identity, "ids": ids, "why": reasons(records), "sha256": digest})
    file = io.BytesIO()
    np.savez(file, statistics=array, header=np.frombuffer(header[:-1], dtype=np.uint8))
    return file.getvalue()


def packed_lines(identity: Mapping[str, Any], records: Iterable[Record]) -> bytes:
    """A finished log."""
    body = lines(identity, records)
    return encode({"identity": identity, "sha256": sha256(body).hexdigest()}) + body


def lines(identity: Mapping[str, Any], records: Iterable[Record]) -> bytes:
    """The lines that records take in the log of this identity."""
    start = crc32(canonical(identity))
    return b"".join(encode({"id": name, "value": value}, start) for name, value in records)


def encode(record: Mapping[str, Any], start: int = 0) -> bytes:
    """One line with its checksum."""
    body = canonical(record)[:-1]
    return body + b',"h":"%08x"}\n' % crc32(body, start)


def decode(line: bytes, start: int = 0) -> dict[str, Any] | None:
    """The record of a line without its newline, or None where it does not verify."""
    body, mark, check = line.rpartition(b',"h":"')
    if not mark or check != b'%08x"}' % crc32(body, start):
        return None
    try:
        return json.loads(body + b"}")
    except (ValueError, RecursionError):
        return None


def canonical(value: Any) -> bytes:
    """The one way a value is written: ASCII JSON, sorted names, no spaces; ValueError for NaN and infinities."""
    return json.dumps(value, sort_keys=True, allow_nan=False, separators=(",", ":")).encode("ascii")


def differences(old: Any, new: Any, name: str = "") -> Iterator[str]:
    """The fields in which two JSON values differ, as ``a.b: 1, now 2``."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from differences(old.get(key, "absent"), new.get(key, "absent"), f"{name}.{key}".lstrip("."))
    elif canonical(old) != canonical(new):
        yield f"{name}: {reprlib.repr(old)}, now {reprlib.repr(new)}"


def damaged(path: Path, numbers: Sequence[int]) -> UserError:
    """The refusal of a file that was changed after it was written, at these lines (none: as a whole)."""
    quoted = shlex.quote(str(path))
    if not numbers or numbers[0] == 1:
        found, mend = "it does not verify", f"mv {quoted} {quoted}.damaged"
    else:
        found = f"damaged at line {', '.join(map(str, numbers))}"
        mend = f"sed -i.damaged '{';'.join(f'{number}d' for number in numbers)}' {quoted}"
    return UserError(f"read {path}", found, mend=f"{mend}   # then the same command makes anew what is missing")
