"""Plug-ins from outside, installed as packages: what the core asks of its own it asks of them.

Two packages are those that the pages for authors show, whole; the third is a scorer with a model.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from parabench import contracts, registry
from parabench.cli import app
from parabench.contracts import BuildContext, Example, Scorer, System
from parabench.data.sketches import write_sketch
from parabench.store.log import finished_statistics, read_log
from parabench.store.run_folder import verify_run
from tests.models.conftest import hub, models  # noqa: F401, the fixtures of a hub
from tests.support import tiny, tiny_suite
from tests.support.local_hub import Hub

DOCS = Path(__file__).parent.parent.parent / "docs"
BART = "facebook/bart-large-cnn"


TOKEN_COUNT = """
from dataclasses import dataclass
import numpy as np
from parabench.contracts import BuildContext, Column, Signature, additive
from parabench.models.checkpoints import checkpoint_folder, locate

def load_tokenizer(folder):
    from transformers import AutoTokenizer
    return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)

@dataclass(frozen=True)
class TokenCount:
    setting: BuildContext
    columns: tuple = (Column("tokens", "none", "output", 2, "tokens of an output"),)

    @property
    def model_names(self):
        return (str(self.setting.options["model"]),)

    @property
    def signature(self):
        return Signature("tokens", (("model", locate(self.model_names[0]).digest[:12]),))

    def measure(self, examples, texts):
        folder = checkpoint_folder(locate(self.model_names[0]))
        tokenizer = self.setting.models.get(load_tokenizer, folder)
        return np.array([[float(len(tokenizer(text).input_ids)), 1.0] for text in texts])

    @additive
    def combine(self, statistics):
        sums = statistics.sum(axis=-2)
        return sums[..., :1] / sums[..., 1:]

    def release(self):
        self.setting.models.clear()

def build(variant, setting):
    return TokenCount(setting)

SCORERS = {"tokens": "token_count:build"}
"""


def shown_files(page: str) -> dict[str, str]:
    """The files that a page shows, by name."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return dict(re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```\n", text, flags=re.DOTALL))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip installed the packages."""
    target = tmp_path_factory.mktemp("site")
    syllables = shown_files("your-scorer.md")
    packages = {
        "token_drop": shown_files("your-model.md"),
        "syllables": syllables,
        "token_count": {
            "pyproject.toml": syllables["pyproject.toml"].replace("syllables", "token_count"),
            "token_count.py": TOKEN_COUNT,
        },
    }
    for module, files in packages.items():
        source = tmp_path_factory.mktemp(module)
        for name in ("pyproject.toml", f"{module}.py"):
            (source / name).write_text(files[name], encoding="utf-8")
        plain = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
        command = [sys.executable, "-m", "pip", "install", *plain, "--target", str(target), source]
        subprocess.run([*command], check=True, timeout=300)
    return target


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The packages can be imported, and the table of plug-ins is read again."""
    monkeypatch.syspath_prepend(str(site))
    registry.plugin_table.cache_clear()
    yield
    registry.plugin_table.cache_clear()


def suite_file(folder: Path, model: str = "./opt", more: str = "") -> Path:
    if model == "./opt":
        tiny.opt(folder / "opt")
    tiny_suite.examples_file(folder)
    path = folder / "own.toml"
    path.write_text(
        f"""
name = "own"
title = "Own"
data = "./examples.jsonl"
systems = ["token-drop-4"]
controls = ["human", "copy"]
scorers = ["ibleu", "syllables"]
headline = "ibleu"
[system.token-drop]
model = "{model}"
{more}
"""
    )
    return path


def run(suite: Path, *more: str) -> str:
    """Run the suite beside it; what the command printed."""
    words = ["run", "--suite", str(suite), "--device", "cpu"]
    output = ["--output", str(suite.parent / "out")]
    return CliRunner().invoke(app, [*words, *output, *more], catch_exceptions=False).output


def test_a_plug_in_is_a_sentinel(installed: None, tmp_path: Path) -> None:
    run(suite_file(tmp_path))
    assert verify_run(tmp_path / "out") == []
    key, records = read_log(tmp_path / "out", "predictions", "token-drop-4")
    assert key["role"] == "sentinel"
    assert len(records) == 12
    board = json.loads((tmp_path / "out" / "leaderboard.json").read_text())
    row = next(row for row in board["rows"] if row["system"] == "token-drop-4")
    assert row["control"] is True
    assert "syllables" in row["scores"]


