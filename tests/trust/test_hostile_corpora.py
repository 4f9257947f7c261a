"""Corpora that nobody meant, plain and packed: every row taken is in the file as it stands there,
and none is lost.

Each format is held against a plain reading of the same bytes, by line feeds alone; what is not
taken is counted.
"""

import csv
import gzip
import io
import json
import os
import resource
import sys
import zipfile
from collections import Counter
from multiprocessing import get_context
from pathlib import Path

import pyarrow
import pytest
import zstandard
from pyarrow import parquet

from parabench.contracts import UserError
from parabench.data import corpora, text_files
from parabench.data.corpus_tables import CorpusColumns
from parabench.data.skipped import SkipCounts
from tests.support.fuzzing import randomly
from tests.trust.test_loaders import patience

CONTENT = {
    "parabank2": "".join(f"0.{n}\tSource é {n}\tone {n}\ttwo {n}\r\n" for n in range(9)).encode(),
    "paranmt": "".join(f"source {n}\ttarget {n}\t0.{n}\n" for n in range(9)).encode(),
    "tsv": "".join(f"source {n}\ttarget {n}\tmore\n" for n in range(9)).encode(),
    "csv": ("source,target\n" + "".join(f'"s, ""{n}""","t\n{n}"\n' for n in range(9))).encode(),
    "jsonl": "".join(
        json.dumps({"source": f"s {n}", "target": f"é {n}"}) + "\n" for n in range(9)
    ).encode(),
}


def lines(data: bytes) -> list[bytes]:
    return data.split(b"\n")[: -1 if data.endswith(b"\n") else None] if data else []


def plain(form: str, line: bytes, number: int) -> tuple[str, ...]:
    """The texts of one line as they stand there; before the first a byte order mark may stand."""
    text = line.decode("utf-8" if number > 1 else "utf-8-sig").removesuffix("\r")
    if form == "jsonl":
        record = json.loads(text)
        target = record["target"]
        return record["source"], *(target if isinstance(target, list) else [target])
    cells = text.split("\t")
    return (cells[1], *filter(str.strip, cells[2:])) if form == "parabank2" else tuple(cells[:2])


def check(form: str, path: Path, data: bytes) -> str:
    """Anything but taken and refused is an error of the reader's; ``data`` are the unpacked
    bytes.
    """
    tally, found = SkipCounts(), []
    with patience():
        try:
            found = list(corpora.read_rows(form, str(path), CorpusColumns(), tally))
        except UserError:
            return "refused"
    if form == "csv":
        rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))
        places = rows[0].index("source"), rows[0].index("target")
        good = [
            tuple(row[place] for place in places) for row in rows[1:] if len(row) == len(rows[0])
        ]
        assert [(row.source, *row.paraphrases) for row in found] == good
        return "taken"
    there = lines(data)
    for row in found:
        assert (row.source, *row.paraphrases) == plain(form, there[row.line - 1], row.line)
    assert len(found) + tally.reasons.total() == len(there)
    return "taken"


def packed(form: str, folder: Path, data: bytes, ending: str) -> Path:
    path = folder / f"corpus.{form}{ending}"
    if ending == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("corpus.tsv", data)
    else:
        zstd = zstandard.ZstdCompressor(write_checksum=True).compress  # as the program zstd does
        path.write_bytes({"": bytes, ".gz": gzip.compress, ".zst": zstd}[ending](data))
    return path


def fuzz(folder: Path, form: str, number: int) -> Counter[str]:
    """So many changed files of a format."""
    return Counter(
        check(form, packed(form, folder, data, ""), data)
        for data in randomly(number, CONTENT[form], seed=len(form))
    )


def fuzz_packed(folder: Path, ending: str, number: int) -> Counter[str]:
    """So many changed archives: what is taken out of one is what was put in, or it is refused."""
    path = packed("tsv", folder, CONTENT["tsv"], ending)
    truth = list(corpora.read_rows("tsv", str(path), CorpusColumns(), SkipCounts()))
    tally: Counter[str] = Counter()
    for data in randomly(number, path.read_bytes(), seed=len(ending)):
        path.write_bytes(data)
        with patience():
            try:
                found = list(corpora.read_rows("tsv", str(path), CorpusColumns(), SkipCounts()))
                assert found == truth or (
                    not found and not path.stat().st_size
                )  # an empty file is an empty corpus
                tally["taken"] += 1
            except UserError:
                tally["refused"] += 1
    return tally


@pytest.mark.parametrize("form", CONTENT)
def test_rows_are_taken_as_they_stand_or_counted(tmp_path, form):
    assert check(form, packed(form, tmp_path, CONTENT[form], ""), CONTENT[form]) == "taken"
    assert fuzz(tmp_path, form, 150)["taken"]


@pytest.mark.parametrize("ending", [".gz", ".zst", ".zip"])
def test_changed_archives_are_refused(tmp_path, ending):
    assert fuzz_packed(tmp_path, ending, 150)["refused"] > 100


@pytest.mark.parametrize("ending", [".gz", ".zst", ".zip"])
def test_an_archive_that_was_cut_off_anywhere_is_refused(tmp_path, ending):
    path = packed("tsv", tmp_path, CONTENT["tsv"], ending)
    whole = path.read_bytes()
    for length in range(1, len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError):
            list(corpora.read_rows("tsv", str(path), CorpusColumns(), SkipCounts()))


def test_several_frames_of_zstandard_are_one_file(tmp_path):
    path = packed("tsv", tmp_path, b"a\tb\n", ".zst")
    path.write_bytes(path.read_bytes() * 2)
    assert len(list(corpora.read_rows("tsv", str(path), CorpusColumns(), SkipCounts()))) == 2


