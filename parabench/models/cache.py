"""The program's own folder in the cache of models, and folders in it that are made once."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from parabench.contracts import UserError


def cache_folder() -> Path:
    """Where models from packages and converted ones are kept: ``parabench`` in the hub's cache.

    ``HF_HOME`` and ``HF_HUB_CACHE`` move it, as they move the hub's.
    """
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE).absolute() / "parabench"


def make_once(target: Path, write: Callable[[Path], object], asked: str) -> None:
    """Make the folder ``target``, whole or not at all, unless it is there already.

    ``write`` fills a temporary folder beside it, which is then renamed: an interrupted process
    leaves no half-made folder behind, and of two processes that make the same the quicker wins.
    ``asked`` names the act in errors. Raises UserError where the disk refuses.
    """
    if target.is_dir():
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # on the same disk, for a rename is one step only there
        place = tempfile.mkdtemp(prefix=f".{target.name[:12]}.", dir=target.parent)
    except OSError as error:
        raise _refused(asked, error) from error
    temporary = Path(place)
    try:
        write(temporary)
        os.rename(temporary, target)
    except OSError as error:
        if not target.is_dir():  # else another process was quicker
            raise _refused(asked, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _refused(asked: str, error: OSError) -> UserError:
    found = error.strerror or str(error)
    return UserError(asked, found, mend="make room, or set HF_HOME to another disk")


def check_disk_space(needed: int) -> None:
    """Refuse to fetch or write more than the disk of the cache has room for.

    Raises UserError where fewer than ``needed`` bytes are free.
    """
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE).absolute()
    # before the first model the cache does not exist: what counts is the disk it will be on
    places = (cache, *cache.parents)
    there = next(folder for folder in places if folder.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        sizes = f"{format_bytes(needed)} to come, {format_bytes(free)} free"
        raise UserError(
            "fetch the models",
            f"{sizes} on the disk of {cache}",
            mend="make room, or set HF_HOME to another disk",
        )


def format_bytes(count: float) -> str:
    """Bytes as people read them."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
