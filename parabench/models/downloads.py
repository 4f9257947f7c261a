"""What a plan's models still lack on this computer: said, and fetched, before anything is
computed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from parabench.contracts import Scorer, System, UserError, model_names
from parabench.models import hub
from parabench.models.checkpoints import checkpoint_folder, locate
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
    return list(dict.fromkeys(found))


def missing_files(checkpoint: Checkpoint) -> Mapping[str, int]:
    """The files of a hub's model that are not here, and their bytes; asks the hub only where there
    are any.
    """
    if checkpoint.revision is None:
        return {}
    return hub.files_to_fetch(hub.pin(checkpoint.path, checkpoint.revision))


def fetch_models(parts: Iterable[System | Scorer], say: Callable[[str], object]) -> None:
    """Fetch every model that is lacking, each announced with its size; UserError where they do not
    fit the disk.
    """
    wanted = {
        checkpoint: missing_files(checkpoint)
        for part in parts
        for checkpoint in checkpoints_of(part)
    }
    wanted = {checkpoint: files for checkpoint, files in wanted.items() if files}
    check_disk_space(sum(sum(files.values()) for files in wanted.values()))
    for checkpoint, files in wanted.items():
        size = format_bytes(sum(files.values()))
        say(f"fetching {checkpoint.reference}: {size}, {len(files)} files")
        checkpoint_folder(checkpoint)


def check_disk_space(needed: int) -> None:
    """UserError where the disk of the hub's cache has not so many bytes left."""
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE).absolute()
    there = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        found = f"{format_bytes(needed)} to come, {format_bytes(free)} free on the disk of {cache}"
        raise UserError("fetch the models", found, mend="make room, or set HF_HOME to another disk")


def format_bytes(count: float) -> str:
    """Bytes as people read them."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
