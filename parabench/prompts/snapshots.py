"""Copies of a soft prompt that are taken while it is trained, beside the training's own files;
nothing reads them but the eye.
"""

from __future__ import annotations

import json
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from parabench.contracts import UserError
from parabench.prompts.files import check_matrix, pack, unpack
from parabench.prompts.peft_format import KEY
from parabench.store.files import read, write_atomically

FOLDER = Path("training/snapshots")
FINISHED = Path("training/finished.json")


def take(folder: Path, step: int, prompt: Float[Tensor, "P H"]) -> None:
    """Store the prompt as it is after ``step`` updates, whole or not at all."""
    write_atomically(folder / FOLDER / f"{step:08}.safetensors", pack({KEY: prompt.float()}))


def taken(folder: Path) -> list[tuple[int, Float[Tensor, "P H"]]]:
    """The snapshots of an adapter's folder in order, up to the step that was kept; UserError for a
    damaged one.
    """
    found = []
    for path in sorted((folder / FOLDER).glob("*.safetensors")):
        tensors = unpack(path, read(path))
        if list(tensors) != [KEY] or not path.stem.isdecimal():
            raise UserError(f"read the snapshot {path}", "not one prompt", mend="delete it")
        found.append((int(path.stem), check_matrix(path, tensors[KEY])))
    last = _kept(folder)
    return [(step, prompt) for step, prompt in found if last is None or step < last]


def _kept(folder: Path) -> int | None:
    """Which step's prompt the training kept, if it has ended."""
    path = folder / FINISHED
    return int(json.loads(read(path))["kept"]) if path.exists() else None