@pytest.mark.loopback
def test_a_plug_in_is_fetched_before_a_run(hub: Hub, installed: None, tmp_path: Path) -> None:  # noqa: F811
    suite = suite_file(tmp_path, BART)
    assert f"fetching {BART}" in run(suite)
    assert "fetching" not in run(suite)


def test_a_plug_in_tells_its_cost(installed: None, tmp_path: Path) -> None:
    assert "12 sentences, a millisecond each" in run(suite_file(tmp_path), "--dry-run")
    assert not (tmp_path / "out").exists()


def test_a_plug_in_tells_what_it_learned_from(installed: None, tmp_path: Path) -> None:
    (tmp_path / "record").mkdir()
    suite = suite_file(tmp_path, more=f'trained = "{tmp_path / "record"}"')
    first = json.loads((tmp_path / "examples.jsonl").read_text().splitlines()[0])
    write_sketch(tmp_path / "record", [(first["source"], first["references"][0])], [], 0)
    run(suite)
    provenance = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert provenance["training"]["token-drop-4"]["seen"] not in ("", "clean")


def test_a_plug_in_frees_its_model(installed: None, tmp_path: Path) -> None:
    tiny.opt(tmp_path / "opt")
    setting = BuildContext(options={"model": str(tmp_path / "opt")})
    system: System = registry.plugin_builder("system", "token-drop")("4", setting)
    list(system.paraphrase(["The old man walks his dog."]))
    assert setting.models._made is not None
    contracts.release_models(system)
    assert setting.models._made is None


@pytest.mark.loopback
def test_a_scorers_model_is_fetched_before_a_run(
    hub: Hub,  # noqa: F811
    installed: None,
    tmp_path: Path,
) -> None:
    suite = suite_file(tmp_path, more=f'[scorer.tokens]\nmodel = "{BART}"')
    assert f"fetching {BART}" in run(suite, "--scorers", "ibleu,tokens")
    board = json.loads((tmp_path / "out" / "leaderboard.json").read_text())
    assert all("tokens" in row["scores"] for row in board["rows"])
    assert verify_run(tmp_path / "out") == []


def test_a_scorer_frees_its_model(installed: None, tmp_path: Path) -> None:
    setting = BuildContext(options={"model": str(tiny.opt(tmp_path / "opt"))})
    scorer: Scorer = registry.plugin_builder("scorer", "tokens")("", setting)
    assert contracts.model_names(scorer) == [str(tmp_path / "opt")]
    scorer.measure([Example("a", "Rain.", ())], ["It rains."])
    assert setting.models._made is not None
    contracts.release_models(scorer)
    assert setting.models._made is None


def test_a_scorer_says_why_it_has_no_value(installed: None, tmp_path: Path) -> None:
    suite = suite_file(tmp_path)
    (tmp_path / "examples.jsonl").write_text(
        json.dumps({"id": "a", "source": "The rain.", "references": ["Rain.", "It rains."]})
        + "\n"
        + json.dumps({"id": "b", "source": "Hm.", "references": ["Mh.", "Brr."]})
        + "\n"
    )
    run(suite)
    assert finished_statistics(tmp_path / "out", "copy", "syllables").why == {
        "b": "a source without vowels"
    }


def test_what_is_not_declared_has_its_default() -> None:
    class Bare:
        """A system with the two required members."""

        signature = contracts.Signature("bare")

        def paraphrase(self, sources):  # type: ignore[no-untyped-def]
            return iter(())

    bare, runtime = Bare(), contracts.Runtime()
    assert contracts.system_role(bare) == "system"
    assert contracts.model_names(bare) == []
    assert contracts.training_record(bare) is None
    assert contracts.runtime_of(bare, runtime) is runtime
    assert contracts.adapter_folder(bare) is None
    assert contracts.estimated_cost(bare, 3) is None
    contracts.release_models(bare)
    Bare.role = "judge"  # type: ignore[attr-defined]
    with pytest.raises(contracts.UserError, match="no such role"):
        contracts.system_role(bare)
