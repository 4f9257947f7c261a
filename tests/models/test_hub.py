"""Models of a hub: fetched once, exactly, verified; and every way to fail ends with what to do."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from parabench.contracts import Runtime, UserError
from parabench.models import hub as client
from parabench.models.checkpoints import checkpoint_folder, locate
from parabench.models.loading import load_causal, load_seq2seq
from tests.support import local_hub
from tests.support.local_hub import Hub

pytestmark = pytest.mark.loopback
pytestmark = pytest.mark.loopback

OPT, BART = "facebook/opt-1.3b", "facebook/bart-large-cnn"


def pinned(name: str) -> client.Pin:
    return client.pin(name, client.resolve_commit(name))


def test_exactly_the_needed_files_come_and_come_once(hub: Hub) -> None:
    folder = client.fetch_pinned(pinned(BART))
    downloaded = sorted(hub.downloads())
    assert not [path for path in downloaded if path.endswith("README.md")]
    assert (folder / "model.safetensors").is_file()
    hub.asked.clear()
    client.fetch_pinned(pinned(BART))
    load_seq2seq(locate(BART), Runtime())
    assert hub.asked == []


def test_pickled_weights_are_converted_once_and_equal_the_folder(
    hub: Hub, models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        model, tokenizer = load_causal(locate(OPT), Runtime())
        load_causal(locate(OPT), Runtime())
    assert [record.message for record in caplog.records if "pickles" in record.message] == [
        f"{OPT} has its weights only as pickles, which can run code: they are converted once"
    ]
    ours, theirs = load_causal(locate(str(models / "opt-1.3b")), Runtime())
    text = "The committee approved the new budget, didn't it?"
    assert tokenizer(text).input_ids == theirs(text).input_ids
    assert all(
        torch.equal(a, b)
        for a, b in zip(model.state_dict().values(), ours.state_dict().values(), strict=True)
    )
    assert not [path for path in hub.downloads() if "flax" in path or "README" in path]


def test_offline_after_one_fetch_and_not_before(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    client.fetch_pinned(pinned(OPT))
    hub.status = 500  # whoever still asks gets nothing
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    load_causal(locate(OPT), Runtime())
    with pytest.raises(UserError, match=r"offline mode(.|\n)*unset HF_HUB_OFFLINE"):
        locate(BART)


def test_what_another_program_has_cached_serves_offline(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import snapshot_download

    snapshot_download(BART)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    load_seq2seq(locate(BART), Runtime())


def test_a_moved_revision_changes_nothing_that_is_locked(hub: Hub, models: Path) -> None:
    before = pinned(OPT)
    client.fetch_pinned(before)
    files = hub[OPT].commits[before.commit]
    hub[OPT].push({**files, "config.json": files["config.json"] + b"\n"})
    found = locate(before.reference)
    assert (found.reference, found.revision, found.files) == (OPT, before.commit, before.digest)
    assert client.resolve_commit(OPT) == before.commit
    assert client.resolve_commit(OPT, fresh=True) == hub[OPT].main != before.commit


def test_files_other_than_the_locked_ones_are_refused(hub: Hub) -> None:
    made = pinned(BART)
    other = replace(made, files={**made.files, "config.json": "0" * 64})
    with pytest.raises(UserError, match="models verify"):
        load_seq2seq(locate(other.reference), Runtime())


@pytest.mark.parametrize("cuts", [1, 3])
def test_a_cut_connection_is_resumed(hub: Hub, cuts: int) -> None:
    size = len(hub[BART].commits[hub[BART].main]["model.safetensors"])
    hub.cut["model.safetensors"] = [size // 5] * cuts
    client.fetch_pinned(pinned(BART))
    ranges = [line for line in hub.asked if "model.safetensors" in line and "bytes=" in line]
    assert len(ranges) == cuts
    load_seq2seq(locate(BART), Runtime())


def test_a_connection_cut_repeatedly_says_what_to_do(hub: Hub, tmp_path: Path) -> None:
    made = pinned(BART)
    hub.cut["model.safetensors"] = [0] * 99
    with pytest.raises(UserError, match=r"run the same command again"):
        client.fetch_pinned(made)
    assert [fault.split(":")[0] for fault in client.pin_problems(made)] == ["model.safetensors"]
    assert not list(tmp_path.rglob("*.incomplete"))
    hub.cut.clear()
    client.fetch_pinned(made)
    assert client.pin_problems(made) == []


@pytest.mark.parametrize("file", ["model.safetensors", "config.json"])
def test_wrong_bytes_of_the_right_size_are_never_loaded(hub: Hub, file: str) -> None:
    hub.garbled.add(file)
    with pytest.raises(UserError, match=r"its content is(.|\n)*check the hub or mirror"):
        load_seq2seq(locate(BART), Runtime())
    hub.garbled.clear()
    load_seq2seq(locate(BART), Runtime())


def test_a_file_damaged_in_the_cache_is_fetched_again(hub: Hub) -> None:
    path = client.fetch_pinned(pinned(BART)) / "model.safetensors"
    good = path.read_bytes()
    path.write_bytes(good[:-1] + b"\0")
    assert client.pin_problems(pinned(BART))[0].startswith("model.safetensors: its SHA-256")
    load_seq2seq(locate(BART), Runtime())
    assert path.read_bytes() == good


def test_damaged_converted_weights_are_noticed(hub: Hub) -> None:
    path = checkpoint_folder(locate(OPT)) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    with pytest.raises(UserError, match="SHA-256"):
        load_causal(locate(OPT), Runtime())


def test_a_pickle_with_more_than_tensors_is_not_run(hub: Hub, tmp_path: Path) -> None:
    import pickle

    canary = tmp_path / "canary"

    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (canary,)

    torch.save({"weight": Evil()}, tmp_path / "evil.bin")
    files = hub[OPT].commits[hub[OPT].main]
    for data in ((tmp_path / "evil.bin").read_bytes(), pickle.dumps(Evil())):
        hub["acme/evil"].push({**files, "pytorch_model.bin": data})
        commit = client.resolve_commit("acme/evil", fresh=True)
        with pytest.raises(UserError, match="more than tensors"):
            checkpoint_folder(locate(f"acme/evil@{commit}"))
    assert not canary.exists()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("acme/closed", "hf auth login"),
        ("acme/nothing", "no such repository"),
        (f"{BART}@0123456789abcdef0123456789abcdef01234567", "lock --update"),
        ("acme/empty", "no weights"),
    ],
)
def test_what_cannot_be_had_is_named(hub: Hub, name: str, says: str) -> None:
    hub["acme/closed"].gated = True
    hub["acme/closed"].push({"config.json": b"{}"})
    hub["acme/empty"].push({"config.json": b"{}"})
    with pytest.raises(UserError, match=says):
        load_seq2seq(locate(name), Runtime())


@pytest.mark.parametrize("status", [0, 503])
def test_no_hub_at_all(
    tmp_path: Path, hub: Hub, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.status = status
    if not status:
        local_hub.use("http://127.0.0.1:9", tmp_path / "other", monkeypatch)
    with pytest.raises(UserError, match=r"run the same command again once the hub can be reached"):
        locate(BART)
