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
    write_atomically(
        folder / SNAPSHOTS_FOLDER / f"{step:08}.safetensors",
        pack_tensors({PEFT_TENSOR_KEY: prompt.float()}),
    )


def read_snapshots(folder: Path) -> list[tuple[int, Float[Tensor, "P H"]]]:
    """The snapshots of an adapter's folder in order, with their steps, up to the step that was
    kept.

    Raises UserError for a damaged one.
    """
    found = []
    for path in sorted((folder / SNAPSHOTS_FOLDER).glob("*.safetensors")):
        tensors = unpack_tensors(path, read_bytes(path))
        if list(tensors) != [PEFT_TENSOR_KEY] or not path.stem.isdecimal():
            raise UserError(f"read the snapshot {path}", "not one prompt", mend="delete it")
        found.append((int(path.stem), check_matrix(path, tensors[PEFT_TENSOR_KEY])))
    last = kept_step(folder)
    return [(step, prompt) for step, prompt in found if last is None or step < last]


def kept_step(folder: Path) -> int | None:
    """Which step's prompt the training kept, if it has ended."""
    path = folder / FINISHED_FILE
    return int(json.loads(read_bytes(path))["kept"]) if path.exists() else None
