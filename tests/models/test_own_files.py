"""What loading a model obeys: all of it is part of the model's identity, nothing else is read, and
none of it is run.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from parabench.scorers.pooling import read_pooling
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from parabench.contracts import Runtime, UserError
from parabench.models import local
from parabench.models.checkpoints import load_config, locate
from parabench.models.loading import load_causal
from parabench.models.pins import files_digest
from parabench.models.pretrained import load_tokenizer
from parabench.prompts.facts import BaseIdentity
from parabench.store.files import file_sha256
from tests.baselines import test_seq2seq
from tests.support import chatting, encoders, tiny

TRACED = """
import json, os, sys
opened = set()
def trace(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        opened.add(os.path.realpath(os.fsdecode(arguments[0])))
from parabench.contracts import Runtime
from parabench.models import checkpoints, loading, local
from parabench.scorers.pooling import read_pooling
from transformers import modeling_utils
safe_open = modeling_utils.safe_open
def traced_open(path, *others, **settings):
    opened.add(os.path.realpath(path))  # safetensors opens files without Python's knowledge
    return safe_open(path, *others, **settings)
modeling_utils.safe_open = traced_open
sys.addaudithook(trace)
for folder, loader in json.loads(sys.argv[1]):
    folder = os.path.realpath(folder)
    found = checkpoints.locate(folder)
    hashed = sorted(local._digests(local.Path(folder)))
    opened.clear()
    getattr(loading, "load_" + loader)(found, Runtime())
    read_pooling(local.Path(folder), "m")
    inside = [path for path in opened if path.startswith(folder + os.sep)]
    names = sorted(os.path.relpath(path, folder) for path in inside)
    print("TRACED", json.dumps([names, hashed]))
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


def chat(folder: Path) -> Path:
    """A model with a chat template of its own file, and more of them in a folder."""
    tiny.llama(folder)
    tokenizer = chatting.give_chat(tiny.tokenizer("<s> $A"), "chatml")
    tokenizer.chat_template = {"default": chatting.CHATML, "tool": chatting.LLAMA3}
    tokenizer.save_pretrained(folder)
    return folder


def sharded(folder: Path) -> Path:
    """A model in several files of weights."""
    model = AutoModelForCausalLM.from_pretrained(tiny.opt(folder))
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="40KB")
    return folder


def named_weights(folder: Path) -> Path:
    """A model whose configuration names its file of weights."""
    tiny.opt(folder)
    (folder / "model.safetensors").rename(folder / "quantised.safetensors")
    change(folder / "config.json", transformers_weights="quantised.safetensors")
    return folder


def versioned(folder: Path) -> Path:
    """A model with a configuration and a tokenizer for newer versions of transformers."""
    tiny.gpt2(folder)
    shutil.copy(folder / "config.json", folder / "config.4.0.0.json")
    shutil.copy(folder / "tokenizer.json", folder / "tokenizer.4.0.0.json")
    change(folder / "config.json", configuration_files=["config.4.0.0.json"])
    change(folder / "tokenizer_config.json", fast_tokenizer_files=["tokenizer.4.0.0.json"])
    return folder


def sentences(folder: Path) -> Path:
    """An encoder as sentence-transformers saves one."""
    encoders.roberta(folder)
    steps = [{"path": "", "type": "a.Transformer"}, {"path": "1_Pooling", "type": "a.Pooling"}]
    (folder / "modules.json").write_text(json.dumps(steps))
    (folder / "1_Pooling").mkdir()
    change(folder / "1_Pooling" / "config.json", pooling_mode_mean_tokens=True)
    change(folder / "sentence_bert_config.json", max_seq_length=20)
    change(folder / "config_sentence_transformers.json", prompts={})
    return folder


def classifier(folder: Path) -> Path:
    return encoders.roberta(folder, {0: "no", 1: "yes"})


