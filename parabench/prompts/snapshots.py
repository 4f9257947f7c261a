"""Copies of a soft prompt taken while it is trained, for the map and the figures of its way."""

from __future__ import annotations

import json
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from parabench.contracts import UserError
from parabench.prompts.files import check_matrix, pack_tensors, unpack_tensors
from parabench.prompts.peft_format import PEFT_TENSOR_KEY
from parabench.store.files import read_bytes, write_atomically

SNAPSHOTS_FOLDER = Path("training/snapshots")
FINISHED_FILE = Path("training/finished.json")


def save_snapshot(folder: Path, step: int, prompt: Float[Tensor, "P H"]) -> None:
    """Store the prompt as it is after ``step`` updates, whole or not at all."""
    # Steps have leading zeros, so that names sort in the order of the steps.
    path = folder / SNAPSHOTS_FOLDER / f"{step:08}.safetensors"
    content = pack_tensors({PEFT_TENSOR_KEY: prompt.float()})
    write_atomically(path, content)


def read_snapshots(folder: Path) -> list[tuple[int, Float[Tensor, "P H"]]]:
    """The snapshots in an adapter's ``folder``, in order, with their steps.

    Those after the step that was kept are left out. Raises UserError for a damaged one.
    """
    kept = kept_step(folder)
    snapshots = []
    for path in sorted((folder / SNAPSHOTS_FOLDER).glob("*.safetensors")):
        tensors = unpack_tensors(path, read_bytes(path))
        holds_prompt = list(tensors) == [PEFT_TENSOR_KEY]
        if not holds_prompt or not path.stem.isdecimal():
            asked = f"read the snapshot {path}"
            raise UserError(asked, "not one prompt", mend="delete it")
        step = int(path.stem)
        prompt = check_matrix(path, tensors[PEFT_TENSOR_KEY])
        # The kept prompt itself is the adapter's; what came after it was no better.
        if kept is None or step < kept:
            snapshots.append((step, prompt))
    return snapshots


def kept_step(folder: Path) -> int | None:
    """Which step's prompt the training kept, if it has ended."""
    path = folder / FINISHED_FILE
    if not path.exists():
        return None
    outcome = json.loads(read_bytes(path))
    return int(outcome["kept"])
