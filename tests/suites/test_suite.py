"""The shipped suites: well-formed, buildable, pinned by their locks, and run whole against a local
hub.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from parabench.cli import app
from parabench.contracts import BuildContext, UserError
from parabench.pipeline import plan
from parabench.suites import suite as suites
from tests.support import local_hub, tiny, tiny_suite

HUB_SUITES = ("opt-1.3b", "opt-125m", "opt-350m")


@pytest.mark.parametrize("name", suites.built_in_suites())
def test_every_shipped_suite_is_valid_and_its_names_are_known(name: str) -> None:
    suite = suites.load_suite(name)
    for system in (*suite.systems, *suite.controls):
        plan.build_plugin("system", system, suite, BuildContext())
    columns = [
        c.name
        for s in suite.scorers
        for c in plan.build_plugin("scorer", s, suite, BuildContext()).columns
    ]
    assert {suite.headline, *suite.gates} <= set(columns)
    assert not suite.data or Path(suite.data).is_file()


@pytest.mark.parametrize("name", HUB_SUITES)
def test_a_suite_without_data_says_how_to_give_some(name: str) -> None:
    with pytest.raises(UserError, match="--data FILE"):
        plan.make_plan(plan.RunRequest(suites.load_suite(name), device="cpu"))
    assert f"facebook/{name}" in suites.fetched_models(name)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('templte = "{source}"', "no such option"),
        ('role = "villain"', "no such role"),
        ("dtype = 16", "not a text"),
        ('dtype = "float8"', "float8"),
    ],
)
def test_a_misspelt_option_is_refused(tmp_path: Path, line: str, says: str) -> None:
    path = tiny_suite.suite_file(tmp_path)
    path.write_text(path.read_text().replace("[system.zeroshot]", f"[system.zeroshot]\n{line}"))
    with pytest.raises(UserError, match=says):
        list(
            plan.build_plugin(
                "system", "zeroshot", suites.load_suite(str(path)), BuildContext()
            ).paraphrase(["a b"])
        )


SHORT_SUITE = """
name = "mine"
title = "Mine"
systems = ["zeroshot"]
scorers = ["ibleu"]
headline = "ibleu"
"""


def test_a_model_can_have_a_name_of_its_own_in_a_suite(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    models = '[models]\nbase = "some/base@v1"\nother = "./folder"\n'
    used = '[system.zeroshot]\nmodel = "base"\ntemplate = "base: {source}"\n'
    trained = '[train]\ncausal = "other"\nseq2seq = "plain/name"\n'
    path.write_text(SHORT_SUITE + models + used + trained)
    suite = suites.load_suite(str(path))
    # a name stands for a model where a model is named, and nowhere else
    assert suite.system["zeroshot"] == {"model": "some/base@v1", "template": "base: {source}"}
    assert (suite.train.causal, suite.train.seq2seq) == (str(tmp_path / "folder"), "plain/name")
    assert suites.fetched_models(str(path)) == ["some/base@v1", "plain/name"]


@pytest.mark.parametrize("models", ["models = 3", "[models]\nbase = 3", "[models.base]\na = 'b'"])
def test_models_that_are_no_names_are_refused(tmp_path: Path, models: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(SHORT_SUITE + models)
    with pytest.raises(UserError, match="models: must be a table"):
        suites.load_suite(str(path))


def test_data_of_an_option_is_found_beside_the_suite(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(SHORT_SUITE + '[system.fewshot]\npairs = "jsonl:./shots.jsonl"\n')
    found = suites.load_suite(str(path)).system["fewshot"]["pairs"]
    assert found == f"jsonl:{tmp_path / 'shots.jsonl'}"


def test_any_model_is_a_system_under_any_name(tmp_path: Path) -> None:
    tiny.gpt2(tmp_path / "gpt2")
    path = tmp_path / "mine.toml"
    path.write_text(
        """
