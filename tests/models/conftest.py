"""The local hub, and this process made to use it with a cache of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from tests.support import local_hub


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny models as folders, and what they were served from."""
    folder = tmp_path_factory.mktemp("models")
    local_hub.stocked(folder)
    return folder


@pytest.fixture
def hub(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[local_hub.Hub]:
    """A hub with one OPT and one BART, whose client waits for nothing."""
    hub = local_hub.Hub()
    hub["facebook/opt-1.3b"].push(local_hub.as_released(models / "opt-1.3b"))
    hub["facebook/bart-large-cnn"].push_folder(models / "bart-large-cnn")
    with local_hub.serving(hub):
        local_hub.use(hub.address, tmp_path / "cache", monkeypatch)
        yield hub


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of models of the test's own."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
