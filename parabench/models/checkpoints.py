"""Finding and pinning checkpoints, without torch, so that a run is checked before any model library
is imported.
"""

from __future__ import annotations

import re
from pathlib import Path

from parabench.contracts import UserError
from parabench.models import hub
from parabench.models.local import Checkpoint, locate_folder
from parabench.models.pickles import convert_pickles

_HUB_ID = re.compile(
    r"(?P<name>[\w-][\w.-]*/[\w.-]+?)(?:@(?P<revision>[\w./-]+))?(?:#(?P<files>[0-9a-f]{64}))?"
)


def locate(reference: str, lock: Path | None = None) -> Checkpoint:
    """Identify the checkpoint that ``reference`` names: a folder, or a hub id ``org/name`` with
    optional ``@revision``.

    A suite's lock makes of a hub id ``org/name@commit#files``, whose files are held against that
    digest on loading. A folder's files are checked against ``lock``, or against ``models.lock``
    beside the folder where there is one. Raises UserError where files are missing, changed, or in
    pickle format, and where the hub cannot be reached.
    """
    folder = Path(reference)
    if folder.is_dir():
        return locate_folder(reference, folder, lock)
    match = _HUB_ID.fullmatch(reference)
    if match is None:
        raise UserError(
            f"find the model {reference!r}",
            "no such folder",
            ("a folder with config.json and *.safetensors", "a hub id such as facebook/opt-1.3b"),
            _command_that_makes(folder),
        )
    commit = hub.resolve_commit(match["name"], match["revision"])
    shown = match["name"] if match["files"] else reference
    return Checkpoint(shown, match["name"], commit, commit, match["files"])


def _command_that_makes(folder: Path) -> str:
    """What makes a checkpoint that belongs in this folder, as far as the path tells."""
    parts = folder.parts
    if parts[:2] == ("results", "checkpoints"):
        return f"parabench train {folder.name} --output {folder}"
    if parts[-4:-1] == ("parabench", "mini", "models"):
        return "make mini"
    return "check the path; a model of your own is written by model.save_pretrained(folder)"


def hub_name(reference: str) -> str | None:
    """``org/name`` if the reference has the form of a hub id (a folder of that name would win),
    else None.
    """
    match = _HUB_ID.fullmatch(reference)
    return match["name"] if match else None


def checkpoint_folder(checkpoint: Checkpoint) -> Path:
    """Where a checkpoint's verified files are on this computer; a hub's are fetched if they are not
    here yet.
    """
    if checkpoint.revision is None:
        return Path(checkpoint.path)
    pin = hub.pin(checkpoint.path, checkpoint.revision)
    hub.check_digest(pin, checkpoint.files)
    folder = hub.fetch_pinned(pin)
    if not any(name.endswith(".bin") for name in pin.files):
        return folder
    files = [folder / name for name in sorted(pin.files)]
    return convert_pickles(pin.name, files, hub.records_folder(pin.name) / pin.commit)


def tokenizer_folder(checkpoint: Checkpoint) -> Path:
    """Where a checkpoint's tokenizer is on this computer; of a hub's model no weights are fetched.

    Raises UserError where its files cannot be had, or differ from what a lock says.
    """
    if checkpoint.revision is None:
        return checkpoint_folder(checkpoint)
    pin = hub.pin(checkpoint.path, checkpoint.revision)
    hub.check_digest(pin, checkpoint.files)
    return hub.fetch_pinned(pin, hub.SMALL_FILES)
