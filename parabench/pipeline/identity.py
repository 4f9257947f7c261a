"""The identity of a run: all that two runs must share to be one run, and the folder it gives."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from parabench.contracts import Decoding, Runtime, UserError
from parabench.data.examples import EvaluationSet
from parabench.stats import leave_one_out
from parabench.store.files import read_bytes
from parabench.store.records import canonical_json, slug
from parabench.suites.suite import Suite

_REPORTED = ("title", "note", "headline")
"""What of a suite its reports show, and no answer or measurement depends on."""


def run_identity(
    suite: Suite,
    data: EvaluationSet,
    runtime: Runtime,
) -> dict[str, Any]:
    """What a run folder is about, as ``spec.json`` holds it.

    ``suite``: its name and texts, its decoding, and its normalising rule. ``data``: the examples,
    by their fingerprint. ``runtime``: the kind of device, the arithmetic and the seed.
    """
    protocol = leave_one_out.protocol_signature(data.references)
    # The number of a GPU ("cuda:1") changes no result, its kind may.
    device_kind = runtime.device.split(":")[0]
    return {
        "suite": {
            "name": suite.name,
            "title": suite.title,
            "note": suite.note,
            "headline": suite.headline,
        },
        "data": {
            "examples": len(data.examples),
            "references": data.references,
            "fingerprint": data.fingerprint,
        },
        "decoding": decoding_identity(suite.decoding),
        "normalise": str(suite.normalise.signature),
        "protocol": str(protocol),
        "runtime": {
            "device": device_kind,
            "dtype": runtime.dtype,
            "seed": runtime.seed,
        },
    }


def decoding_identity(decoding: Decoding) -> dict[str, Any]:
    """Every decoding setting by name.

    A single sample is not mentioned: runs made before there could be several do not mention it.
    """
    settings = asdict(decoding)
    if decoding.samples == 1:
        del settings["samples"]
    return settings


def decoding_preset(decoding: Decoding) -> str:
    """The decoding preset on one line, every field set."""
    settings = asdict(decoding).items()
    return " ".join(f"{key}={value}" for key, value in settings)


def folder_name(
    suite: Suite,
    data: EvaluationSet,
    runtime: Runtime,
) -> str:
    """The folder of a run, ``mini-3f9a1c20``: the same request finds the same folder again.

    ``suite``, ``data`` and ``runtime`` are those of ``run_identity``.
    """
    identity = canonical_json(run_identity(suite, data, runtime))
    digest = hashlib.sha256(identity).hexdigest()
    return f"{slug(suite.name)}-{digest[:8]}"


def suite_of_folder(
    suite: Suite,
    data: EvaluationSet,
    runtime: Runtime,
    folder: Path,
) -> tuple[Suite, tuple[str, ...]]:
    """The suite as a run folder knows it, and a note of what differs, none where nothing does.

    A suite's headline, title and note may change after a run was begun. Nothing that was measured
    depends on them, so the run goes on with its own. ``suite``, ``data`` and ``runtime`` are those
    of ``run_identity``. A folder of any other run is left to ``open_run``, which refuses it.
    """
    identity = run_identity(suite, data, runtime)
    try:
        stored = json.loads(read_bytes(folder / "spec.json"))
        kept = {name: str(stored["suite"][name]) for name in _REPORTED}
    except (UserError, OSError, ValueError, TypeError, KeyError):
        return suite, ()
    as_stored = {**identity, "suite": {**identity["suite"], **kept}}
    if canonical_json(as_stored) != canonical_json(stored) or as_stored == identity:
        return suite, ()
    changed = [f"{name} {kept[name]!r}" for name in _REPORTED if kept[name] != getattr(suite, name)]
    note = f"{folder} keeps the {', '.join(changed)} it was made with; another --output has today's"
    return suite.model_copy(update=kept), (note,)
