"""Corpora in their native layouts: what each file says is written out here by hand, line by
line.
"""

from __future__ import annotations

import csv
import gzip
import zipfile
from decimal import Decimal
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


@pytest.mark.parametrize(
    "score", ["(0,6)", "", "N/A", "nan", "NaN", "inf", "-inf", "1e999", "0,7", "1_0", "½", "0.7%"]
)
def test_a_cell_that_is_no_number_does_not_pass(tmp_path: Path, score: str) -> None:
    for form, name in (("tsv", "a.tsv"), ("csv", "a.csv")):
        path = tmp_path / name
        rows = [["source", "target", "score"], ["It rained.", "Rain fell.", score]]
        rows += [["He slept.", "A man was asleep.", "0.9"], ["She left.", "He came.", "0.1"]]
        with path.open("w", newline="") as file:
            csv.writer(file, delimiter="\t" if form == "tsv" else ",").writerows(rows)
        spec = parse_corpora(f"{form}:{path}?source=source&target=target&score=score&min_score=0.5")
        skipped = SkipCounts()
        found = [pair for _, pair in numbered_pairs(spec[0], skipped, 0)]
        assert found == [("He slept.", "A man was asleep.")]
        reasons = {"a score that is no number": 1, "outside the score range": 1}
        assert skipped.reasons == reasons


@pytest.mark.parametrize(
    "score",
    ['"0"', '"0.9"', "null", "true", "NaN", "Infinity", "1e999", "[0.9]", "1" + "0" * 400, '""'],
)
def test_a_json_value_that_is_no_number_does_not_pass(tmp_path: Path, score: str) -> None:
    path = tmp_path / "a.jsonl"
    lines = [
        f'{{"source": "It rained.", "target": "Rain fell.", "score": {score}}}',
        '{"source": "He slept.", "target": "A man was asleep.", "score": 0.9}',
        '{"source": "She left.", "target": "A woman went away."}',
    ]
    path.write_text("\n".join(lines) + "\n")
    (spec,) = parse_corpora(f"jsonl:{path}?score=score&max_score=1")
    skipped = SkipCounts()
    assert [line for line, _ in numbered_pairs(spec, skipped, 0)] == [2]
    assert skipped.reasons == {"a score that is no number": 2}


def test_scores_of_parquet_may_be_decimals_and_missing(tmp_path: Path) -> None:
    table = {
        "source": ["One went.", "Two came.", "Three ran."],
        "target": ["A went off.", "B arrived.", "C was running."],
        "score": [Decimal("0.9"), None, Decimal("0.1")],
    }
    parquet.write_table(pyarrow.table(table), tmp_path / "a.parquet")
    (spec,) = parse_corpora(f"parquet:{tmp_path / 'a.parquet'}?score=score&min_score=0.5")
    skipped = SkipCounts()
    assert [line for line, _ in numbered_pairs(spec, skipped, 0)] == [1]
    assert skipped.reasons == {"a score that is no number": 1, "outside the score range": 1}


