"""Corpora in their native layouts: what each file says is written out here by hand, line by
line.
"""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import pyarrow
import pytest
import zstandard
from pyarrow import parquet

from parabench.contracts import UserError
from parabench.data.corpora import read_rows
from parabench.data.corpus_tables import CorpusColumns, CorpusRow
from parabench.data.filters import Filters, filtered_pairs, sentence_key
from parabench.data.skipped import SkipCounts
from parabench.data.specs import parse_corpora
from parabench.data.training_set import numbered_pairs

PARABANK = (
    "0.93\tOne dog.\tA dog.\tA single dog.\n"
    "0.92\tNobody came.\t\n"
    '0.91\tHe said "no.\tHe declined.\n'
    "\n"
    "best\tNot a score.\tNo score.\n"
    "0.90\tA copy!\ta copy\n"
)


def read(
    form: str, path: Path | str, columns: CorpusColumns | None = None
) -> tuple[list[CorpusRow], SkipCounts]:
    tally = SkipCounts()
    return list(read_rows(form, str(path), columns or CorpusColumns(), tally)), tally


def test_parabank2_is_ragged_and_unquoted(tmp_path: Path) -> None:
    (tmp_path / "p.tsv").write_text(PARABANK)
    found, tally = read("parabank2", tmp_path / "p.tsv")
    assert found == [
        CorpusRow(1, "One dog.", ("A dog.", "A single dog."), 0.93),
        CorpusRow(3, 'He said "no.', ("He declined.",), 0.91),
        CorpusRow(6, "A copy!", ("a copy",), 0.90),
    ]
    assert dict(tally.lines) == {
        "no paraphrase": [2],
        "blank": [4],
        "not score TAB reference TAB paraphrases": [5],
    }


