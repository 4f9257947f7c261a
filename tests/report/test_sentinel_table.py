"""People and sentinels on real news: 498 sentences, five human paraphrases, each left out in turn
and scored.

The table was computed once with other programs (sacrebleu's corpus scores, rouge-score, a plain
SARI and PINC) on newstest2019 (Bawden et al. 2020); the columns here must show the same. It is why
copying is a row of every leaderboard.
"""

from __future__ import annotations

from pathlib import Path
from statistics import harmonic_mean

import numpy as np
import pytest
from parabench.scorers import chrf, divergence, ibleu, rouge, sari, ter
from parabench.scorers.edits import divergence as divergence_term

from parabench import registry
from parabench.contracts import BuildContext, Column, Example
from parabench.stats import leave_one_out
from parabench.stats.validity import columns_beaten_by_sentinels

NEWS = Path(__file__).parents[2] / "../shared/data/newstest2019-human-paraphrases"
pytestmark = pytest.mark.skipif(
    not NEWS.exists(), reason="needs ../shared/data/newstest2019-human-paraphrases"
)

HEADER = [
    "BLEU",
    "selfB",
    "iB.9",
    "iB.8",
    "iB.7",
    "chrF",
    "TER",
    "RL",
    "SARI",
    "NED",
    "PINC",
    "DS",
    "H",
]
TABLE = """
human          40.0  24.1 33.6 27.2 20.8 57.2  55.6 57.9 42.5  49.8 76.3  .27 52.4
copy           50.3 100   35.3 20.3  5.2 63.3  50.1 65.7 11.4   0    0   -1    0
near-copy      43.0  84.7 30.2 17.4  4.7 62.9  54.9 65.7 11.4   5.5  9.6 -.79 22.5
drop-last      46.0  88.3 32.6 19.2  5.7 58.5  51.3 62.9 38.0  12.2  0   -.55 18.6
first-half     18.3  30.9 13.4  8.5  3.6 34.4  65.4 46.6 33.8  55.1  0    .35 29.0
negated        39.3  76.9 27.7 16.1  4.5 61.8  75.9 55.3 11.8  22.3 31.0 -.18 29.1
shuffled        7.4   9.9  5.6  3.9  2.2 48.0  80.2 36.8 27.5  68.4 71.2  .33 13.6
source-twice   24.7  47.8 17.5 10.2  3.0 55.1 133.4 48.3 11.4  50.4 12.9  .35 33.6
other-sentence  0.4   0.2  0.3  0.3  0.2 15.7 114    9.7 27.0  77.9 97.7  .35  0.8
empty           0     0    0    0    0    0    87.0  0   25.3 100    0    .35  0
"""
EXPECTED = {
    name: dict(zip(HEADER, map(float, row), strict=True))
    for name, *row in (line.split() for line in TABLE.strip().splitlines())
}
BY_CHANCE = {"shuffled": 2.0, "other-sentence": 0.8}
"""These two depend on a seed; everything else must agree within rounding."""
STRAY_SPACES = 0.1
"""The table's SARI cut at single spaces, so stray ones became words that an empty text shares:
25.28 for 25.21.
"""

POOLED = 0.1
"""The table averages five corpus scores of people against the source; here all turns are one
corpus: 24.02 for 24.1.
"""


@pytest.fixture(scope="module")
def news() -> list[tuple[str, ...]]:
    """Source and five references of the complete rows."""
    names = ("source.en", *(f"ref.{n}.en" for n in range(1, 6)))
    rows = zip(
        *((NEWS / name).read_text(encoding="utf-8").splitlines() for name in names), strict=True
    )
    return [row for row in rows if all(text.strip() for text in row)]


def examples_and_texts(news, name: str) -> tuple[list[Example], list[list[str]]]:
    """The examples with all references, and what a control says of each: one text, or one for each
    turn.
    """
    examples = [
        Example(str(number), source, tuple(references))
        for number, (source, *references) in enumerate(news)
    ]
    setting = BuildContext(
        sources=tuple(e.source for e in examples),
        human_answers=tuple(e.references for e in examples),
    )
    system = registry.plugin_builder("system", name)("", setting)
    found = {
        p.position: list(p.turns or [p.text])
        for batch in system.paraphrase(setting.sources)
        for p in batch
    }
    return examples, [found[position] for position in range(len(news))]


