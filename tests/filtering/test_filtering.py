"""Corpora scored row by row: what one pass over all rows says, in flat memory, resumed, in parts,
filtered.
"""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from parabench.baselines.causal import build_zeroshot
from pyarrow import parquet
from typer.testing import CliRunner

from parabench.cli import app
from parabench.contracts import (
    BuildContext,
    Column,
    Decoding,
    Paraphrase,
    Runtime,
    Signature,
    UserError,
    additive,
)
from parabench.filtering import scoring
from parabench.filtering.source import ROWS_PER_BLOCK, FilterRow, Source, part_of
from parabench.pipeline.plan import build_plugin
from parabench.render.progress import ProgressLines
from parabench.suites import suite as suites
from tests.support import tiny

WORDS = ["the", "old", "man", "walked", "his", "dog", "along", "a", "river", "in", "may"]


def corpus(path: Path, rows: int) -> Path:
    lines = []
    for number in range(rows):
        source = " ".join(WORDS[number % 4 :]) + f" {number}"
        lines.append(
            f"{source}\t{source.replace('old', 'elderly')}\t{source.replace('man', 'fellow')}\n"
        )
    path.write_text("".join(lines))
    return path


def job(folder: Path, source: object, *names: str, **changes: object) -> scoring.Filter:
    suite = suites.load_suite("overlap")
    scorers = {name: build_plugin("scorer", name, suite, BuildContext()) for name in names}
    made = scoring.Filter(Source(str(source)), scorers, suite.normalise, Runtime(), folder)
    return replace(made, **changes)


def read(folder: Path) -> list[dict[str, object]]:
    return parquet.read_table(folder / "scores.parquet").to_pylist()


def test_every_row_has_the_columns_it_has_by_itself(tmp_path: Path) -> None:
    rows = ROWS_PER_BLOCK + 300
    made = job(tmp_path / "out", corpus(tmp_path / "rows.tsv", rows), "bleu")
    outcome = scoring.run_filter(made)
    table = read(tmp_path / "out")
    pairs = list(made.source.rows())
    statistics = made.scorers["bleu"].measure(
        [row.example for row in pairs], [row.text for row in pairs]
    )
    assert [row["id"] for row in table] == [str(number + 1) for number in range(rows)]
    for at in (0, ROWS_PER_BLOCK - 1, ROWS_PER_BLOCK, rows - 1):
        assert table[at]["bleu"] == made.scorers["bleu"].combine(statistics[at : at + 1])[0]
        assert (table[at]["source"], table[at]["text"]) == (
            pairs[at].example.source,
            pairs[at].text,
        )
    value = made.scorers["bleu"].combine(statistics)[0]
    assert outcome.cells[0].value == pytest.approx(value, rel=1e-12)
    assert outcome.cells[0].low < value < outcome.cells[0].high


@dataclass
class Counting:
    """Measures the length, in flat memory; says how often it was asked; dies after so many
    blocks.
    """

    asked: int = 0
    blocks: int | None = None
    columns: tuple[Column, ...] = (Column("words", "none", "output"),)
    signature: Signature = Signature("counting")  # noqa: RUF009

    def measure(self, examples: list[object], texts: list[str]) -> np.ndarray:
        if self.asked == self.blocks:
            raise KeyboardInterrupt
        self.asked += 1
        return np.array([[len(text.split()), 1.0] for text in texts])

    @additive
    def combine(self, statistics: np.ndarray) -> np.ndarray:
        total = statistics.sum(axis=-2)
        return total[..., :1] / total[..., 1:]


def test_an_interrupted_filter_ends_in_the_same_files(tmp_path: Path) -> None:
    source = corpus(tmp_path / "rows.tsv", 3 * ROWS_PER_BLOCK)
    whole = job(tmp_path / "whole", source, scorers={"words": Counting()})
    scoring.run_filter(whole)
    with pytest.raises(KeyboardInterrupt):
        scoring.run_filter(job(tmp_path / "cut", source, scorers={"words": Counting(blocks=2)}))
    (statistics,) = (tmp_path / "cut" / "statistics").glob("*.f64")
    statistics.write_bytes(statistics.read_bytes()[:-7])  # a torn end
    rest = Counting()
    scoring.run_filter(job(tmp_path / "cut", source, scorers={"words": rest}))
    assert rest.asked == 2
    for path in (tmp_path / "whole").rglob("*"):
        if path.is_file() and path.name != "lock":
            assert (
                tmp_path / "cut" / path.relative_to(tmp_path / "whole")
            ).read_bytes() == path.read_bytes()


