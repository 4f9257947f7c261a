"""What loading a model obeys: all of it is part of the model's identity, nothing else is read, and
none of it is run.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from parabench.contracts import Runtime, UserError
from parabench.models import local
from parabench.models.checkpoints import load_config, locate
from parabench.models.loading import load_causal
from parabench.models.pretrained import load_tokenizer
from parabench.prompts.facts import BaseIdentity
from tests.support import tiny

TRACED = """
import os, sys
folder, opened = os.path.realpath(sys.argv[1]), set()
def trace(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        path = os.path.realpath(os.fsdecode(arguments[0]))
        if path.startswith(folder + os.sep):
            opened.add(os.path.relpath(path, folder))
from parabench.contracts import Runtime
from parabench.models import checkpoints, local
from parabench.models.loading import load_causal, load_seq2seq
found = checkpoints.locate(folder)
hashed = set(local._digests(local.Path(folder)))
sys.addaudithook(trace)
(load_seq2seq if sys.argv[2] == "bart" else load_causal)(found, Runtime())
print("OPENED", sorted(opened - hashed))
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.opt(tmp_path_factory.mktemp("saved") / "opt")


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "opt"))


def change(file: Path, **values: Any) -> None:
    content = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**content, **values}))


@pytest.mark.parametrize("name", [*tiny.CAUSAL, "bart"])
def test_loading_opens_what_is_hashed(tmp_path: Path, name: str) -> None:
    """But generation_config.json, of which the end ids alone are obeyed, and those are hashed."""
    folder = {**tiny.CAUSAL, "bart": tiny.bart}[name](tmp_path / name)
    for extra in ("notes.json", "README.md", "trainer_state.json", "modeling_opt.py"):
        (folder / extra).write_text("{}")
    done = subprocess.run(
        [sys.executable, "-c", TRACED, str(folder), name],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "OPENED ['generation_config.json']" in done.stdout


def test_the_end_ids_of_a_model_are_part_of_its_digest(folder: Path) -> None:
    before = locate(str(folder)).digest
    change(folder / "generation_config.json", temperature=0.5)
    assert locate(str(folder)).digest == before
    change(folder / "generation_config.json", eos_token_id=[2, 9])
    assert locate(str(folder)).digest != before


def test_an_adapter_in_a_model_folder_is_refused(folder: Path) -> None:
    found = locate(str(folder))
    change(folder / "adapter_config.json", peft_type="LORA")
    with pytest.raises(UserError, match=r"adapter_config\.json"):
        locate(str(folder))
    with pytest.raises(UserError, match=r"adapter_config\.json"):
        load_causal(found, Runtime())


@pytest.mark.parametrize(
    "shard",
    [
        "../other/model.safetensors",
        "/etc/model.safetensors",
        "a\\model.safetensors",
        "gone.safetensors",
    ],
)
def test_shards_elsewhere_are_refused(folder: Path, shard: str) -> None:
    shutil.copytree(folder, folder.parent / "other")
    weights = dict.fromkeys(load_file(folder / "model.safetensors"), shard)
    change(folder / "model.safetensors.index.json", metadata={}, weight_map=weights)
    with pytest.raises(UserError, match="no file of this folder"):
        locate(str(folder))


@pytest.mark.parametrize("text", ["{", "[]", '{"weight_map": 3}'])
def test_an_index_that_cannot_be_read_is_refused(folder: Path, text: str) -> None:
    (folder / "model.safetensors.index.json").write_text(text)
    with pytest.raises(UserError, match=r"index\.json"):
        locate(str(folder))


@pytest.mark.parametrize("where", ["config", "tokenizer", "model", "identity"])
def test_code_in_a_model_folder_never_runs(
    folder: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even where the user would answer transformers' question with y."""
    canary = folder / "canary"
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    code = f"open({str(canary)!r}, 'w')\nfrom transformers import *\n"
    (folder / "evil.py").write_text(
        f"{code}class C(OPTConfig): model_type = 'evil'\nclass M(OPTForCausalLM): pass\n"
        "class T(PreTrainedTokenizerFast): pass\n"
    )
    names = {"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M"}
    change(folder / "config.json", model_type="evil", auto_map=names)
    change(
        folder / "tokenizer_config.json",
        tokenizer_class="T",
        auto_map={"AutoTokenizer": ["evil.T", "evil.T"]},
    )
    found = locate(str(folder))
    load = {
        "config": lambda: load_config(found),
        "tokenizer": lambda: load_tokenizer(folder, "opt"),
        "model": lambda: load_causal(found, Runtime()),
        "identity": lambda: BaseIdentity.of(found),
    }[where]
    with pytest.raises(UserError, match="never run"):
        load()
    assert not canary.exists()


@pytest.mark.parametrize(
    "sizes",
    [
        {"num_hidden_layers": 100_000_000},
        {"vocab_size": 10_000_000_000},
        {"max_position_embeddings": 10**12},
        {"hidden_size": 10**9},
        {"num_attention_heads": 10**9},
        {"text_config": {"num_hidden_layers": 10**8}},
    ],
)
def test_sizes_beyond_any_model_are_refused(folder: Path, sizes: dict[str, Any]) -> None:
    change(folder / "config.json", **sizes)
    found, begin = locate(str(folder)), time.process_time()
    for load in (load_config, BaseIdentity.of, lambda one: load_causal(one, Runtime())):
        with pytest.raises(UserError, match=r"in config\.json, more than"):
            load(found)
    assert time.process_time() - begin < 5


@pytest.mark.parametrize("text", ["[" * 100_000, "no json", "[1]", " " * (17 << 20)])
def test_a_config_that_is_none_is_refused(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"config\.json"):
        load_config(locate(str(folder)))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(folder: Path, value: float) -> None:
    file = folder / "model.safetensors"
    weights = load_file(file)
    save_file(
        {name: torch.full_like(part, value) for name, part in weights.items()},
        file,
        {"format": "pt"},
    )
    with pytest.raises(UserError, match="not finite"):
        load_causal(locate(str(folder)), Runtime())
    weights["model.decoder.layers.1.fc1.weight"][3, 5] = value
    save_file(weights, file, {"format": "pt"})
    with pytest.raises(UserError, match=r"layers\.1\.fc1\.weight are not finite"):
        load_causal(locate(str(folder)), Runtime())


def test_every_identifying_name_is_hashed(folder: Path) -> None:
    names = ["source.spm", "vocab-src.json", "tekken.json", "bpe.codes", "dict.txt", "vocab.txt"]
    digests = {locate(str(folder)).digest}
    for name in names:
        (folder / name).write_text("x")
        digests.add(locate(str(folder)).digest)
    assert len(digests) == 1 + len(names)
    assert set(names) <= set(local._digests(folder))