KINDS: dict[str, tuple[str, Callable[[Path], Path], set[str]]] = {
    **{name: ("causal", build, set()) for name, build in tiny.CAUSAL.items()},
    "chat": ("causal", chat, {"chat_template.jinja", "additional_chat_templates/tool.jinja"}),
    "sharded": ("causal", sharded, {"model.safetensors.index.json"}),
    "named": ("causal", named_weights, {"quantised.safetensors"}),
    "versioned": ("causal", versioned, {"config.4.0.0.json", "tokenizer.4.0.0.json"}),
    "bart": ("seq2seq", tiny.bart, set()),
    "t5": ("seq2seq", test_seq2seq.t5, set()),
    "mbart": ("seq2seq", test_seq2seq.mbart, set()),
    # sentencepiece opens source.spm and target.spm itself, unseen
    "marian": ("seq2seq", test_seq2seq.marian, {"vocab.json"}),
    "encoder": ("encoder", encoders.roberta, set()),
    "sentences": ("encoder", sentences, {"modules.json", "1_Pooling/config.json"}),
    "classifier": ("classifier", classifier, set()),
}
"""Kinds of models: what loads each, what makes one, and what loading it opens beside the usual."""


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[set[str], set[str]]]:
    """Of each kind, the names that loading opens and those that the digest covers.

    One process for all, because importing transformers takes longer than all loading.
    """
    asked = []
    for kind, (loader, build, _) in KINDS.items():
        folder = build(tmp_path_factory.mktemp("traced") / kind)
        for extra in ("notes.json", "README.md", "trainer_state.json", "modeling_opt.py"):
            (folder / extra).write_text("{}")
        asked.append((str(folder), loader))
    done = subprocess.run(
        [sys.executable, "-c", TRACED, json.dumps(asked)],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("TRACED ")]
    pairs = [json.loads(line.removeprefix("TRACED ")) for line in lines]
    return {
        kind: (set(opened), set(hashed))
        for kind, (opened, hashed) in zip(KINDS, pairs, strict=True)
    }


@pytest.mark.parametrize("kind", KINDS)
def test_loading_opens_what_is_hashed(
    traced: dict[str, tuple[set[str], set[str]]], kind: str
) -> None:
    """But generation_config.json, of which single settings are obeyed, and those are hashed."""
    opened, hashed = traced[kind]
    assert opened - hashed <= {"generation_config.json"}
    assert {"config.json", *KINDS[kind][2]} <= opened
    assert any(name.endswith(".safetensors") for name in opened)


@pytest.mark.parametrize("kind", ["chat", "sentences", "versioned", "named", "marian"])
def test_what_loading_opens_changes_the_digest(tmp_path: Path, kind: str) -> None:
    _, build, expected = KINDS[kind]
    folder = build(tmp_path / kind)
    digests = {locate(str(folder)).digest}
    if kind == "marian":
        expected = {*expected, "source.spm", "target.spm"}
    for name in expected:
        file = folder / name
        file.write_bytes(file.read_bytes() + b" ")
        digests.add(locate(str(folder)).digest)
    assert len(digests) == 1 + len(expected)


def test_folders_of_older_kinds_keep_their_digests(saved: Path) -> None:
    """The embedded models have the digests that 65248aa gave them, as ``files_digest`` says."""
    names = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    files = {name: file_sha256(saved / name) for name in names}
    assert locate(str(saved)).digest == files_digest(files)


def test_every_vocabulary_of_transformers_is_hashed(tmp_path: Path) -> None:
    """The names are read from the source of each tokenizer that is installed."""
    models = Path(transformers.__file__).parent / "models"
    names = set[str]()
    for source in models.glob("*/tokenization_*.py"):
        for table in re.findall(r"VOCAB_FILES_NAMES = \{(.*?)\}", source.read_text(), re.DOTALL):
            names |= set(re.findall(r':\s*"([^"]+)"', table))
    assert len(names) > 15
    for name in names:
        (tmp_path / name).write_text("x")
    assert names == set(local._digests(tmp_path))


@pytest.mark.parametrize("name", ["../other/model.safetensors", "sub/model.safetensors"])
def test_weights_that_a_configuration_names_elsewhere(folder: Path, name: str) -> None:
    change(folder / "config.json", transformers_weights=name)
    with pytest.raises(UserError, match="no file of this folder"):
        locate(str(folder))


@pytest.mark.parametrize("path", ["../other", "a/b", "/tmp"])
def test_steps_of_sentence_vectors_elsewhere(tmp_path: Path, path: str) -> None:
    folder = sentences(tmp_path / "m")
    steps = [{"path": path, "type": "a.Pooling"}]
    (folder / "modules.json").write_text(json.dumps(steps))
    with pytest.raises(UserError, match="a step in the folder"):
        read_pooling(folder, "m")


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