def test_memory_does_not_grow_with_the_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "ROWS_PER_BLOCK", 256)

    def peak(rows: int) -> int:
        made = job(
            tmp_path / str(rows),
            corpus(tmp_path / f"{rows}.tsv", rows),
            scorers={"words": Counting()},
        )
        tracemalloc.start()
        scoring.run_filter(made)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(256)  # imports
    assert peak(5000) < 1.1 * peak(1000)


def test_parts_are_the_whole(tmp_path: Path) -> None:
    source = corpus(tmp_path / "rows.tsv", 3 * ROWS_PER_BLOCK + 5)
    whole = [row.example.id for row in Source(str(source)).rows()]
    parts = [
        [row.example.id for row in Source(str(source), 0, *part_of(f"{k}/2")).rows()]
        for k in (1, 2)
    ]
    assert sorted(map(int, parts[0] + parts[1])) == list(map(int, whole))
    assert len(parts[0]) == 2 * ROWS_PER_BLOCK
    for wrong in ("0/2", "3/2", "x", "1/"):
        with pytest.raises(UserError, match="1/8"):
            part_of(wrong)


@dataclass(frozen=True)
class Capitals:
    """A system that answers in two batches, last first."""

    signature: Signature = Signature("capitals")  # noqa: RUF009

    def paraphrase(self, sources: list[str]) -> Iterator[list[Paraphrase]]:
        half = len(sources) // 2
        yield [Paraphrase(at, sources[at].upper()) for at in range(half, len(sources))]
        yield [Paraphrase(at, sources[at].upper()) for at in range(half)]


def test_a_system_may_write_the_texts(tmp_path: Path) -> None:
    source = corpus(tmp_path / "rows.tsv", ROWS_PER_BLOCK + 7)
    scoring.run_filter(job(tmp_path / "out", source, "bleu", system=Capitals()))
    assert all(row["text"] == str(row["source"]).upper() for row in read(tmp_path / "out"))
    with pytest.raises(UserError, match="system"):
        scoring.run_filter(job(tmp_path / "out", source, "bleu"))


def test_a_model_is_loaded_once_for_all_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from parabench.baselines import causal

    loaded, load = [], causal.load_causal
    monkeypatch.setattr(scoring, "GENERATED", 3)
    monkeypatch.setattr(causal, "load_causal", lambda *given: loaded.append(given) or load(*given))
    tiny.opt(tmp_path / "opt")
    system = build_zeroshot(
        "",
        BuildContext(decoding=Decoding(max_new_tokens=3), options={"model": str(tmp_path / "opt")}),
    )
    scoring.run_filter(
        job(tmp_path / "out", corpus(tmp_path / "rows.tsv", 8), "bleu", system=system)
    )
    assert len(loaded) == 1
    list(system.paraphrase(["It rains."]))
    assert len(loaded) == 2