def test_paranmt_has_two_columns_or_a_score(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("a b\tb a\nc d\td c\t0.71\ne f\tf e\tgood\nonly one\n")
    found, tally = read("paranmt", tmp_path / "p.txt")
    assert found == [CorpusRow(1, "a b", ("b a",), None), CorpusRow(2, "c d", ("d c",), 0.71)]
    assert dict(tally.reasons) == {"not reference TAB paraphrase (TAB score)": 2}


@pytest.mark.parametrize("ending", ["", ".gz", ".zst", ".zip", ".zip!p.tsv"])
def test_packed_files_read_as_plain_ones(ending: str, tmp_path: Path) -> None:
    plain, content = tmp_path / "p.tsv", PARABANK.encode()
    plain.write_bytes(content)
    (tmp_path / "p.tsv.gz").write_bytes(gzip.compress(content))
    (tmp_path / "p.tsv.zst").write_bytes(zstandard.compress(content))
    with zipfile.ZipFile(tmp_path / "p.tsv.zip", "w") as archive:
        archive.write(plain, "p.tsv")
    assert read("parabank2", f"{plain}{ending}")[0] == read("parabank2", plain)[0]


def test_named_columns_of_csv_jsonl_and_parquet_agree(tmp_path: Path) -> None:
    table = {
        "text": ['one, "two"', "three\nfour"],
        "other": ["two one", "four three"],
        "points": [0.5, 0.25],
    }
    parquet.write_table(pyarrow.table(table), tmp_path / "t.parquet")
    (tmp_path / "t.csv").write_text(
        'text,other,points\n"one, ""two""",two one,0.5\nragged\n"three\nfour",four three,0.25\n'
    )
    (tmp_path / "t.jsonl").write_text(
        '{"text": "one, \\"two\\"", "other": "two one", "points": 0.5}\n'
        '{"text": 3, "other": "x"}\n{\n'
        '{"text": "three\\nfour", "other": ["four three"], "points": 0.25}\n'
    )
    columns = CorpusColumns("text", "other", "points")
    wanted = [('one, "two"', ("two one",), 0.5), ("three\nfour", ("four three",), 0.25)]
    reasons = {}
    for form in ("parquet", "csv", "jsonl"):
        found, tally = read(form, tmp_path / f"t.{form}", columns)
        assert [row[1:] for row in found] == wanted
        reasons[form] = dict(tally.lines)
    assert reasons["csv"] == {"another number of columns than the header": [3]}
    assert reasons["jsonl"] == {"a value that is no text": [2], "not JSON": [3]}
    with pytest.raises(UserError, match="no column 'absent'"):
        read("csv", tmp_path / "t.csv", CorpusColumns("absent", "other"))


@pytest.mark.parametrize(
    ("name", "content"), [("p.tsv.gz", b"no gzip"), ("p.tsv.zip", b"no zip"), ("absent", None)]
)
def test_a_damaged_or_absent_file_is_named(
    name: str, content: bytes | None, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=name):
        read("parabank2", tmp_path / name)


def test_lines_that_are_no_text_are_counted(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_bytes(
        b"\xef\xbb\xbfa b\tb a\r\n\xff\tx\n" + b"x" * 70_000 + b"\tlong\nc d\td c"
    )
    found, tally = read("paranmt", tmp_path / "p.txt")
    assert [row[:3] for row in found] == [(1, "a b", ("b a",)), (4, "c d", ("d c",))]
    assert dict(tally.lines) == {"not UTF-8": [2], "longer than 65536 bytes": [3]}


def test_filters_keep_what_they_say_and_count_the_rest() -> None:
    raw = [
        CorpusRow(1, "did n't he go home ?", ("he never went home .", "home he went not ."), 0.5),
        CorpusRow(2, "a b c d", ("a b c e",), 0.5),
        CorpusRow(3, "one two", ("three",), 0.5),
        CorpusRow(4, "one two three four five six", ("seven eight nine",), 0.95),
        CorpusRow(5, "a b", ("A, B!",), 0.5),
        CorpusRow(6, "...", ("words here",), 0.5),
        CorpusRow(7, "four five six seven", ("eight nine ten eleven twelve thirteen",), 0.5),
        CorpusRow(8, "Did n't he go home?", ("He never went home",), 0.5),
    ]
    filters = Filters(
        max_score=0.9,
        min_words=2,
        max_words=5,
        near_copy=0.6,
        which="all",
        treebank=True,
        dedup=True,
    )
    tally = SkipCounts()
    kept = list(filtered_pairs(raw, filters, tally, 0))
    assert kept == [
        (1, ("didn't he go home?", "he never went home.")),
        (1, ("didn't he go home?", "home he went not.")),
    ]
    assert dict(tally.lines) == {
        "a near copy": [2],
        "too few words": [3],
        "outside the score range": [4],
        "a copy": [5],
        "a side without words": [6],
        "too many words": [7],
        "a duplicate": [8],
    }
    assert tally.kept == 2


def test_a_paraphrase_at_random_is_the_same_every_time() -> None:
    raw = [CorpusRow(line, "x y", tuple(f"p{i}" for i in range(5))) for line in range(40)]
    drawn = [
        list(filtered_pairs(raw, Filters(which="random"), SkipCounts(), seed)) for seed in (0, 0, 1)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len({target for _, (_, target) in drawn[0]}) == 5


def test_keys_ignore_case_spaces_and_punctuation() -> None:
    assert sentence_key("Did n't he ?") == sentence_key("didn't HE!") != sentence_key("did he")


def test_specifications_read_as_they_are_written() -> None:
    one, two = parse_corpora(
        "parabank2:a/b=c.tsv?which=all&max_words=30=0.35,paranmt:x.txt.gz=0.65"
    )
    assert (one.form, one.path, one.filters, one.share) == (
        "parabank2",
        "a/b=c.tsv",
        Filters(which="all", max_words=30),
        0.35,
    )
    assert (two.form, two.path, two.share) == ("paranmt", "x.txt.gz", 0.65)
    (alone,) = parse_corpora("csv:x.csv?source=a&target=b&max_words=30")
    assert (alone.columns, alone.filters.max_words, alone.share) == (
        CorpusColumns("a", "b"),
        30,
        1.0,
    )
    assert [spec.share for spec in parse_corpora("tsv:a=1,tsv:b=3")] == [0.25, 0.75]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("word:x", "no such format"),
        ("tsv:https://example.org/a.tsv", "not fetched yet"),
        ("tsv:http://example.org/a.tsv", "without TLS"),
        ("tsv:", "not of the form"),
        ("tsv:x?max_words", "not of the form"),
        ("tsv:x?colour=blue", "no option 'colour'"),
        ("tsv:x?max_words=many", "max_words"),
        ("tsv:x?which=best", "which"),
        ("tsv:x,tsv:y", "a share above 0"),
        ("tsv:x=0,tsv:y=0", "a share above 0"),
    ],
)
def test_a_specification_that_says_nothing_is_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_corpora(text)


SAMPLES = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.skipif(not SAMPLES.exists(), reason="the sample corpora are not beside the repository")
def test_the_samples_native_files_read_without_a_bad_row() -> None:
    (parabank,) = parse_corpora(f"parabank2:{SAMPLES}/parabank2-native-sample/small_parabank2.tsv")
    tally = SkipCounts()
    list(numbered_pairs(parabank, tally, 0))
    assert tally.reasons["no paraphrase"] == 142  # counted with awk: fields 3 and up empty
    (paranmt,) = parse_corpora(f"paranmt:{SAMPLES}/paranmt-5m-native-sample/validation-set-10.txt")
    assert len(list(numbered_pairs(paranmt, SkipCounts(), 0))) == 10
