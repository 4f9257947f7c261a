"""Files of prompts: safetensors and JSON, read whole and verified, or refused with a reason.

Neither format can run code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch import Tensor

from parabench.contracts import UserError
from parabench.store.files import check_regular

_FILES_SHOWN = 8
"""Of a folder, in an error."""


def check_matrix(where: Path, prompt: Tensor) -> Float[Tensor, "P H"]:
    """The prompt as float32; ``where`` names its source in errors.

    Raises UserError unless it is a finite floating-point matrix.
    """
    if prompt.ndim != 2 or not prompt.is_floating_point():
        shape = tuple(prompt.shape)
        found = f"the prompt is {prompt.dtype} of shape {shape}, not a matrix of floats"
        raise damaged_adapter(where, found)
    # One number that is none would spoil every text, without an error.
    finite = torch.isfinite(prompt)
    if not finite.all():
        count = int((~finite).sum())
        raise damaged_adapter(where, f"{count} of the prompt's numbers are not finite")
    return prompt.float()


def unpack_tensors(path: Path, content: bytes) -> dict[str, Tensor]:
    """The tensors of a safetensors file's ``content``; UserError names ``path`` where damaged."""
    try:
        return safetensors.load(content)
    except (SafetensorError, ValueError) as error:
        found = f"{path.name} is not a whole safetensors file ({error})"
        raise damaged_adapter(path, found) from None


def to_json_bytes(content: Mapping[str, Any]) -> bytes:
    """Readable JSON, the same bytes for the same content."""
    # Sorted, so that a digest does not depend on the order in which things were set.
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False)
    return f"{text}\n".encode()


def with_checksums(content: Mapping[str, Any], **files: bytes) -> dict[str, Any]:
    """The content with ``checksums``: the SHA-256 of itself, as ``facts``, and of each of
    ``files``.
    """
    parts = {"facts": to_json_bytes(content), **files}
    digests = {}
    for name, data in parts.items():
        digests[name] = hashlib.sha256(data).hexdigest()
    return {**content, "checksums": digests}


def verify_checksums(
    folder: Path, name: str, found: dict[str, Any], **files: bytes
) -> dict[str, Any]:
    """What ``with_checksums`` was given, of what was ``found`` in the file ``name`` of ``folder``.

    ``files`` are the contents of the files that belong to it. Raises UserError where one of them,
    or the content itself, is not what was saved.
    """
    content = dict(found)
    recorded = content.pop("checksums", None)
    try:
        expected = with_checksums(content, **files)["checksums"]
    except UnicodeEncodeError:
        raise damaged_adapter(folder, f"{name} holds half a character") from None
    if not isinstance(recorded, dict):
        recorded = {}
    wrong = [part for part, digest in expected.items() if recorded.get(part) != digest]
    if wrong:
        parts = " and the ".join(wrong)
        raise damaged_adapter(folder, f"the {parts} are not those that were saved")
    return content


def read_json_object(folder: Path, name: str) -> dict[str, Any]:
    """The JSON object in the file ``name`` of an adapter's ``folder``.

    Raises UserError where the file is missing or is none.
    """
    try:
        content = json.loads(read_adapter_file(folder, name))
    except (ValueError, RecursionError) as error:
        raise damaged_adapter(folder, f"{name} is not JSON ({error})") from None
    if not isinstance(content, dict):
        raise damaged_adapter(folder, f"{name} is not a JSON object")
    return content


def read_adapter_file(folder: Path, name: str) -> bytes:
    """A file of an adapter; UserError says what else is there."""
    check_regular(folder / name)
    try:
        return (folder / name).read_bytes()
    except OSError:
        there = ["no such folder"]
        if folder.is_dir():
            there = sorted(path.name for path in folder.iterdir())
        found = ", ".join(there[:_FILES_SHOWN])
        if len(there) > _FILES_SHOWN:
            found += ", ..."
        # PEFT's files without our facts can be taken, but not used as they are.
        is_foreign = "adapter_config.json" in there
        mend = f"parabench prompt import {folder}" if is_foreign else ""
        raise UserError(f"read {name} of the adapter {folder}", found, mend=mend) from None


def pack_tensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """Tensors as the bytes of a safetensors file, the same bytes for the same tensors."""
    # safetensors stores memory as it lies, so that a view must become a tensor of its own.
    whole = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    return safetensors.save(whole, {"format": "pt", **(metadata or {})})


def damaged_adapter(where: Path, found: str) -> UserError:
    """The error for files that cannot be what was saved."""
    mend = "restore the folder, or train or import it again"
    return UserError(f"read the adapter {where}", found, mend=mend)
