"""Weights that a repository has only as pickles (``.bin``), turned once into safetensors without running anything."""

from __future__ import annotations

import json
import logging
import os
import pickle
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from parabench.contracts import UserError

_log = logging.getLogger(__name__)


def convert(name: str, files: Sequence[Path], target: Path) -> Path:
    """The folder ``target/safetensors``: these files, each ``.bin`` as safetensors; made once, whole or not at all.

    Reading a pickle can run code, so torch reads tensors and nothing else from it (``weights_only``); UserError where
    a file holds more. The reason is logged. ``target/models.lock`` pins the result, and ``locate`` checks it each time.
    """
    from parabench.inference.checkpoints import locate, write_lock

    folder = target / "safetensors"
    if not target.is_dir():
        _log.warning("%s has its weights only as pickles, which can run code: they are converted once", name)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name[:12]}.", dir=target.parent))
        try:
            _write(files, temporary / "safetensors")
            write_lock(temporary, ["safetensors"])
            os.rename(temporary, target)
        except OSError as error:
            if not target.is_dir():  # else another process was quicker
                raise UserError(f"convert {name}", error.strerror or str(error), mend="make room") from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    locate(str(folder))
    return folder


def _write(files: Sequence[Path], folder: Path) -> None:
    folder.mkdir()
    for file in files:
        if file.suffix == ".bin":
            _convert_file(file, folder / _renamed(file.name))
        elif file.name == "pytorch_model.bin.index.json":
            index = json.loads(file.read_text(encoding="utf-8"))
            index["weight_map"] = {key: _renamed(shard) for key, shard in index["weight_map"].items()}
            (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
        else:
            shutil.copyfile(file, folder / file.name)


def _convert_file(file: Path, target: Path) -> None:
    import torch
    from safetensors.torch import save_file

    try:
        weights = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        found = str(error).strip().splitlines()[0]
        raise UserError(
            f"convert {file.name}", f"it holds more than tensors, or is damaged: {found}", mend="use another model"
        ) from error
    tensors = {name: value.contiguous().clone() for name, value in weights.items() if isinstance(value, torch.Tensor)}
    save_file(tensors, target, {"format": "pt"})


def _renamed(name: str) -> str:
    return name.replace("pytorch_model", "model").replace(".bin", ".safetensors")
