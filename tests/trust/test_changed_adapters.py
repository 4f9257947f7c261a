"""Adapters changed behind the program's back: refused, or prompt, facts and state are those that
were saved.
"""

from collections import Counter
from pathlib import Path

import pytest
import torch

from parabench.contracts import UserError
from parabench.prompts import adapters
from parabench.prompts.adapters import Adapter, load_adapter, save_adapter
from parabench.prompts.facts import AdapterFacts, BaseIdentity
from parabench.prompts.templates import Template
from tests.support.fuzzing import randomly

FILES = (
    "adapter_config.json",
    "adapter_model.safetensors",
    "parabench.json",
    "parabench_state.safetensors",
)


def saved(folder: Path) -> torch.Tensor:
    template = Template(
        "task", "<|VIRTUAL_PROMPT_0|>{source}\n{target}", 3, (3,), "source", "target"
    )
    prompt = torch.arange(12, dtype=torch.float32).reshape(3, 4) / 7
    facts = AdapterFacts(template, BaseIdentity("base", 4, 10, 1, 1, digest="d" * 64), seed=0)
    return save_adapter(folder, prompt, facts, {"initial": prompt + 1}).prompt


def changed(folder: Path, number: int) -> Counter[str]:
    """So many changes to each file."""
    saved(folder)
    truth, tally = load_adapter(folder), Counter()
    for name in FILES:
        original = (folder / name).read_bytes()
        for data in randomly(number, original):
            (folder / name).write_bytes(data)
            tally[_read_again(folder, truth)] += 1
        (folder / name).write_bytes(original)
    return tally


def _read_again(folder: Path, truth: Adapter) -> str:
    try:
        found = load_adapter(folder)
    except UserError:
        return "refused"
    assert torch.equal(found.prompt, truth.prompt)
    assert found.facts == truth.facts
    assert torch.equal(found.state["initial"], truth.state["initial"])
    return "harmless"


def test_a_changed_adapter_is_refused_or_has_the_same_prompt(tmp_path):
    tally = changed(tmp_path, 40)
    assert tally["refused"] > 40, tally


@pytest.mark.slow
def test_ten_thousand_changed_adapters(tmp_path):
    assert changed(tmp_path, 2_500).total() == 10_000


def test_without_the_checksums_changed_facts_are_believed(tmp_path, monkeypatch):
    monkeypatch.setattr(adapters, "_check_seal", lambda folder: None)
    with pytest.raises(AssertionError):
        changed(tmp_path, 100)
