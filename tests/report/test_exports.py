"""Other programs' forms are read back by their own readers, or held against their documented
layout.
"""

import json
import math
import shutil
import subprocess
from dataclasses import replace

import numpy
import pyarrow.parquet
import pytest
from hypothesis import given

from parabench.contracts import UserError
from parabench.render.escape import latex
from parabench.report.board import select
from parabench.report.exports import to_lm_eval, to_parquet
from parabench.report.latex import to_latex
from parabench.report.leaderboard import board_to_csv, board_to_markdown
from tests.support.boards import HOSTILE, PATIENT, small
from tests.support.pages import page


def test_lm_eval_layout():
    content = json.loads(to_lm_eval(small(), "bart", "mini"))
    # The keys that EleutherAI/lm-evaluation-harness, lm_eval/evaluator.py writes.
    keys = {
        "results",
        "group_subtasks",
        "configs",
        "versions",
        "n-shot",
        "higher_is_better",
        "n-samples",
        "config",
    }
    assert keys | {"git_hash", "model_name", "model_name_sanitized"} == set(content)
    results = content["results"]["mini"]
    assert results["alias"] == "mini"
    assert results["bleu,none"] == 41
    assert results["bleu_stderr,none"] == pytest.approx(2.5 / 3.919928)
    assert content["higher_is_better"]["mini"] == {
        "ibleu": True,
        "bleu": True,
        "self-bleu": False,
        "rouge1-p": True,
    }
    assert content["n-samples"]["mini"] == {"original": 500, "effective": 500}


def test_lm_eval_leaves_out_what_is_undefined():
    results = json.loads(to_lm_eval(small(), "zeroshot", "mini"))["results"]["mini"]
    assert "length,none" not in results
    assert "ibleu,none" in results


def test_lm_eval_of_an_unknown_system_names_the_choices():
    with pytest.raises(UserError, match="copy, softprompt-111"):
        to_lm_eval(small(), "brat")


def test_latex_table():
    lines = to_latex(small()).splitlines()
    assert r"\toprule" in lines
    header = (
        r"rank & system & ibleu $\uparrow$ & bleu $\uparrow$\parabenchwarning{} "
        r"& self-{}bleu $\downarrow$ & length & $n$ \\"
    )
    assert header in lines
    row = next(line for line in lines if "bart" in line)
    assert row.startswith(r"1--2 & bart & $\mathbf{29.5}$ & $41.0$ & ")
    assert lines[lines.index(row) + 1].startswith(r" &  & {\tiny [$28.5, 31.0$]} & ")
    assert any(line.startswith(r" & \textit{copy} & $20.5$ & ") for line in lines)


@PATIENT
@given(HOSTILE)
def test_latex_text_holds_no_command_of_its_own(text):
    shown = latex(text)
    for command in (
        "textbackslash{}",
        "textasciicircum{}",
        "textasciitilde{}",
        "textless{}",
        "textgreater{}",
        "textbar{}",
    ):
        shown = shown.replace(f"\\{command}", "")
    for command in ("symbol{34}", "textquotesingle{}", "textasciigrave{}"):
        shown = shown.replace(f"\\{command}", "")
    for character in "{}$&#%_":
        shown = shown.replace(f"\\{character}", "")
    assert not set(shown.replace("-{}", "")) & set("\\{}$&#%_^~")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(tmp_path):
    text = (
        r"\documentclass{article}\usepackage{booktabs,graphicx,textcomp}\begin{document}"
        + to_latex(small())
        + r"\end{document}"
    )
    (tmp_path / "t.tex").write_text(text, encoding="utf-8")
    subprocess.run(
        ["pdflatex", "-halt-on-error", "t.tex"], cwd=tmp_path, check=True, capture_output=True
    )


def test_parquet_holds_every_sample_value_and_statistic(tmp_path):
    data = page()
    statistics = {"bleu": {"bart": numpy.array([[1.0, 2.0], [3.0, math.nan], [5.0, 6.0]])}}
    to_parquet(data, tmp_path / "samples.parquet", statistics)
    table = pyarrow.parquet.read_table(tmp_path / "samples.parquet")
    rows = {(row["system"], row["id"]): row for row in table.to_pylist()}
    assert len(rows) == 12
    assert rows["bart", "e1"]["outputs"] == ["The feline rested."]
    assert rows["bart", "e1"]["references"] == ["A cat 1 was sitting."]
    assert rows["copy", "e2"]["outputs"] == []
    assert rows["copy", "e2"]["bleu"] is None
    assert rows["copy", "e0"]["bleu"] == 1.0
    assert rows["bart", "e1"]["statistics.bleu"] == [3.0, None]
    assert rows["copy", "e1"]["statistics.bleu"] is None
    assert rows["bart", "e2"]["cut"]
    facts = json.loads(table.schema.metadata[b"parabench"])
    assert facts["signatures"] == {"bleu": "bleu|refs:4"}


def test_latex_marks_and_explains_columns_that_do_not_rank():
    text = to_latex(small(), label="tab:mine")
    head = next(line for line in text.splitlines() if line.startswith("rank &"))
    assert [cell.strip() for cell in head.split("&") if "warning" in cell] == [
        r"bleu $\uparrow$\parabenchwarning{}"
    ]
    caption = next(line for line in text.splitlines() if line.startswith(r"\caption"))
    assert r"\parabenchwarning{} marks columns that do not rank here" in caption
    notes = next(line for line in text.splitlines() if r"\parbox" in line)
    assert r"\parabenchwarning{} bleu does not rank here: copy beats human." in notes
    assert r"\label{tab:mine}" in text
    assert r"\usepackage{booktabs,graphicx}" in text.splitlines()[0]
    with pytest.raises(UserError, match="label the table"):
        to_latex(small(), label="}\\input{x")


def test_latex_marks_rows_of_one_training_seed():
    seeds = {"softprompt-111": 2, "bart": 1}
    rows = [replace(row, seeds=seeds.get(row.system, 0)) for row in small().rows]
    text = to_latex(small(rows=tuple(rows)))
    assert "& bart* &" in text
    assert "& softprompt-{}111 &" in text
    assert "* one training seed" in text


def test_chosen_columns_and_rows():
    chosen = select(small(), ["self-bleu", "ibleu"], ["bart", "copy"])
    assert [column.name for column in chosen.columns] == ["self-bleu", "ibleu"]
    assert "warning{} bleu" not in to_latex(chosen)
    assert "zeroshot" not in board_to_markdown(chosen) + board_to_csv(chosen) + to_latex(chosen)
    assert board_to_csv(chosen).splitlines()[0].count("bleu") == 10
    for columns, rows in ((["nope"], []), ([], ["nope"])):
        with pytest.raises(UserError, match="nope"):
            select(small(), columns, rows)
