"""Checkpoints are found, pinned and loaded, or the user is told what to mend."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from parabench.contracts import Runtime, UserError
from parabench.models.checkpoints import locate
from parabench.models.loading import load_causal, load_seq2seq, resolve_device
from parabench.models.local import write_lock
from tests.support import tiny


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.opt(tmp_path_factory.mktemp("saved") / "opt")


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "opt"))


def test_a_digest_follows_weights_config_and_tokenizer_only(folder: Path) -> None:
    before = locate(str(folder)).digest
    assert len(before) == 64
    (folder / "README.md").write_text("words")
    assert locate(str(folder)).digest == before
    tokenizer = folder / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text() + "\n")
    assert locate(str(folder)).digest != before


def test_a_lock_catches_changed_and_missing_files(folder: Path) -> None:
    write_lock(folder.parent, ["opt"])
    assert locate(str(folder)).digest
    config = folder / "config.json"
    config.write_text(config.read_text() + " ")
    with pytest.raises(UserError, match=r"config\.json(.|\n)*SHA-256"):
        locate(str(folder))
    write_lock(folder.parent, ["opt"])
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"tokenizer\.json(.|\n)*missing"):
        locate(str(folder))
    with pytest.raises(UserError, match="names no file"):
        locate(str(folder), _written(folder.parent / "other.lock", '{"files": {}}'))
    with pytest.raises(UserError, match="JSONDecodeError"):
        locate(str(folder), _written(folder.parent / "broken.lock", "{"))


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_missing_and_pickled_weights_are_named(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"no \*\.safetensors(.|\n)*pytorch_model\.bin"):
        locate(str(folder))
    (folder / "config.json").unlink()
    with pytest.raises(UserError, match=r"no config\.json and no \*\.safetensors"):
        locate(str(folder))
    with pytest.raises(UserError, match="no such folder"):
        locate(str(folder / "nowhere" / "at" / "all"))


def test_a_hub_id_is_pinned_to_the_cached_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import HfApi, constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(HfApi, "model_info", _unreachable)
    with pytest.raises(UserError, match="once the hub can be reached"):
        locate("acme/opt@main")
    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshot = tmp_path / "models--acme--opt" / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (tmp_path / "models--acme--opt" / "refs").mkdir()
    (tmp_path / "models--acme--opt" / "refs" / "main").write_text(commit)
    found = locate("acme/opt")
    assert (found.path, found.revision, found.digest) == ("acme/opt", commit, commit)


def _unreachable(*_: Any, **__: Any) -> None:
    raise ConnectionError("no network")


@pytest.mark.parametrize("name", [*tiny.CAUSAL, "bart"])
def test_models_load_in_the_asked_dtype_for_evaluation(tmp_path: Path, name: str) -> None:
    folder = {**tiny.CAUSAL, "bart": tiny.bart}[name](tmp_path / name, dtype="float16")
    load, side = (load_seq2seq, "right") if name == "bart" else (load_causal, "left")
    model, tokenizer = load(locate(str(folder)), Runtime(dtype="bfloat16"))
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    assert not model.training
    assert not any(weight.requires_grad for weight in model.parameters())
    assert tokenizer.padding_side == side


def test_absent_weights_are_not_filled_with_random_ones(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights.pop("model.decoder.layers.1.fc1.weight")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"layers\.1\.fc1\.weight"):
        load_causal(locate(str(folder)), Runtime())


def test_a_truncated_file_is_a_user_error(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match="Safetensor"):
        load_causal(locate(str(folder)), Runtime())


def test_an_opt_tokenizer_must_begin_with_the_end_token(folder: Path) -> None:
    tiny.tokenizer("$A").save_pretrained(folder)
    with pytest.raises(UserError, match="add_bos_token"):
        load_causal(locate(str(folder)), Runtime())


def test_devices_and_dtypes_that_are_not_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [resolve_device(name) for name in ("auto", "cpu", "cuda", "cuda:1")] == [
        "cuda:0",
        "cpu",
        "cuda:0",
        "cuda:1",
    ]
    with pytest.raises(UserError, match="cuda:2"):
        resolve_device("cuda:2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == "cpu"
    with pytest.raises(UserError, match="0 CUDA devices"):
        resolve_device("cuda")
    with pytest.raises(UserError, match="float8"):
        load_causal(locate(str(folder)), Runtime(dtype="float8"))


def test_finding_a_checkpoint_loads_no_torch(folder: Path) -> None:
    code = (
        "import sys; from parabench.models.loading import locate; "
        f"locate({str(folder)!r}); print(*sys.modules)"
    )
    modules = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "parabench.models.loading" in modules
    assert not {"torch", "transformers", "numpy"} & set(modules)


def test_tiny_checkpoints_carry_the_defaults_that_must_not_leak(tmp_path: Path) -> None:
    saved = json.loads((tiny.bart(tmp_path) / "generation_config.json").read_text())
    assert saved["min_length"] == 56