def test_the_command_filters_a_corpus_in_its_own_format(tmp_path: Path) -> None:
    pairs = [
        ("The old man walked home.", "The aged man went home."),
        ("It rained.", "It rained!"),
        ("A b c d.", "No way"),
    ]
    (tmp_path / "para.tsv").write_text(
        "".join(f"{s}\t{t}\t0.8\n" for s, t in pairs) + "torn line\n"
    )
    options = ["--scorers", "side", "--format", "jsonl", "--keep", "length>=0.9,near-copies<50"]
    done = CliRunner().invoke(
        app,
        ["data", "filter", f"paranmt:{tmp_path}/para.tsv", "--output", f"{tmp_path}/out", *options],
    )
    assert done.exit_code == 0, done.output
    rows = [
        json.loads(line) for line in (tmp_path / "out" / "scores.jsonl").read_text().splitlines()
    ]
    assert [row["id"] for row in rows] == ["1"]
    assert "1 a copy" in done.stderr
    assert "1 not reference TAB paraphrase" in done.stderr
    assert "2 rows, 1 kept" in done.stdout
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["columns"]["length"]["against"] == "source"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["rows.tsv", "--scorers", "bleu", "--keep", "blue>3"], "no column 'blue'"),
        (["rows.tsv", "--scorers", "bleu", "--keep", "bleu=3"], "COLUMN>=NUMBER"),
        (["rows.tsv", "--scorers", "bleu", "--format", "xml"], "parquet, jsonl"),
        (["tsv:rows.tsv", "--scorers", "bleu"], "it has no references"),
        (["nowhere.tsv", "--scorers", "bleu"], "No such file"),
        (["paranmt:empty.tsv", "--scorers", "side"], "no row is left"),
        (["tsv:rows.tsv=0.5,tsv:rows.tsv=0.5", "--scorers", "side"], "one by one"),
    ],
)
def test_what_cannot_be_filtered_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    corpus(Path("rows.tsv"), 3)
    Path("empty.tsv").write_text("")
    with pytest.raises(UserError, match=says):
        CliRunner().invoke(
            app, ["data", "filter", *arguments, "--output", "out"], catch_exceptions=False
        )


def test_rows_come_from_every_format(tmp_path: Path) -> None:
    import pyarrow

    tsv = corpus(tmp_path / "rows.tsv", 4)
    rows = list(Source(str(tsv)).rows())
    records = [
        {
            "id": r.example.id,
            "source": r.example.source,
            "prediction": r.text,
            "references": list(r.example.references),
        }
        for r in rows
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    parquet.write_table(pyarrow.Table.from_pylist(records), tmp_path / "rows.parquet")
    for name in ("rows.jsonl", "rows.parquet"):
        assert list(Source(str(tmp_path / name)).rows()) == rows
    assert list(Source(str(tsv)).rows(2)) == rows[2:]
    assert isinstance(rows[0], FilterRow)


def test_long_work_says_now_and_then_how_fast_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    lines = ProgressLines(lambda: now[0])
    for second in range(0, 100, 10):
        now[0] = float(second)
        lines("bleu", 100 * second // 10, 2000)
    assert capsys.readouterr().err.splitlines() == [
        "bleu: 300 of 2,000, 10/s, 0:02:50 left",
        "bleu: 600 of 2,000, 10/s, 0:02:20 left",
        "bleu: 900 of 2,000, 10/s, 0:01:50 left",
    ]


def test_slow_work_has_a_rate_and_its_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    """As a training without a terminal shows it: step, loss, rate, time left, every 30 seconds."""
    now = [0.0]
    lines = ProgressLines(lambda: now[0])
    for step in range(10):
        now[0] = 20.0 * step
        lines("softprompt-20", step, 10, f"loss {5 - step / 2:.3f}")
    shown = capsys.readouterr().err.splitlines()
    assert shown[:2] == [
        "softprompt-20: 2 of 10, loss 4.000, 0.05/s, 0:02:40 left",
        "softprompt-20: 4 of 10, loss 3.000, 0.05/s, 0:02:00 left",
    ]


def test_no_tokenizer_remembers_a_corpus() -> None:
    """Sacrebleu's own keep 65,536 texts for good: memory that grows for the first hundred thousand
    rows.
    """
    from parabench.scorers.segment import lower_tokens, uncached
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
    from sacrebleu.tokenizers.tokenizer_re import TokenizerRegexp

    text = 'He said: "No, Mr. O\'Neil &amp; 3,000 others."'
    before = [kind.__call__.cache_info().currsize for kind in (Tokenizer13a, TokenizerRegexp)]
    found = uncached(Tokenizer13a())(f"{text} forgotten"), lower_tokens(f"{text} forgotten too")
    assert [
        kind.__call__.cache_info().currsize for kind in (Tokenizer13a, TokenizerRegexp)
    ] == before
    assert found[0] == Tokenizer13a()(f"{text} forgotten")
    assert found[1] == Tokenizer13a()(f"{text} forgotten too".lower()).split()
