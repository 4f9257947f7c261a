"""Tiny models of each architecture, loaded once through the code that loads real ones."""

from collections.abc import Callable
from typing import Any

import pytest

from parabench.contracts import Runtime
from parabench.models.checkpoints import locate
from parabench.models.loading import load_causal, load_seq2seq
from tests.support import tiny


@pytest.fixture(scope="session")
def causal(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Any, Any]]:
    """Model and tokenizer of an architecture of ``tiny.CAUSAL``."""
    loaded: dict[str, tuple[Any, Any]] = {}

    def load(name: str) -> tuple[Any, Any]:
        if name not in loaded:
            folder = tiny.CAUSAL[name](tmp_path_factory.mktemp("models") / name)
            loaded[name] = load_causal(locate(str(folder)), Runtime())
        return loaded[name]

    return load


@pytest.fixture(scope="session")
def bart(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    folder = tiny.bart(tmp_path_factory.mktemp("models") / "bart")
    return load_seq2seq(locate(str(folder)), Runtime())
