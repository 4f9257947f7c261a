"""``parabench report`` of a folder of runs: each with its verdict, and tables of chosen columns."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from parabench import cli
from parabench.report.index import find_runs, index_html

OLDER = Path(__file__).parents[1] / "support" / "made_by_65248aa"


@pytest.fixture
def runs(tmp_path):
    for name in ("run-finished", "run-answering"):
        shutil.copytree(OLDER / name, tmp_path / "runs" / name)
    (tmp_path / "runs" / "notes").mkdir()
    return tmp_path / "runs"


def test_the_runs_of_a_folder_and_what_they_found(runs):
    done = CliRunner().invoke(cli.app, ["report", str(runs)])
    assert done.exit_code == 0, done.output
    assert "run-finished: softprompt-20 reaches" in done.output
    assert "run-answering: not finished" in done.output
    assert "notes" not in done.output
    page = (runs / "index.html").read_text()
    assert "softprompt-20 reaches" in page
    assert "<select" in page
    assert find_runs(runs / "run-finished") == []


def test_a_damaged_run_does_not_hide_the_others(runs):
    (runs / "run-answering" / "leaderboard.json").write_text("{")
    (runs / "run-finished" / "report.html").write_text("<p>")
    found = {run.name: run for run in find_runs(runs)}
    assert found["run-answering"].summary.startswith("cannot be read")
    assert found["run-finished"].link == "run-finished/report.html"


def test_names_of_folders_stay_text(runs):
    (runs / "run-answering").rename(runs / "<b onclick=x>&'")
    page = index_html("<i>", find_runs(runs))
    assert "<b onclick" not in page
    assert "<i>" not in page


def test_tables_of_chosen_columns_and_rows(runs):
    run = runs / "run-finished"
    chosen = ["--columns", "src_bleu,ibleu", "--rows", "softprompt-20", "--label", "tab:x"]
    arguments = ["report", str(run), "--format", "latex,markdown,csv", *chosen]
    done = CliRunner().invoke(cli.app, arguments)
    assert done.exit_code == 0, done.output
    for name in ("table.tex", "table.md", "table.csv"):
        text = (run / name).read_text().split("## ")[0]  # provenance names all systems
        assert "softprompt" in text
        assert "near-copy" not in text.replace("{}", "")
        assert "bartscore" not in text
    assert r"\label{tab:x}" in (run / "table.tex").read_text()
    assert "near-copy" in (run / "leaderboard.csv").read_text()
    wrong = CliRunner().invoke(cli.app, ["report", str(run), "--format", "csv", "--columns", "x"])
    assert wrong.exit_code != 0
