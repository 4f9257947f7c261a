"""The identity of a run: all that two runs must share to be one run, and the folder it gives."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import Any

from parabench.contracts import Decoding, Runtime
from parabench.data.examples import EvaluationSet
from parabench.stats import leave_one_out
from parabench.store.records import canonical_json, slug
from parabench.suites.suite import Suite


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