def test_paranmt_without_scores_passes_no_bound(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("it rained .\train fell .\nhe slept .\ta man slept .\t0.9\nx y\tz y\t(0,6)\n")
    (spec,) = parse_corpora(f"paranmt:{path}?min_score=0.5")
    skipped = SkipCounts()
    assert [line for line, _ in numbered_pairs(spec, skipped, 0)] == [2]
    reasons = {"no score": 1, "not reference TAB paraphrase (TAB score)": 1}
    assert skipped.reasons == reasons


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("tsv:a.tsv?min_score=0.5", "no column of scores: add score=COLUMN"),
        ("jsonl:a.jsonl?max_score=0.5", "no column of scores: add score=COLUMN"),
        ("csv:a.csv?source=s&target=t&min_score=1", "no column of scores: add score=COLUMN"),
        ("parabank2:a.tsv?min_score=nan", "a bound of the score that is no number"),
        ("parabank2:a.tsv?min_score=(0", "min_score"),
        ("parabank2:a.tsv?min_score=N/A", "min_score"),
        ("parabank2:a.tsv?min_score=1&max_score=0", "no row could pass"),
        ("parabank2:a.tsv?near_copy=nan", "not a share above 0"),
        ("parabank2:a.tsv?near_copy=85", "not a share above 0"),
        ("parabank2:a.tsv?near_copy=0", "not a share above 0"),
        ("parabank2:a.tsv?max_ratio=nan", "neither 0 (no bound) nor 1 or more"),
        ("parabank2:a.tsv?max_ratio=-1", "neither 0 (no bound) nor 1 or more"),
        ("parabank2:a.tsv?max_ratio=0.5", "neither 0 (no bound) nor 1 or more"),
        ("parabank2:a.tsv?min_words=5&max_words=3", "min_words above max_words"),
        ("parabank2:a.tsv?min_words=-3", "a number of words below 0"),
        ("parabank2:a.tsv?max_words=3&max_words=5", "the option 'max_words' twice"),
        ("parabank2:a.tsv?score=s&min_score=1", "no option 'score' for the format parabank2"),
        ("tsv:a.tsv?delimiter=tab", "no option 'delimiter' for the format tsv"),
        ("csv:a.csv?delimiter=||", "neither one character nor a known name"),
        ("csv:a.csv?delimiter=tabs", "neither one character nor a known name"),
        ('csv:a.csv?delimiter="', "neither one character nor a known name"),
    ],
)
def test_an_option_that_cannot_work_is_refused(spec: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_corpora(spec)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("name", "character"),
    [
        ("\\t", "\t"),
        ("tab", "\t"),
        ("TAB", "\t"),
        (";", ";"),
        ("semicolon", ";"),
        ("pipe", "|"),
        ("^", "^"),
    ],
)
def test_a_delimiter_by_name_or_character(tmp_path: Path, name: str, character: str) -> None:
    path = tmp_path / "a.csv"
    rows = [["source", "target"], ["It rained, then.", "Rain fell."]]
    path.write_text("\n".join(character.join(row) for row in rows))
    (spec,) = parse_corpora(f"csv:{path}?source=source&target=target&delimiter={name}")
    ((_, pair),) = numbered_pairs(spec, SkipCounts(), 0)
    assert pair == ("It rained, then.", "Rain fell.")


def test_csv_with_another_delimiter_names_the_option(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("source;target\nIt rained.;Rain fell.\n")
    (spec,) = parse_corpora(f"csv:{path}?source=source&target=target")
    with pytest.raises(UserError, match="delimiter=semicolon"):
        list(numbered_pairs(spec, SkipCounts(), 0))


@pytest.mark.parametrize(
    ("form", "content", "reason"),
    [
        ("tsv", "source\ttarget\nIt rained.\tRain fell.\n", "a header, whose names"),
        ("tsv", "Sentence 1\tSentence 2\nIt rained.\tRain fell.\n", "a header, whose names"),
        ("paranmt", "reference\tparaphrase\nit rained .\train fell .\n", "a header, whose names"),
        ("tsv", 'It\trains.\n"A\ttab."\tWithin.\n', "a cell in quotes that holds a tab"),
        ("tsv", "source\ttarget\nIt rained.\tRain fell.\nsource\ttarget\n", "the header again"),
    ],
)
def test_a_line_that_is_no_pair_is_counted(
    tmp_path: Path, form: str, content: str, reason: str
) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(content)
    (spec,) = parse_corpora(f"{form}:{path}")
    skipped = SkipCounts()
    assert len(list(numbered_pairs(spec, skipped, 0))) == 1
    assert any(found.startswith(reason) for found in skipped.reasons)


@pytest.mark.parametrize(
    "header", ["sentence_a\tsentence_b", "English\tSimple English", "s1\tref_1\tref_2"]
)
def test_an_unclear_header_of_a_corpus_is_refused(tmp_path: Path, header: str) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(f"{header}\nOne.\tTwo.\tThree.\n")
    (spec,) = parse_corpora(f"tsv:{path}")
    with pytest.raises(UserError, match="source=COLUMN&target=COLUMN"):
        list(numbered_pairs(spec, SkipCounts(), 0))
