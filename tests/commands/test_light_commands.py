"""Commands that need no model load nothing of one: what they import is looked at, not a clock."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MODELS = ("torch", "transformers", "datasets", "pandas")
FIGURES = ("matplotlib",)
SLOW = ("nltk", "scipy.stats", "sklearn", "joblib")
MODEL_SCORERS = "bartscore,bertibleu,bertscore,fluency,paraphrase-opt,parascore"
"""Scorers of the mini suite whose models are in the package."""


def loaded(words: list[str], heavy: tuple[str, ...]) -> str:
    """What a command has loaded of these packages when it ends, and what it printed."""
    code = (
        "import sys; from parabench.cli import app\n"
        f"try: app({words!r})\nexcept SystemExit: pass\n"
        f"print('LOADED', [name for name in {heavy!r} if name in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    return done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run of two rows by ``parabench score``, every overlap column, and what it loaded."""
    folder = tmp_path_factory.mktemp("scored")
    rows = [
        {"source": "The old man walks.", "references": ["An old man is walking.", "He walks."]},
        {"source": "She bought seven books.", "references": ["Seven books were bought.", "Yes."]},
    ]
    data, texts = folder / "data.jsonl", folder / "mine.txt"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    texts.write_text("The man walks.\nShe got seven books.\n", encoding="utf-8")
    words = ["score", str(texts), "--data", str(data), "--output", str(folder / "run")]
    return folder / "run", loaded(words, MODELS + FIGURES + SLOW)


def test_scoring_two_rows_loads_no_model_and_no_figure(scored: tuple[Path, str]) -> None:
    folder, found = scored
    assert found == "LOADED []"
    table = (folder / "leaderboard.md").read_text(encoding="utf-8")
    for column in ("bleu", "chrf", "rougeL", "sari"):
        assert column in table


@pytest.mark.parametrize("command", ["report", "compare"])
def test_reading_a_run_loads_no_model(
    scored: tuple[Path, str], command: str, tmp_path: Path
) -> None:
    folder, _ = scored
    words = [command, str(folder)]
    if command == "compare":
        other = shutil.copytree(folder, tmp_path / "other")
        words.append(str(other))
    assert loaded(words, MODELS + FIGURES + SLOW) == "LOADED []"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The words of a run that is finished, and whose scorers needed torch and transformers."""
    folder = tmp_path_factory.mktemp("measured") / "run"
    words = ["run", "--suite", "mini", "--systems", "bart", "--scorers", MODEL_SCORERS]
    words += ["--limit", "2", "--device", "cpu", "--output", str(folder)]
    assert loaded(words, ("torch", "transformers")) == "LOADED ['torch', 'transformers']"
    return words


@pytest.mark.parametrize("command", ["report", "compare", "run"])
def test_what_models_measured_is_combined_without_them(
    measured: list[str], command: str, tmp_path: Path
) -> None:
    words = measured
    if command != "run":
        folder = measured[-1]
        words = [command, folder]
    if command == "compare":
        words.append(str(shutil.copytree(folder, tmp_path / "other")))
    assert loaded(words, MODELS + SLOW) == "LOADED []"


def test_building_a_scorer_loads_no_model() -> None:
    code = (
        "import sys; from parabench.contracts import BuildContext; from parabench import registry\n"
        "for family in registry.plugin_table('scorer'):\n"
        "    variant = 'exact_match' if family == 'evaluate' else ''\n"
        "    registry.plugin_builder('scorer', family)(variant, BuildContext()).columns\n"
        f"    print(family, [name for name in {MODELS + SLOW!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = [line.split(" ", 1) for line in done.stdout.splitlines()]
    assert {"bertscore", "embedding", "fluency", "nli", "semantic-parity"} < dict(found).keys()
    assert [family for family, names in found if names != "[]"] == []


def test_a_device_that_must_be_asked_for_asks_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from parabench.models import loading\n"
        "loading.may_have_gpu = lambda: True\n"
        "print(loading.resolve_device('auto'), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[1] == "True"
