"""Published numbers beside a run's own: read as printed, rounded alike, refused where unclear."""

from __future__ import annotations

from pathlib import Path

import pytest

from parabench.contracts import UserError
from parabench.report.published import published_comparison, read_published
from tests.support.boards import small

TABLE = Path(__file__).parents[2] / "results/published/paraphrase-opt-2022.csv"


def test_the_2022_table_is_the_reports():
    """Clyde013/Paraphrase-OPT, REPORT.md at 50f9f70: corners of the table, and the best soft
    prompt's BARTScore.
    """
    table = read_published(TABLE)
    assert (len(table.systems), len(table.columns)) == (5, 14)
    assert table.examples == ("100", "500", "500", "500", "500")
    values = {
        name: dict(zip(table.systems, row, strict=True)) for name, row in table.columns.items()
    }
    assert values["legacy-bartscore"]["soft prompt 111 tokens"] == "-2.15795"
    assert values["legacy-bartscore"]["soft prompt 20 tokens"] == "-3.02511"
    assert values["legacy-rougeLsum_recall"]["bart fine tuned"] == "0.920124"
    assert values["legacy-rouge1_precision"]["bart fine tuned"] == "0.207854"


def published(folder, text):
    path = folder / "printed.csv"
    path.write_text(text, encoding="utf-8")
    return read_published(path)


def test_shared_columns_stand_side_by_side(tmp_path):
    shown = published_comparison(
        small(), published(tmp_path, "column,theirs | 1\nexamples,7\nibleu,12.25\nelsewhere,1\n")
    )
    lines = shown.splitlines()[2:]
    assert "theirs \\| 1 ‡" in lines[0]
    assert "bart" in lines[0]
    assert [line.split("|")[1].strip() for line in lines[2:4]] == ["examples", "ibleu"]
    assert [line.split("|")[2].strip() for line in lines[2:4]] == ["7", "12.2"]
    assert "elsewhere" not in shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "column,a\n",
        "column,a\nexamples,5\nibleu,x\n",
        "column,a,b\nexamples,5,5\nibleu,1\n",
        "x,a\nexamples,5\ny,1\n",
    ],
)
def test_another_layout_is_refused(tmp_path, text):
    with pytest.raises(UserError, match="lay it out as"):
        published(tmp_path, text)


def test_a_run_without_its_columns_is_told_how_to_get_them(tmp_path):
    with pytest.raises(UserError, match="--scorers paraphrase-opt"):
        published_comparison(small(), published(tmp_path, "column,a\nexamples,5\nelsewhere,1\n"))
