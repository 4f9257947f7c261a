"""The one module that reads PyTorch's pickle format, by ``weights_only=True``: tensors and plain
containers, no code.

Weights that a repository has only as pickles (``.bin``) are turned once into safetensors; soft
prompts of other programs are read as they are.
"""

from __future__ import annotations

import io
import json
import logging
import pickle
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parabench.contracts import UserError
from parabench.models.cache import make_once
from parabench.models.local import locate_folder, write_lock

if TYPE_CHECKING:
    from torch import Tensor

_log = logging.getLogger(__name__)


def convert_pickles(name: str, files: Sequence[Path], target: Path) -> Path:
    """The folder ``target/safetensors``: these files, each ``.bin`` as safetensors; made once,
    whole or not at all.

    Reading a pickle can run code, so torch reads tensors and nothing else from it
    (``weights_only``); UserError where a file holds more. The reason is logged.
    ``target/models.lock`` pins the result, and ``locate`` checks it each time.
    """
    folder = target / "safetensors"
    if not target.is_dir():
        _log.warning(
            "%s has its weights only as pickles, which can run code: they are converted once",
            name,
        )

        def write(made: Path) -> None:
            _write(files, made / "safetensors")
            write_lock(made, ["safetensors"])

        make_once(target, write, f"convert {name}")
    locate_folder(str(folder), folder)
    return folder


def _write(files: Sequence[Path], folder: Path) -> None:
    folder.mkdir()
    for file in files:
        if file.suffix == ".bin":
            _convert_file(file, folder / _renamed(file.name))
        elif file.name == "pytorch_model.bin.index.json":
            # which shard holds which weight stays; only the shards' names change
            index = json.loads(file.read_text(encoding="utf-8"))
            shards = index["weight_map"]
            index["weight_map"] = {key: _renamed(shard) for key, shard in shards.items()}
            written = folder / "model.safetensors.index.json"
            written.write_text(json.dumps(index), encoding="utf-8")
        else:
            shutil.copyfile(file, folder / file.name)


def _convert_file(file: Path, target: Path) -> None:
    import torch
    from safetensors.torch import save_file

    try:
        weights = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        # torch's further lines advise to turn weights_only off
        found = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"convert {file.name}",
            f"it holds more than tensors, or is damaged: {found}",
            mend="use another model",
        ) from error
    tensors = {}
    for name, value in weights.items():
        if isinstance(value, torch.Tensor):
            # safetensors takes no views and no memory that two names share, as tied weights do
            tensors[name] = value.contiguous().clone()
    save_file(tensors, target, {"format": "pt"})


def _renamed(name: str) -> str:
    return name.replace("pytorch_model", "model").replace(".bin", ".safetensors")


def read_tensors(name: str, content: bytes) -> dict[str, Tensor]:
    """All tensors in a checkpoint's bytes, by the path of keys to them joined by dots; UserError
    for anything else.
    """
    import torch

    try:
        loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"read the checkpoint {name}",
            f"not tensors alone ({reason})",
            mend="save its state_dict as safetensors, on a machine that you trust it on",
        ) from None
    return _flatten(loaded)


def _flatten(value: Any, path: str = "") -> dict[str, Tensor]:
    import torch

    if isinstance(value, torch.Tensor):
        return {path: value}
    # lists, numbers and texts beside the tensors are settings of the program that saved them
    items = value.items() if isinstance(value, dict) else []
    found = {}
    for key, inner in items:
        # the outermost keys have no path before them
        found.update(_flatten(inner, f"{path}.{key}".strip(".")))
    return found
