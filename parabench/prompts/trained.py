"""Where a trained system's files are: the user's own trainings, and what a suite ships or names.

A training of the user's own wins over what the suite ships, if it was made for the same base model;
of several the newest wins.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parabench.contracts import UserError
from parabench.store.files import read_bytes

CHECKPOINTS = Path("results/checkpoints")
"""Where ``parabench train`` stores results, from the folder it is run in."""

_ADAPTER = "adapter_config.json"
_MODEL = "config.json"


@dataclass(frozen=True)
class TrainedFiles:
    """The files that are used for a system.

    ``location`` is their folder, or a model's hub id. ``replaced`` is what the suite ships or names
    instead, where the user's own training was taken; None where nothing was replaced.
    """

    location: str
    replaced: str | None = None

    @property
    def signature_items(self) -> tuple[tuple[str, str], ...]:
        """What a signature says of them: nothing but where the suite's own files were replaced."""
        if self.replaced is None:
            return ()
        return (("trained", self.location),)


def find_adapter(name: str, suite_folder: Path | None, base_digest: str | None) -> TrainedFiles:
    """The adapter of the system ``name``.

    ``suite_folder`` is the folder of the suite's adapters. An adapter that was trained for a base
    of another digest than ``base_digest`` is passed over (None: any base). Raises UserError, with
    those that are there, where none is left.
    """
    own = [CHECKPOINTS / name]
    shipped: list[Path] = []
    if suite_folder is not None:
        # A suite whose adapters lie among the user's own ships none.
        places = own if _is_own(suite_folder) else shipped
        places.append(suite_folder / name)
    trained = [place for place in own if _has_adapter(place)]
    fitting = [place for place in trained if _fits_base(place, base_digest)]
    in_suite = [str(place) for place in shipped if _has_adapter(place)]
    if fitting:
        newest = max(fitting, key=_saved_at)
        replaced = in_suite[0] if in_suite else None
        return TrainedFiles(str(newest), replaced)
    if in_suite:
        return TrainedFiles(in_suite[0])
    if trained:
        # Loading it says for which base it was trained, and for which it was asked.
        return TrainedFiles(str(trained[0]))
    searched = [place.parent for place in (*own, *shipped)]
    raise _missing(name, own, searched)


def training_passed_over(name: str, used: Sequence[str]) -> str:
    """Why the user's own training of a system is not what answers; empty where it is, or is none.

    ``used`` are the places of the adapter and the models that the system ``name`` answers with.
    """
    place = CHECKPOINTS / name
    if place.resolve() in [Path(one).resolve() for one in used]:
        return ""
    if _has_adapter(place) or _is_trained_model(place):
        return f"the training in {place} is of another base model, or older"
    if (place / "training" / "spec.json").is_file():
        return f"the training in {place} has not ended"
    return ""


def _has_adapter(folder: Path) -> bool:
    return (folder / _ADAPTER).is_file()


def _saved_at(folder: Path) -> int:
    """When an adapter was saved, in nanoseconds since 1970."""
    return (folder / _ADAPTER).stat().st_mtime_ns


def _missing(name: str, own: Sequence[Path], folders: Sequence[Path]) -> UserError:
    asked = f"use the system {name!r}"
    # A training that was stopped is nearer to what was asked than any other adapter.
    for place in own:
        if (place / "training" / "spec.json").is_file():
            found = f"its training in {place} has not ended"
            take = f"parabench prompt import {place} FOLDER"
            return UserError(asked, found, mend=f"run parabench train {name} again, or {take}")
    present: set[str] = set()
    for folder in folders:
        present.update(path.parent.name for path in folder.glob(f"*/{_ADAPTER}"))
    return UserError(asked, "no such adapter", sorted(present), f"parabench train {name}")


def find_model(name: str, suite_model: str) -> TrainedFiles:
    """The model of the system ``name``: the user's own, or the ``suite_model`` (a folder or hub
    id).

    The user's own has to be of the suite's architecture and sizes, where the suite's can be read
    here.
    """
    own = CHECKPOINTS / name
    if _is_own(Path(suite_model)) or not _is_trained_model(own):
        return TrainedFiles(suite_model)
    if not _same_shape(own, Path(suite_model)):
        return TrainedFiles(suite_model)
    return TrainedFiles(str(own), suite_model)


def _is_own(folder: Path) -> bool:
    return folder.is_relative_to(CHECKPOINTS)


def _is_trained_model(folder: Path) -> bool:
    # The configuration is written last of the model's files, the record of the end after it.
    has_ended = (folder / "training" / "finished.json").is_file()
    return has_ended and (folder / _MODEL).is_file()


def _fits_base(folder: Path, digest: str | None) -> bool:
    facts = _read_object(folder / "parabench.json")
    base = facts.get("base")
    recorded = base.get("digest") if isinstance(base, dict) else None
    # What other tools wrote has no digest; whether it fits shows when it is loaded.
    is_known = digest is not None and recorded is not None
    return not is_known or recorded == digest


def _same_shape(one: Path, two: Path) -> bool:
    """Whether two model folders agree in architecture and sizes; True where one cannot be read."""
    first = _read_object(one / _MODEL)
    second = _read_object(two / _MODEL)
    # OPT calls its width hidden_size, BART d_model: only what both name is compared.
    for name in ("model_type", "vocab_size", "hidden_size", "d_model", "num_hidden_layers"):
        in_both = name in first and name in second
        if in_both and first[name] != second[name]:
            return False
    return True


def _read_object(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is none, as whoever loads the files says what is wrong."""
    if not path.is_file():
        return {}
    try:
        found = json.loads(read_bytes(path))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
