"""What a plan's models still lack on this computer: said, and fetched, before anything is
computed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from parabench.contracts import Scorer, System, UserError, model_names
from parabench.models import gguf, hub
from parabench.models.cache import check_disk_space, format_bytes
from parabench.models.checkpoints import checkpoint_folder, checkpoint_source, is_here, locate
from parabench.models.local import Checkpoint


def checkpoints_of(part: System | Scorer) -> list[Checkpoint]:
    """The models that a system or scorer loads on this machine, found and identified.

    A name that it declares and that is no model's is a UserError when its signature is read, and is
    left out here.
    """
    found = []
    for name in model_names(part):
        with suppress(UserError):
            found.append(locate(name))
    # two names may mean one model
    return list(dict.fromkeys(found))


def missing_files(checkpoint: Checkpoint) -> Mapping[str, int]:
    """The files of a hub's model that are not here, and their bytes.

    Asks the hub only where there are any. Of a package its name alone, with 0 bytes: indexes do
    not say how large a file in it is.
    """
    if is_here(checkpoint):
        return {}
    if checkpoint.revision is None:
        return {checkpoint.path: 0}
    return hub.files_to_fetch(hub.pin(checkpoint.path, checkpoint.revision))


def fetch_note(models: Sequence[Checkpoint]) -> str:
    """``2.6 GB to fetch first`` where files are not here yet, else nothing."""
    needed = 0
    complete = True
    for checkpoint in models:
        files = missing_files(checkpoint)
        complete = complete and not files
        needed += sum(files.values())
    if complete:
        return ""
    what = format_bytes(needed) if needed else "a package"
    return f"{what} to fetch first: parabench models fetch"


def fetch_models(parts: Iterable[System | Scorer], say: Callable[[str], object]) -> None:
    """Fetch every model that is lacking, each announced with its size.

    ``parts`` are the systems and scorers that load them, ``say`` prints a line. GGUF files are
    converted too, so that nothing is left to do but to load. Raises UserError where a model cannot
    be had, and where the disk is too small.
    """
    located: dict[Checkpoint, None] = {}
    for part in parts:
        located.update(dict.fromkeys(checkpoints_of(part)))
    wanted = {}
    for checkpoint in located:
        files = missing_files(checkpoint)
        if files:
            wanted[checkpoint] = files
    # all of them before the first: a disk that fills up half way helps nobody
    needed = [sum(files.values()) for files in wanted.values()]
    check_disk_space(sum(needed))
    for (checkpoint, files), size in zip(wanted.items(), needed, strict=True):
        # of a package no index says the size beforehand
        told = f"{format_bytes(size)}, {len(files)} files" if size else "with pip"
        say(f"fetching {checkpoint.reference}: {told}")
        checkpoint_folder(checkpoint)


def model_bytes(checkpoint: Checkpoint, item: int) -> int:
    """The bytes of a model's weights at ``item`` bytes each, from the headers of its files alone.

    A GGUF file is not converted for that. Raises UserError where the files cannot be had.
    """
    source = checkpoint_source(checkpoint)
    if gguf.is_gguf(source) and source.is_file():
        return item * gguf.parameter_count(source, checkpoint.reference)
    return weight_bytes(checkpoint_folder(checkpoint), item)


def weight_bytes(folder: Path, item: int) -> int:
    """The bytes of the weights in a folder's safetensors files at ``item`` bytes each."""
    total = 0
    for path in folder.glob("*.safetensors"):
        with path.open("rb") as file:
            # The format's first 8 bytes are the length of the JSON header after them.
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
        for name, entry in header.items():
            if name != "__metadata__":
                total += math.prod(entry["shape"])
    return total * item
