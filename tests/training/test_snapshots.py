"""Copies of a prompt along its training: there at their steps, and nothing of the training changed
by them.
"""

import dataclasses

import pytest
import torch

from parabench.contracts import UserError
from parabench.prompts import adapters, snapshots
from parabench.training import requests
from tests.support.jobs import request


@pytest.mark.parametrize("name", ["softprompt-4", "ptuning-3"])
def test_copies_lie_on_the_way_and_change_nothing(tmp_path, name):
    without = requests.run_training(request(name, tmp_path, "without"))
    asked = dataclasses.replace(request(name, tmp_path, "with"), snapshots=2)
    assert requests.run_training(asked).history == without.history
    files = sorted((tmp_path / "with" / snapshots.SNAPSHOTS_FOLDER).iterdir())
    assert [path.stem for path in files] == ["00000002", "00000004", "00000006"]
    assert [step for step, _ in snapshots.read_snapshots(tmp_path / "with")] == [
        s for s in (2, 4, 6) if s < without.kept
    ]
    kept = adapters.load_adapter(tmp_path / "with").prompt
    assert torch.equal(kept, adapters.load_adapter(tmp_path / "without").prompt)
    if without.kept in (2, 4, 6):
        (tmp_path / "with" / "training" / "finished.json").unlink()
        assert torch.equal(dict(snapshots.read_snapshots(tmp_path / "with"))[without.kept], kept)


def test_a_whole_model_has_none(tmp_path):
    with pytest.raises(UserError, match="it has no prompt"):
        requests.run_training(dataclasses.replace(request("finetuned", tmp_path, "a"), snapshots=2))