name = "mine"
title = "Mine"
systems = ["gpt2-here"]
scorers = ["ibleu"]
headline = "ibleu"
decoding = { max_new_tokens = 4 }
[system.gpt2-here]
family = "zeroshot"
model = "./gpt2"
dtype = "bfloat16"
role = "sentinel"
template = "Rewrite: {source}\\nRewritten:"
"""
    )
    made = plan.build_plugin("system", "gpt2-here", suites.load_suite(str(path)), BuildContext())
    assert "dtype:bfloat16" in str(made.signature)
    assert made.role == "sentinel"
    answers = [
        done for batch in made.paraphrase(["The old man walks.", "It rained."]) for done in batch
    ]
    assert sorted(done.position for done in answers) == [0, 1]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[local_hub.Hub, Path]]:
    """A hub with all the suite needs, and a working folder with what a user would have trained."""
    from tests.support.local_hub import use

    models = tmp_path / "models"
    hub = local_hub.stocked(models)
    trained = tmp_path / "results" / "checkpoints" / "opt-1.3b"
    shutil.copytree(models / "opt-1.3b", trained / "finetuned")
    for name, length in (
        ("softprompt", 20),
        ("softprompt", 111),
        ("softprompt", 143),
        ("softprompt", 163),
        ("ptuning", 20),
    ):
        adapter(trained / f"{name}-{length}", min(length, 64), length)
    monkeypatch.chdir(tmp_path)
    with local_hub.serving(hub):
        use(hub.address, tmp_path / "cache", monkeypatch)
        yield hub, models


def adapter(folder: Path, length: int, seed: int) -> None:
    """A random soft prompt for the tiny OPT, which has only 128 positions."""
    from parabench.prompts import adapters
    from parabench.prompts.templates import paraphrase_template

    prompt = torch.randn(length, 32, generator=torch.Generator().manual_seed(seed))
    base = adapters.BaseIdentity("facebook/opt-1.3b", 32, tiny.VOCABULARY, 2, 4)
    adapters.save_adapter(folder, prompt, adapters.AdapterFacts(paraphrase_template(length), base))


def call(*arguments: object) -> str:
    done = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.slow
@pytest.mark.loopback
def test_hub_suite_equals_the_same_weights_by_path(
    world: tuple[local_hub.Hub, Path], tmp_path: Path
) -> None:
    hub, models = world
    data = tiny_suite.examples_file(tmp_path, 4)
    own = Path("own.toml")
    text = (
        suites.suite_path("opt-1.3b")
        .read_text()
        .replace("max_new_tokens = 64", "max_new_tokens = 6")
    )
    own.write_text(text)
    for owner in ("facebook", "FacebookAI", "eugenesiow"):
        text = text.replace(f'"{owner}/', f'"{models}/')
    Path("path.toml").write_text(text)
    chosen = ("--data", data, "--device", "cpu")

    assert "new" in call("models", "lock", "--suite", own)
    call("models", "fetch", "--suite", own)
    assert "intact" in call("models", "verify", "--suite", own)
    hub.status = 500  # from here on nobody may ask the hub
    call("run", "--suite", own, *chosen, "--output", "from-hub")
    call("run", "--suite", "path.toml", *chosen, "--output", "from-path")

    ours, theirs = (
        json.loads(Path(name, "leaderboard.json").read_text())["rows"]
        for name in ("from-hub", "from-path")
    )
    assert len(ours) == 9 + 10
    assert [without_signatures(row) for row in ours] == [without_signatures(row) for row in theirs]


def without_signatures(value: object) -> object:
    if isinstance(value, dict):
        return {key: without_signatures(item) for key, item in value.items() if key != "signature"}
    return value


@pytest.mark.loopback
def test_a_lock_keeps_a_suite_where_it_was_until_it_is_updated(
    world: tuple[local_hub.Hub, Path],
) -> None:
    hub, _ = world
    own = Path("own.toml")
    own.write_text(suites.suite_path("opt-125m").read_text())
    call("models", "lock", "--suite", own)
    first = hub["facebook/opt-125m"].main
    files = hub["facebook/opt-125m"].commits[first]
    hub["facebook/opt-125m"].push({**files, "config.json": files["config.json"] + b" "})
    assert "as it was" in call("models", "lock", "--suite", own)
    assert (
        suites.load_suite(str(own))
        .system["zeroshot"]["model"]
        .startswith(f"facebook/opt-125m@{first}#")
    )
    assert f"was {first[:12]}" in call("models", "lock", "--suite", own, "--update")
    assert hub["facebook/opt-125m"].main in suites.load_suite(str(own)).system["zeroshot"]["model"]
    Path("own.lock.json").write_text("[")
    with pytest.raises(UserError, match="lock --update"):
        suites.load_suite(str(own))


@pytest.mark.loopback
def test_bases_of_trainings_are_locked_fetched_and_verified(
    world: tuple[local_hub.Hub, Path],
) -> None:
    hub, _ = world
    base = "facebook/bart-large"
    own = Path("own.toml")
    own.write_text(suites.suite_path("opt-125m").read_text())
    assert "new" in next(
        line for line in call("models", "lock", "--suite", own).splitlines() if f"{base} " in line
    )
    assert suites.load_suite(str(own)).train.seq2seq.startswith(f"{base}@{hub[base].main}#")
    call("models", "fetch", "--suite", own)
    hub.status = 500  # from here on nobody may ask the hub
    assert (
        sum("intact" in line for line in call("models", "verify", "--suite", own).splitlines()) == 3
    )
    kept = next(
        Path("cache").rglob(f"models--facebook--bart-large/**/{hub[base].main}/model.safetensors")
    ).resolve()
    kept.chmod(0o644)
    kept.write_bytes(kept.read_bytes()[:-1] + b"?")
    with pytest.raises(UserError, match="not all files"):
        call("models", "verify", "--suite", own)