def combined(scorer, statistics) -> dict[str, float]:
    return dict(
        zip((c.name for c in scorer.columns), scorer.combine(statistics).tolist(), strict=True)
    )


def in_turns(module, examples, texts, **options) -> dict[str, float]:
    """The columns of a scorer by the harness's own protocol."""
    scorer = module.build("", BuildContext(options=options))
    return combined(scorer, leave_one_out.measure_leave_one_out(scorer, examples, texts))


def divergences(news, name: str) -> dict[str, float]:
    examples, texts = examples_and_texts(news, name)
    got = in_turns(divergence, examples, texts, tokenize="none")
    pairs = [
        (e.source, text) for e, several in zip(examples, texts, strict=True) for text in several
    ]
    term = np.mean([divergence_term(source, text, 0.35) for source, text in pairs])
    return {"NED": got["ned"], "PINC": got["pinc"], "DS": float(term)}


def overlaps(news, name: str) -> dict[str, float]:
    examples, texts = examples_and_texts(news, name)
    weights = {"iB.9": "0.9", "iB.8": "", "iB.7": "0.7", "BLEU": "1"}
    scorers = {
        key: ibleu.build(weight, BuildContext(options={"lowercase": True}))
        for key, weight in weights.items()
    }
    statistics = leave_one_out.measure_leave_one_out(scorers["iB.8"], examples, texts)
    got = {key: float(scorer.combine(statistics)[0]) for key, scorer in scorers.items()}
    got["selfB"] = combined(scorers["iB.8"], statistics)["src_bleu"]
    got["chrF"] = in_turns(chrf, examples, texts)["chrf"]
    return got | {"RL": in_turns(rouge, examples, texts)["rougeL"]}


def check(name: str, got: dict[str, float]) -> None:
    for column, value in got.items():
        special = {"DS": 0.0051, ("empty", "SARI"): STRAY_SPACES, ("human", "selfB"): POOLED}
        rounding = special.get(column, special.get((name, column), 0.051))
        assert value == pytest.approx(EXPECTED[name][column], abs=BY_CHANCE.get(name, rounding)), (
            name,
            column,
        )


@pytest.mark.parametrize("name", [name for name in EXPECTED if name != "human"])
def test_divergence_of_sentinels(news, name):
    assert len(news) == 498
    check(name, divergences(news, name))


def test_the_table_says_which_columns_are_valid():
    """The rule on the published numbers: iBLEU at .8 and .7 rank people first, and SARI; overlap
    alone does not.
    """
    up = [Column(name, "down" if name == "TER" else "up", "both") for name in HEADER]
    values = {name: list(row.values()) for name, row in EXPECTED.items()}
    broken = columns_beaten_by_sentinels(up, values.pop("human"), values)
    assert [column.name for column in up if column.name not in broken] == [
        "iB.8",
        "iB.7",
        "SARI",
        "H",
    ]
    assert broken["BLEU"] == ("copy", "drop-last", "near-copy")
    assert "empty" in broken["NED"]


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPECTED)
def test_overlap_with_references(news, name):
    got = overlaps(news, name)
    check(name, got)
    if EXPECTED[name]["H"]:
        check(name, {"H": harmonic_mean([got["BLEU"], 100 - got["selfB"]])})


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPECTED)
def test_edits_in_one_turn(news, name):
    """The table has TER and SARI with the first reference left out."""
    examples, texts = examples_and_texts(news, name)
    first, said = (
        [leave_one_out.without_reference(example, 0) for example in examples],
        [several[0] for several in texts],
    )
    found = {
        key: module.build("", BuildContext()) for key, module in (("TER", ter), ("SARI", sari))
    }
    got = {key: combined(scorer, scorer.measure(first, said)) for key, scorer in found.items()}
    check(name, {"TER": got["TER"]["ter"], "SARI": got["SARI"]["sari-sentence"]})


@pytest.mark.slow
def test_divergence_of_people(news):
    check("human", divergences(news, "human"))
