"""``parabench report`` of a folder of runs: each with its verdict, and tables of chosen columns."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from parabench import cli
from parabench.report.index import find_runs, index_data, index_html

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


def test_runs_that_differ_in_data_are_told_apart_in_the_index(runs):
    finished = runs / "run-finished"
    shutil.copytree(finished, runs / "same")
    shutil.copytree(finished, runs / "other")
    board = (runs / "other" / "leaderboard.json").read_text()
    fingerprint = json.loads(board)["provenance"]["data"]["fingerprint"]
    (runs / "other" / "leaderboard.json").write_text(board.replace(fingerprint, "another"))
    data = index_data(find_runs(runs))
    assert [run["name"] for run in data["runs"]] == ["other", "run-finished", "same"]
    assert set(data["blocked"]) == {"0 1", "0 2"}
    assert data["blocked"]["0 1"][0].startswith("data.fingerprint: another and ")
    headline = data["runs"][1]["columns"][0]["name"]
    system = next(row for row in data["runs"][1]["rows"] if not row["control"])
    value, low, high = system["scores"][headline]
    assert low <= value <= high


def test_figures_as_pdf(runs):
    run = runs / "run-finished"
    done = CliRunner().invoke(cli.app, ["report", str(run), "--format", "pdf"])
    assert done.exit_code == 0, done.output
    written = {path.name for path in (run / "figures").iterdir()}
    assert "plane.pdf" in written
    assert "spread-ibleu.pdf" in written
    assert all(path.read_bytes().startswith(b"%PDF") for path in (run / "figures").iterdir())
    assert CliRunner().invoke(cli.app, ["verify", str(run)]).exit_code == 0