@pytest.mark.slow
@pytest.mark.parametrize("form", CONTENT)
def test_ten_thousand_corpora_are_taken_as_they_stand_or_counted(tmp_path, form):
    assert fuzz(tmp_path, form, 10_000).total() == 10_000


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".gz", ".zst", ".zip"])
def test_ten_thousand_changed_archives_are_refused(tmp_path, ending):
    assert fuzz_packed(tmp_path, ending, 10_000).total() == 10_000


HOSTILE = {
    "a lone carriage return": b"a\rb\tc\n",
    "U+2028": "a\u2028b\tc\n".encode(),
    "NEL, VT, FF, FS": "a\x85b\x0b\x0c\x1c\tc\n".encode(),
    "a byte order mark": b"\xef\xbb\xbfa\tb\n",
    "NUL": b"a\0b\tc\n",
    "invalid UTF-8": b"a\xff\tb\nc\td\n",
    "ragged": b"a\tb\nc\nd\te\tf\n",
    "a million characters": b"a\t" + b"b" * 10**6 + b"\nc\td\n",
    "a million characters without a line feed": b"c\td\n" + b"b" * 10**6,
    "a line of the greatest length": b"a\t" + b"b" * (text_files.LONGEST_LINE - 3) + b"\nc\td",
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("ending", ["", ".gz", ".zst", ".zip"])
def test_every_hostile_line_is_taken_as_it_is_or_counted(tmp_path, name, ending):
    assert check("tsv", packed("tsv", tmp_path, HOSTILE[name], ending), HOSTILE[name]) == "taken"


@pytest.mark.parametrize("quote", ["", '"'])
def test_a_csv_without_an_end_of_line_is_never_held_whole(tmp_path, quote):
    path = packed("csv", tmp_path, b"source,target\n" + quote.encode() + b"x" * (40 << 20), ".zst")
    with pytest.raises(UserError, match="longer than 65536 bytes"):
        list(corpora.read_rows("csv", str(path), CorpusColumns(), SkipCounts()))


def bomb(folder: Path, ending: str, content: bytes) -> Path:
    """An eighth of a gigabyte of the same bytes, in under a megabyte."""
    path, block = folder / f"bomb.tsv{ending}", content * (2**20 // len(content))
    with {".gz": gzip.open, ".zst": zstandard.open}[ending](path, "wb") as file:
        for _ in range(1 << 7):
            file.write(block)
    return path


def _read(path: Path) -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (48 << 20),) * 2)
    try:
        for _ in corpora.read_rows("tsv", str(path), CorpusColumns(), SkipCounts()):
            pass
    except UserError:
        sys.exit(3)


def read_in_little_memory(path: Path) -> int | None:
    """The exit status of a process of its own that may have 48 MiB: 0 for all of it read, 3 for
    refused.
    """
    process = get_context("fork").Process(target=_read, args=(path,))
    process.start()
    process.join(60)
    process.kill()
    return process.exitcode


@pytest.mark.parametrize("content", [b"\0", b"a\t" + b"b" * 32765 + b"\n"])
@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_a_compression_bomb_is_refused_in_little_memory(tmp_path, ending, content):
    assert read_in_little_memory(bomb(tmp_path, ending, content)) == 3


def test_a_line_without_an_end_is_never_held_whole(tmp_path):
    """Of a file that is not packed, so that nothing else refuses it."""
    path = tmp_path / "long.tsv"
    path.write_bytes(b"a\tb\n")
    os.truncate(path, 128 << 20)
    assert read_in_little_memory(path) == 0


def test_without_its_limit_a_bomb_unpacks_to_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "BOMB", (1 << 50, 1))
    assert read_in_little_memory(bomb(tmp_path, ".zst", b"\0")) == 0


@pytest.mark.parametrize(
    "name", ["../../evil.tsv", "/tmp/evil.tsv", "a\nb.tsv", "C:\\evil.tsv", "link/../../evil.tsv"]
)
def test_names_inside_an_archive_lead_nowhere(tmp_path, name):
    inner = tmp_path / "inner"
    inner.mkdir()
    with zipfile.ZipFile(inner / "c.zip", "w") as archive:
        archive.writestr(name, b"a\tb\n")
    before = set(tmp_path.rglob("*"))
    assert (
        len(list(corpora.read_rows("tsv", str(inner / "c.zip"), CorpusColumns(), SkipCounts())))
        == 1
    )
    assert set(tmp_path.rglob("*")) == before


def test_a_zip_that_asks_for_a_password_is_refused(tmp_path):
    path = packed("tsv", tmp_path, b"a\tb\n", ".zip")
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="encrypted"):
        list(corpora.read_rows("tsv", str(path), CorpusColumns(), SkipCounts()))


def test_half_a_character_is_counted(tmp_path):
    (tmp_path / "a.jsonl").write_text(
        '{"source": "a\\ud800", "target": "b"}\n{"source": "a", "target": "b"}\n'
    )
    tally = SkipCounts()
    assert (
        len(list(corpora.read_rows("jsonl", str(tmp_path / "a.jsonl"), CorpusColumns(), tally)))
        == 1
    )
    assert tally.reasons == {"half a character": 1}


def test_parquet_that_is_no_text_is_refused(tmp_path):
    broken = pyarrow.StringArray.from_buffers(
        1, pyarrow.py_buffer(b"\0\0\0\0\1\0\0\0"), pyarrow.py_buffer(b"\xff")
    )
    parquet.write_table(pyarrow.table({"source": broken, "target": ["x"]}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"a\.parquet"):
        list(
            corpora.read_rows("parquet", str(tmp_path / "a.parquet"), CorpusColumns(), SkipCounts())
        )
